/** Short notes at the edge of the page: errors, questions, offers. Says them to screen readers too. */

import { element, icon } from './dom.js';

/** @typedef {{ text: string, hint?: string, tone?: 'plain' | 'bad', actions?: { text: string, primary?: boolean, run: () => void }[], lastsMs?: number }} Note */

const LASTS_MS = 6000;

export class Notes {
  /** @type {Map<string, { box: HTMLElement, timer: ReturnType<typeof setTimeout> | undefined }>} */
  #shown = new Map();

  /** @param {HTMLElement} region */
  constructor(region) {
    this.region = region;
  }

  /** @param {string} name a note of the same name is replaced @param {Note} note `lastsMs` 0: until it is closed */
  show(name, note) {
    this.hide(name);
    const close = () => this.hide(name);
    const actions = (note.actions ?? []).map(({ text, primary, run }) =>
      element('button', { class: primary ? 'button primary' : 'button', type: 'button', onclick: () => (close(), run()) }, text),
    );
    const words = element('div', { class: 'words' }, element('p', {}, note.text));
    if (note.hint) words.append(element('p', { class: 'hint' }, note.hint));
    const closer = element('button', { class: 'button quiet icon-only', type: 'button', 'aria-label': 'Close', onclick: close }, icon('close'));
    const box = element('div', { class: `note ${note.tone ?? 'plain'}`, 'data-note': name }, words, ...actions, closer);
    this.region.append(box);
    const lasts = note.lastsMs ?? LASTS_MS;
    this.#shown.set(name, { box, timer: lasts === 0 ? undefined : setTimeout(close, lasts) });
  }

  /** @param {string} name */
  hide(name) {
    const found = this.#shown.get(name);
    clearTimeout(found?.timer);
    found?.box.remove();
    this.#shown.delete(name);
  }
}
