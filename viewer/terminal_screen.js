/**
 * The terminal emulator itself: xterm.js, loaded only when a panel opens, with the colours of the page, keys for copying and pasting,
 * and a size that follows its box. Knows no network.
 */

import { copyNow } from './clipboard.js';
import { element } from './dom.js';
import { documentWithoutInlineStyles } from './xterm_document.js';

/** @typedef {import('@xterm/xterm').Terminal} Terminal */
/**
 * `typed`: bytes for the desktop. `leave`: the keys that bring the keyboard back to the bar.
 * @typedef {{ typed: (data: Uint8Array) => void, resized: () => void, titled: (title: string) => void, selected: (any: boolean) => void,
 *   leave: () => void, notes: import('./notes.js').Notes }} Host
 */

const SCROLLBACK_LINES = 10_000;
const FONT = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
/** Dark in both schemes, as most programs expect; contrast is checked for text (`minimumContrastRatio`). */
const THEME = {
  background: '#12161b', foreground: '#e3e8ef', cursor: '#7aa2f7', cursorAccent: '#12161b', selectionBackground: '#33456e',
  black: '#2a313b', red: '#f0717b', green: '#4cc38a', yellow: '#e0a13c', blue: '#7aa2f7', magenta: '#c099ff', cyan: '#5fc9d4', white: '#c9d1db',
  brightBlack: '#6b7684', brightRed: '#ff9aa2', brightGreen: '#7fdcae', brightYellow: '#f2c374', brightBlue: '#a5c0fb', brightMagenta: '#d7bdff', brightCyan: '#8fe3ea', brightWhite: '#ffffff',
};
const GAP = '\r\n\x1b[0;2m[Output is missing here: the desktop keeps the last 256 KiB.]\x1b[0m\r\n';

/** @param {HTMLElement} box @param {Host} host @returns {Promise<TerminalScreen>} rejects where xterm.js is not installed */
export async function loadTerminalScreen(box, host) {
  const at = (/** @type {string} */ name) => new URL(`xterm/${name}`, import.meta.url).href;
  const [core, fit, unicode] = /** @type {[typeof import('@xterm/xterm'), typeof import('@xterm/addon-fit'), typeof import('@xterm/addon-unicode11'), void]} */ (
    await Promise.all([import(at('xterm.mjs')), import(at('addon-fit.mjs')), import(at('addon-unicode11.mjs')), loadStyle(at('xterm.css'))])
  );
  const terminal = new core.Terminal({
    allowProposedApi: true, documentOverride: documentWithoutInlineStyles(), fontFamily: FONT, fontSize: 13, lineHeight: 1.2,
    scrollback: SCROLLBACK_LINES, theme: THEME, minimumContrastRatio: 3, cursorBlink: true, macOptionIsMeta: true,
  });
  const fitting = new fit.FitAddon();
  terminal.loadAddon(fitting);
  terminal.loadAddon(new unicode.Unicode11Addon());
  terminal.unicode.activeVersion = '11';
  terminal.open(box);
  return new TerminalScreen(box, terminal, fitting, host);
}

export class TerminalScreen {
  /** Pieces of old output that are not through yet. */
  #replaying = 0;
  #fitting;
  #host;

  /** @param {HTMLElement} box @param {Terminal} terminal @param {import('@xterm/addon-fit').FitAddon} fitting @param {Host} host */
  constructor(box, terminal, fitting, host) {
    this.terminal = terminal;
    this.#fitting = fitting;
    this.#host = host;
    const utf8 = new TextEncoder();
    terminal.onData((text) => this.#typed(utf8.encode(text)));
    terminal.onBinary((text) => this.#typed(Uint8Array.from(text, (one) => one.charCodeAt(0))));
    terminal.onTitleChange(host.titled);
    terminal.onSelectionChange(() => host.selected(terminal.hasSelection()));
    terminal.onResize(host.resized);
    terminal.attachCustomKeyEventHandler((event) => this.#key(event));
    terminal.textarea?.setAttribute('aria-label', "The terminal's keyboard");
    new ResizeObserver(() => this.fit()).observe(box);
    this.fit();
  }

  /** @returns {{ rows: number, columns: number }} */
  get size() {
    return { rows: this.terminal.rows, columns: this.terminal.cols };
  }

  get hasFocus() {
    return document.activeElement === this.terminal.textarea;
  }

  focus() {
    this.terminal.focus();
  }

  /** Takes the size of its box, if that is to be seen. */
  fit() {
    const wish = this.#fitting.proposeDimensions();
    if (wish && wish.cols > 1 && wish.rows > 0) this.terminal.resize(Math.min(wish.cols, 1000), Math.min(wish.rows, 1000));
  }

  /** @param {Uint8Array} data @param {boolean} replay what programs ask of a terminal in it has been answered before */
  write(data, replay) {
    if (!replay) return this.terminal.write(data);
    this.#replaying += 1;
    this.terminal.write(data, () => (this.#replaying -= 1));
  }

  gap() {
    this.terminal.write(GAP);
  }

  clear() {
    this.terminal.reset();
    this.#host.titled('');
  }

  /** @param {boolean} listens whether what is typed arrives */
  setListens(listens) {
    this.terminal.options.disableStdin = !listens;
    this.terminal.options.cursorBlink = listens;
  }

  copy() {
    void copyNow(this.terminal.getSelection(), this.#host.notes);
    this.terminal.clearSelection();
  }

  async paste() {
    const text = await navigator.clipboard?.readText?.().catch(() => null);
    if (text) this.terminal.paste(text);
    else if (text !== '') this.#host.notes.show('paste', { text: 'The browser did not let the page read its clipboard.', hint: 'Press Ctrl+Shift+V in the terminal.', tone: 'bad' });
    this.focus();
  }

  /** A key that a touch keyboard lacks. @param {string} name */
  press(name) {
    const arrow = { Up: 'A', Down: 'B', Right: 'C', Left: 'D' }[name];
    const text = arrow ? `\x1b${this.terminal.modes.applicationCursorKeysMode ? 'O' : '['}${arrow}` : ({ Esc: '\x1b', Tab: '\t', 'Ctrl C': '\x03' }[name] ?? '');
    this.terminal.input(text, true);
    this.focus();
  }

  /** @param {Uint8Array} data */
  #typed(data) {
    if (this.#replaying === 0) this.#host.typed(data);
  }

  /** What is not for the desktop. @param {KeyboardEvent} event @returns {boolean} false: xterm.js leaves it alone */
  #key(event) {
    const { ctrlKey, shiftKey, altKey, metaKey, code, type } = event;
    if (type !== 'keydown') return true;
    if (ctrlKey && altKey && shiftKey && ['Control', 'Alt', 'Shift'].includes(event.key)) {
      this.#host.leave();
      return false;
    }
    // the browser pastes then
    if (ctrlKey && shiftKey && !altKey && code === 'KeyV') return false;
    if (shiftKey && !ctrlKey && !altKey && code === 'Insert') return false;
    const copies = code === 'KeyC' && ((ctrlKey && shiftKey && !altKey) || metaKey);
    if (!copies) return true;
    event.preventDefault();
    if (this.terminal.hasSelection()) this.copy();
    return false;
  }
}

/** @param {string} address @returns {Promise<void>} */
function loadStyle(address) {
  return new Promise((resolve, reject) => {
    document.head.append(element('link', { rel: 'stylesheet', href: address, onload: () => resolve(), onerror: () => reject(new Error(`${address} did not come`)) }));
  });
}
