/**
 * The terminal panel: a terminal of the desktop below its picture. It has the keyboard while it has the focus, and the desktop has it
 * while the desktop has the focus; never both. Closing it lets go of the terminal, which runs on: opening it again comes back.
 */

import { byId, element, setText } from './dom.js';
import { loadTerminalScreen } from './terminal_screen.js';
import { endText, panelHeight, terminalStatus } from './terminal_model.js';
import { TerminalSession } from './terminal_session.js';

const TOUCH_KEYS = ['Esc', 'Tab', 'Ctrl C', 'Left', 'Up', 'Down', 'Right'];
const ARROWS = /** @type {Record<string, string>} */ ({ Left: '←', Up: '↑', Down: '↓', Right: '→' });
const STEP_PX = 24;

export class TerminalPanel {
  /** @type {import('./terminal_screen.js').TerminalScreen | null} */
  #screen = null;
  /** @type {Promise<void> | null} */
  #loading = null;
  #height = 300;
  #box = byId('terminal-box', HTMLElement);
  #edge = byId('terminal-edge', HTMLElement);
  #copy = byId('terminal-copy', HTMLButtonElement);
  #middle = byId('middle', HTMLElement);

  /**
   * @param {HTMLElement} panel @param {import('./api.js').Api} api @param {string} sandbox @param {import('./notes.js').Notes} notes
   * @param {{ leave: () => void, ended: () => void }} host `leave`: the keyboard goes back to the bar; `ended`: the shell has, so the panel is to close
   */
  constructor(panel, api, sandbox, notes, host) {
    this.panel = panel;
    this.notes = notes;
    this.host = host;
    this.session = new TerminalSession(api, sandbox, {
      changed: () => this.#changed(),
      output: (data, replay) => this.#screen?.write(data, replay),
      clear: () => this.#screen?.clear(),
      gap: () => this.#screen?.gap(),
      size: () => this.#screen?.size ?? { rows: 24, columns: 80 },
    });
    byId('terminal-again', HTMLElement).addEventListener('click', () => this.#again());
    this.#copy.addEventListener('click', () => (this.#screen?.copy(), this.#screen?.focus()));
    byId('terminal-paste', HTMLElement).addEventListener('click', () => void this.#screen?.paste());
    this.#setUpEdge();
    for (const name of TOUCH_KEYS) {
      const press = () => this.#screen?.press(name);
      const button = element('button', { type: 'button', 'aria-label': name, onclick: press, onpointerdown: (event) => event.preventDefault() }, ARROWS[name] ?? name);
      byId('terminal-keys', HTMLElement).append(button);
    }
    new ResizeObserver(() => this.isOpen && this.#setHeight(this.#height)).observe(this.#middle);
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  /** Whether keys go to it. @returns {boolean} */
  get hasFocus() {
    return this.panel.contains(document.activeElement);
  }

  /** @param {boolean} open */
  setOpen(open) {
    this.panel.hidden = !open;
    if (!open) {
      this.#middle.style.removeProperty('--below');
      return this.session.close();
    }
    this.#setHeight(this.#height);
    this.#loading ??= this.#load();
    void this.#loading.then(() => this.#begin());
  }

  /** The view's connection broke: this one may be dead as well. */
  doubt() {
    this.session.doubt();
  }

  #begin() {
    if (!this.isOpen || this.#screen === null) return;
    this.#screen.fit();
    this.session.open();
    this.#screen.focus();
    this.#changed();
  }

  async #load() {
    this.#say({ text: 'Loading…', hint: '', button: null, tone: 'plain' });
    try {
      this.#screen = await loadTerminalScreen(this.#box, {
        typed: (data) => this.session.type(data),
        resized: () => this.session.resize(),
        titled: (title) => setText(byId('terminal-title', HTMLElement), title),
        selected: (any) => (this.#copy.disabled = !any),
        leave: this.host.leave,
        notes: this.notes,
      });
    } catch {
      this.#loading = null;
      this.#say({ text: 'The terminal could not be loaded.', hint: 'The server lacks xterm.js, or does not answer. Its owner installs it with: make setup', button: 'Try again', tone: 'bad' });
    }
  }

  #again() {
    if (this.#screen === null) return this.setOpen(true);
    this.session.again();
    this.#screen.focus();
  }

  #changed() {
    const { link } = this.session;
    this.#screen?.setListens(this.session.listens);
    this.#say(terminalStatus(link, performance.now()));
    if (link.phase !== 'ended' || !this.isOpen) return;
    this.notes.show('terminal', { text: endText(link.end), tone: link.end?.exitCode === 0 ? 'plain' : 'bad' });
    this.host.ended();
  }

  /** @param {ReturnType<typeof terminalStatus>} status */
  #say({ text, hint, button, tone }) {
    const again = byId('terminal-again', HTMLElement);
    byId('terminal-status', HTMLElement).dataset.tone = tone;
    byId('terminal-status', HTMLElement).hidden = text === '';
    setText(byId('terminal-text', HTMLElement), [text, hint].filter(Boolean).join(' '));
    again.hidden = button === null;
    setText(again, button ?? '');
  }

  /** @param {number} wanted CSS pixels */
  #setHeight(wanted) {
    const room = this.#middle.clientHeight;
    const height = panelHeight(wanted, room);
    this.#middle.style.setProperty('--below', `${height}px`);
    this.#edge.setAttribute('aria-valuenow', String(height));
    this.#edge.setAttribute('aria-valuemax', String(panelHeight(Infinity, room)));
    return height;
  }

  /** The upper edge moves with the mouse, a finger, or arrow keys. */
  #setUpEdge() {
    const edge = this.#edge;
    edge.addEventListener('pointerdown', (event) => {
      event.preventDefault();
      edge.setPointerCapture(event.pointerId);
    });
    edge.addEventListener('pointermove', (event) => {
      if (edge.hasPointerCapture(event.pointerId)) this.#height = this.#setHeight(this.#middle.getBoundingClientRect().bottom - event.clientY);
    });
    edge.addEventListener('keydown', (event) => {
      const step = { ArrowUp: STEP_PX, ArrowDown: -STEP_PX }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      this.#height = this.#setHeight(this.#height + step);
    });
  }
}
