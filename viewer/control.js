/** Who drives, in the bar: shows it, asks for it, gives it back; and gets back what a broken connection took. */

import { byId, element, icon } from './dom.js';
import { leaseView, takesAgain } from './lease.js';
import { message } from './wire.js';

/** @typedef {import('./wire.js').Lease} Lease */
/** @typedef {import('./wire.js').Message} Message */

/** As long as an answer may take. */
const TAKING_MS = 2000;
/** So long a person who came back over another connection may seem to be somebody else. */
const SETTLES_MS = 1000;

export class Control {
  /** @type {Lease | null} */
  #lease = null;
  /** null: not known yet. @type {'view' | 'control' | null} */
  #rights = null;
  #asked = false;
  /** @type {string | null} */
  #kept = null;
  /** Control was had when the connection broke, and it is not clear yet who has it now. */
  #had = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #lostTimer;
  /** A first press takes control from the agent, too. */
  #takes = false;
  /** Until when control counts as given, before the server has said so: a first press must not be lost. */
  #takingUntil = -Infinity;

  /**
   * @param {HTMLElement} bar @param {HTMLElement} menu where the further choices are for a narrow window @param {import('./notes.js').Notes} notes
   * @param {{ send: (message: Message) => void, changed: () => void }} host
   */
  constructor(bar, menu, notes, host) {
    this.bar = bar;
    this.menu = menu;
    this.notes = notes;
    this.host = host;
    this.#hideWhatNeedsControl(true);
  }

  get drives() {
    if (this.#rights !== 'control') return false;
    return this.#lease?.holder === 'you' || (this.#isFree && performance.now() < this.#takingUntil);
  }

  /** Whether a press on the screen is enough to drive: nobody does, or the agent, and the link says that this is enough. */
  get #isFree() {
    return this.#lease?.holder === 'none' || (this.#lease?.holder === 'agent' && this.#takes);
  }

  get mayControl() {
    return this.#rights === 'control';
  }

  /** @param {'view' | 'control'} rights */
  setRights(rights) {
    if (rights === this.#rights) return;
    this.#rights = rights;
    this.#hideWhatNeedsControl(rights !== 'control');
    document.body.classList.toggle('view-only', rights === 'view');
    this.#show();
  }

  /** Nothing is shown that would do nothing. @param {boolean} hidden */
  #hideWhatNeedsControl(hidden) {
    for (const one of document.querySelectorAll('[data-needs="control"]')) one.toggleAttribute('hidden', hidden);
  }

  /** @param {boolean} takes */
  setTakes(takes) {
    this.#takes = takes;
  }

  /** @param {Lease} lease */
  take(lease) {
    const before = this.#lease;
    if (lease.holder !== 'other' || before?.holder !== 'other' || before.name !== lease.name) this.#asked = false;
    if (lease.wanted_by === null || lease.wanted_by === undefined) this.#kept = null;
    this.#lease = lease;
    if (lease.holder === 'you') this.#settled();
    else if (takesAgain(lease, this.#had) && this.mayControl) this.#want('take');
    else if (this.#had) this.#lostTimer ??= setTimeout(() => this.#tellLost(), SETTLES_MS);
    if (!this.#isFree) this.#takingUntil = -Infinity;
    this.#show();
    this.host.changed();
  }

  /** The connection is gone: nobody knows who drives. */
  lost() {
    this.#had ||= this.drives;
    clearTimeout(this.#lostTimer);
    this.#lostTimer = undefined;
    this.#lease = null;
    this.#takingUntil = -Infinity;
    this.#show();
    this.host.changed();
  }

  /** A press on the screen: takes control where nobody has it, else says who does. */
  pressed() {
    if (this.#rights !== 'control' || this.drives || this.#lease === null) return;
    if (this.#isFree) return this.#want('take');
    const { label } = leaseView(this.#lease, this.#rights, { asked: this.#asked, kept: this.#kept });
    const choices = leaseView(this.#lease, this.#rights, { asked: false, kept: null }).choices.slice(0, 1);
    this.notes.show('who-drives', { text: `${label}.`, actions: choices.map(({ want, text }) => ({ text, primary: true, run: () => this.#want(want) })) });
  }

  /** Who drives is known again, or asked for. */
  #settled() {
    this.#had = false;
    clearTimeout(this.#lostTimer);
    this.#lostTimer = undefined;
    this.notes.hide('lost-control');
  }

  /** Control was had before the connection broke, and is somebody else's now: after a restart of the server, or a long while. */
  #tellLost() {
    this.#settled();
    const { label, choices } = leaseView(this.#lease, this.#rights ?? 'control', { asked: false, kept: null });
    const actions = choices.slice(0, 1).map(({ want, text }) => ({ text, primary: true, run: () => this.#want(want) }));
    this.notes.show('lost-control', { text: `You no longer drive. ${label}.`, lastsMs: 0, actions });
  }

  /** The server refused. */
  refused() {
    if (performance.now() >= this.#takingUntil) return;
    this.#takingUntil = -Infinity;
    this.host.changed();
  }

  /** @param {import('./wire.js').LeaseWish} want */
  #want(want) {
    if (want === 'take') this.#takingUntil = performance.now() + TAKING_MS;
    if (want === 'request') this.#asked = true;
    this.notes.hide('who-drives');
    this.#settled();
    this.host.send(message.lease(want));
    this.#show();
    this.host.changed();
  }

  #show() {
    const view = leaseView(this.#lease, this.#rights ?? 'control', { asked: this.#asked, kept: this.#kept });
    const picture = { mine: 'person', agent: 'agent', other: 'person', free: '', view: 'eye' }[view.tone];
    const label = element('span', { class: `who ${view.tone}`, title: view.label }, ...(picture ? [icon(picture)] : []), element('span', {}, view.label));
    const buttons = view.choices.map(({ want, text, hint, primary }) =>
      element('button', { class: primary ? 'button primary' : 'button', type: 'button', title: hint, 'data-want': want, onclick: () => this.#want(want) }, text),
    );
    this.#showInMenu(view);
    const hadFocus = this.bar.contains(document.activeElement);
    this.bar.replaceChildren(label, ...buttons);
    if (hadFocus) buttons[0]?.focus();
    this.#showRequest(view.asks);
  }

  /** Who drives in words, and what the bar of a narrow window has no room for. @param {import('./lease.js').LeaseView} view */
  #showInMenu({ label, choices }) {
    const further = choices.slice(1).map(({ want, text, hint }) =>
      element('button', { type: 'button', title: hint, onclick: () => (byId('menu', HTMLElement).hidePopover(), this.#want(want)) }, text),
    );
    const hadFocus = this.menu.contains(document.activeElement);
    this.menu.replaceChildren(element('h2', {}, label), ...further);
    if (hadFocus) (further[0] ?? byId('menu', HTMLElement).querySelector('button'))?.focus();
  }

  /** @param {string | null} who */
  #showRequest(who) {
    if (who === null) return this.notes.hide('request');
    const keep = () => {
      this.#kept = who;
      this.#show();
    };
    this.notes.show('request', {
      text: `${who} asks for control.`,
      lastsMs: 0,
      actions: [{ text: 'Give', primary: true, run: () => this.#want('give') }, { text: 'Keep', run: keep }],
    });
  }
}
