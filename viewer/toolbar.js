/** The bar and its menu: layouts, key combinations, panels. Everything in it can be reached with the keyboard. */

import { byId, element } from './dom.js';
import { toggleFullscreen, listenFullscreen } from './fullscreen.js';
import { keysymOfKey } from './keysyms.js';

/** @typedef {import('./geometry.js').Layout} Layout */
/** @typedef {{ isOpen: boolean, setOpen: (open: boolean) => void }} Panel */

/** @param {string} code @param {string} key @param {number} [location] @returns {[string, number]} */
const key = (code, key, location = 0) => [code, keysymOfKey(key, location) ?? 0];
const CTRL = key('ControlLeft', 'Control', 1);
const ALT = key('AltLeft', 'Alt', 1);
const SHIFT = key('ShiftLeft', 'Shift', 1);

/** What browsers or systems keep for themselves. @type {[string, [string, number][]][]} */
const COMBINATIONS = [
  ['Ctrl Alt Del', [CTRL, ALT, key('Delete', 'Delete')]],
  ['Ctrl W', [CTRL, key('KeyW', 'w')]],
  ['Ctrl T', [CTRL, key('KeyT', 't')]],
  ['Ctrl Shift T', [CTRL, SHIFT, key('KeyT', 't')]],
  ['Alt Tab', [ALT, key('Tab', 'Tab')]],
  ['Alt F4', [ALT, key('F4', 'F4')]],
  ['Super', [key('MetaLeft', 'Meta', 1)]],
  ['Esc', [key('Escape', 'Escape')]],
  ['Print', [key('PrintScreen', 'PrintScreen')]],
];

/**
 * @param {{ setLayout: (layout: Layout) => void, tap: (keys: [string, number][]) => void, upload: (files: File[]) => void,
 *   panels: { stats: Panel, timeline: Panel, terminal: Panel }, keyboard: import('./keyboard.js').Keyboard, notes: import('./notes.js').Notes,
 *   focusScreen: () => void }} host
 * @returns {{ closeTerminal: () => void }} closes the panel, and the keyboard goes back to where it was opened if it was there
 */
export function setUpToolbar(host) {
  const menu = byId('menu', HTMLElement);
  const closeMenu = () => menu.matches(':popover-open') && menu.hidePopover();
  setUpLayouts(host.setLayout, closeMenu);
  for (const [name, keys] of COMBINATIONS) {
    const run = () => (closeMenu(), host.tap(keys), host.focusScreen());
    byId('combinations', HTMLElement).append(element('button', { type: 'button', onclick: run }, name));
  }
  setSendable(false);
  const closeTerminal = setUpPanels(host, closeMenu);
  setUpUpload(host.upload, closeMenu);
  setUpTouchKeyboard();
  setUpCommandKey(host.keyboard);
  menu.addEventListener('toggle', () => placeMenu(menu));
  return { closeTerminal };
}

/** Key combinations go to the desktop only while this person drives. @param {boolean} drives */
export function setSendable(drives) {
  for (const button of byId('combinations', HTMLElement).querySelectorAll('button')) button.disabled = !drives;
  byId('combinations-hint', HTMLElement).hidden = drives;
}

/** @param {(layout: Layout) => void} set @param {() => void} closeMenu */
function setUpLayouts(set, closeMenu) {
  const buttons = [...document.querySelectorAll('[data-layout]')].filter((one) => one instanceof HTMLElement);
  const show = (/** @type {string} */ layout) => {
    for (const button of buttons) {
      const on = button.dataset.layout === layout;
      button.setAttribute(button.getAttribute('role') === 'radio' ? 'aria-checked' : 'aria-pressed', String(on));
      if (button.getAttribute('role') === 'radio') button.tabIndex = on ? 0 : -1;
    }
    set(/** @type {Layout} */ (layout));
  };
  for (const button of buttons) button.addEventListener('click', () => (show(button.dataset.layout ?? 'fit'), closeMenu()));
  byId('layouts', HTMLElement).addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const radios = buttons.filter((one) => one.getAttribute('role') === 'radio' && !one.hidden);
    const next = radios.at((radios.indexOf(/** @type {HTMLElement} */ (event.target)) + step) % radios.length);
    next?.focus();
    show(next?.dataset.layout ?? 'fit');
  });
  show('fit');
}

/** @param {Parameters<typeof setUpToolbar>[0]} host @param {() => void} closeMenu @returns {() => void} closes the terminal's */
function setUpPanels({ panels, notes }, closeMenu) {
  // they lie in the same place: one at a time
  const stats = setUpPanel('stats', panels.stats, () => timeline.set(false), closeMenu);
  const timeline = setUpPanel('timeline', panels.timeline, () => stats.set(false), closeMenu);
  const terminal = setUpPanel('terminal', panels.terminal, () => undefined, closeMenu);
  const fullscreen = () => (closeMenu(), void toggleFullscreen(document.documentElement, notes));
  byId('fullscreen', HTMLElement).addEventListener('click', fullscreen);
  byId('menu-fullscreen', HTMLElement).addEventListener('click', fullscreen);
  listenFullscreen(() => {
    const on = document.fullscreenElement !== null;
    document.body.classList.toggle('fullscreen', on);
    byId('fullscreen', HTMLElement).setAttribute('aria-label', on ? 'Leave fullscreen' : 'Fullscreen');
  });
  return () => (byId('terminal', HTMLElement).contains(document.activeElement) ? terminal.leave() : terminal.set(false));
}

/**
 * A panel with a button in the bar and an entry in the menu.
 * @param {string} name @param {Panel} panel @param {() => void} closeOther @param {() => void} closeMenu
 * @returns {{ set: (open: boolean) => void, leave: () => void }} shows or hides it; hides it and gives its button the keyboard
 */
function setUpPanel(name, panel, closeOther, closeMenu) {
  const button = byId(`${name}-button`, HTMLElement);
  const set = (/** @type {boolean} */ open) => {
    if (open) closeOther();
    panel.setOpen(open);
    button.setAttribute('aria-expanded', String(open));
  };
  const toggle = () => (set(!panel.isOpen), closeMenu());
  // in a narrow window the button is not there: the menu's is
  const leave = () => (set(false), (button.checkVisibility() ? button : byId('menu-button', HTMLElement)).focus());
  button.addEventListener('click', toggle);
  byId(`menu-${name}`, HTMLElement).addEventListener('click', toggle);
  byId(`${name}-close`, HTMLElement).addEventListener('click', leave);
  // an Escape that is typed into a text field, as the terminal's, is for that
  byId(name, HTMLElement).addEventListener('keydown', (event) => event.key === 'Escape' && !(event.target instanceof HTMLTextAreaElement) && leave());
  return { set, leave };
}

/** @param {(files: File[]) => void} upload @param {() => void} closeMenu */
function setUpUpload(upload, closeMenu) {
  const chooser = byId('files', HTMLInputElement);
  byId('upload', HTMLElement).addEventListener('click', () => chooser.click());
  byId('menu-upload', HTMLElement).addEventListener('click', () => (closeMenu(), chooser.click()));
  chooser.addEventListener('change', () => {
    upload([...(chooser.files ?? [])]);
    chooser.value = '';
  });
}

/** Shows and hides the keyboard of a phone: it comes with the focus of the text field. */
function setUpTouchKeyboard() {
  const field = byId('keys', HTMLTextAreaElement);
  const button = byId('keyboard', HTMLElement);
  // pressing a button would take the focus before the click
  button.addEventListener('pointerdown', (event) => event.preventDefault());
  button.addEventListener('click', () => (document.activeElement === field ? field.blur() : field.focus()));
  field.addEventListener('focus', () => button.setAttribute('aria-pressed', 'true'));
  field.addEventListener('blur', () => button.setAttribute('aria-pressed', 'false'));
}

/** @param {import('./keyboard.js').Keyboard} keyboard */
function setUpCommandKey(keyboard) {
  const item = byId('command-key', HTMLElement);
  item.hidden = keyboard.platform !== 'mac';
  item.addEventListener('click', () => {
    keyboard.commandIsControl = !keyboard.commandIsControl;
    item.setAttribute('aria-pressed', String(keyboard.commandIsControl));
  });
}

/** @param {HTMLElement} menu */
function placeMenu(menu) {
  const anchor = byId('menu-button', HTMLElement).getBoundingClientRect();
  menu.style.top = `${anchor.bottom + 6}px`;
  menu.style.right = `${Math.max(8, document.documentElement.clientWidth - anchor.right)}px`;
}
