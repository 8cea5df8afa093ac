/**
 * What a person does, on its way to the desktop: keeps keys, buttons, wheel and clipboard in order, says `alive` while something is
 * held, and lets go of everything when the page loses focus, the connection or control.
 */

import { Keyboard } from './keyboard.js';
import { Outbox } from './outbox.js';
import { Wheel } from './wheel.js';
import { message } from './wire.js';

/** @typedef {import('./wire.js').Message} Message */
/** @typedef {import('./wire.js').Button} Button */
/** @typedef {import('./geometry.js').Place} Place */
/** @typedef {import('./keyboard.js').KeyFields} KeyFields */

const ALIVE_EVERY_MS = 200;
/** Newest place only, at most this often. */
const POINTER_EVERY_MS = 8;
/** PointerEvent.buttons, bit by bit. @type {[number, Button][]} */
const BUTTONS = [[1, 'left'], [4, 'middle'], [2, 'right'], [8, 'back'], [16, 'forward']];

/**
 * Which buttons went up and down between two values of PointerEvent.buttons: those that went up first.
 * @param {number} before @param {number} after @returns {{ button: Button, down: boolean }[]}
 */
export function buttonChanges(before, after) {
  const changed = BUTTONS.filter(([bit]) => (before & bit) !== (after & bit));
  const all = changed.map(([bit, button]) => ({ button, down: (after & bit) !== 0 }));
  return [...all.filter(({ down }) => !down), ...all.filter(({ down }) => down)];
}

export class Input {
  outbox = new Outbox();
  wheel = new Wheel();
  #buttons = 0;
  #drives = false;
  #pointedAt = -Infinity;
  /** @type {Place | null} */
  #newest = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pointTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #keyTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #aliveTimer;

  /**
   * @param {Keyboard} keyboard
   * @param {{ send: (message: Message) => void, point: (x: number, y: number) => void, leave: () => void, listens: () => boolean,
   *   mostBytes: () => number, notPasted: (why: string) => void }} host `listens`: keys still come here; `mostBytes`: of one message
   */
  constructor(keyboard, host) {
    this.keyboard = keyboard;
    this.host = host;
  }

  get drives() {
    return this.#drives;
  }

  /** Buttons that are held, as PointerEvent.buttons. @returns {number} */
  get buttons() {
    return this.#buttons;
  }

  /** @param {boolean} drives */
  setDrives(drives) {
    if (this.#drives && !drives) this.release();
    this.#drives = drives;
  }

  /** @param {Message[]} messages in order with all others */
  pass(messages) {
    if (!this.#drives) return;
    this.#send(this.outbox.pass(messages, performance.now()));
  }

  /** @param {Message[]} messages whose turn it is */
  #send(messages) {
    for (const one of messages) this.host.send(one);
    for (const why of this.outbox.problems.splice(0)) this.host.notPasted(why);
    this.#keepTime();
  }

  /** @param {KeyFields} fields @param {boolean} down @returns {{ prevent: boolean }} */
  key(fields, down) {
    if (!this.#drives) return { prevent: false };
    const now = performance.now();
    const outcome = down ? this.keyboard.down(fields, now) : this.keyboard.up(fields, now);
    // what goes up before the key, as a modifier, or with it, as on a Mac, is around its press
    const press = outcome.paste ? outcome.messages.findLastIndex((one) => one.down === true) : -1;
    if (press >= 0) {
      this.pass(outcome.messages.slice(0, press));
      this.outbox.pasteKey(outcome.messages[press], now);
    }
    this.pass(outcome.messages.slice(press + 1));
    if (outcome.leave) this.host.leave();
    return outcome;
  }

  /** @param {string} text */
  text(text) {
    if (text !== '') this.pass([...this.keyboard.settle(), message.text(text)]);
  }

  /** A key by name, for menus and touch keyboards. @param {[string, number][]} keys code and keysym, pressed in order and released in reverse */
  tap(keys) {
    const up = [...keys].reverse();
    this.pass([...keys.map(([code, keysym]) => message.key(true, code, keysym)), ...up.map(([code, keysym]) => message.key(false, code, keysym))]);
  }

  /** @param {Place} at */
  point(at) {
    if (!this.#drives) return;
    this.#newest = at;
    const wait = this.#pointedAt + POINTER_EVERY_MS - performance.now();
    clearTimeout(this.#pointTimer);
    if (wait <= 0) this.#sendPoint();
    else this.#pointTimer = setTimeout(() => this.#sendPoint(), wait);
  }

  #sendPoint() {
    if (this.#newest === null) return;
    this.#pointedAt = performance.now();
    this.host.point(this.#newest.x, this.#newest.y);
    this.#newest = null;
  }

  /** @param {number} buttons PointerEvent.buttons @param {Place} at @param {KeyFields | null} flags modifiers of the event */
  setButtons(buttons, at, flags) {
    const changes = buttonChanges(this.#buttons, buttons);
    if (changes.length === 0 || !this.#drives) return;
    this.#buttons = buttons;
    this.#newest = null;
    const messages = changes.map(({ button, down }) => message.button(button, down, at.x, at.y));
    this.pass([...this.keyboard.settle(flags), ...messages]);
  }

  /** @param {{ dx: number, dy: number } | null} turned @param {Place} at @param {KeyFields | null} flags */
  scroll(turned, at, flags) {
    if (turned !== null) this.pass([...this.keyboard.settle(flags), message.wheel(turned.dx, turned.dy, at.x, at.y)]);
  }

  /** @param {string} text goes before the key that pastes it */
  paste(text) {
    if (this.#drives) this.#send(this.outbox.clipboard(text, performance.now(), this.host.mostBytes()));
  }

  /** @param {number} n */
  clipboardIsSet(n) {
    this.#send(this.outbox.clipboardIsSet(n, performance.now()));
  }

  /** @param {number} n @param {string} why */
  clipboardIsRefused(n, why) {
    this.#send(this.outbox.refused(n, why, performance.now()));
  }

  /** Lets go of everything, here and there. */
  release() {
    const held = this.keyboard.holding || this.#buttons !== 0;
    this.outbox.forget();
    this.keyboard.releaseAll();
    this.#buttons = 0;
    this.#newest = null;
    clearTimeout(this.#pointTimer);
    if (this.#drives || held) this.host.send(message.release());
    this.#send([]);
  }

  /** One timer for what is due next, and one while something is held. */
  #keepTime() {
    clearTimeout(this.#keyTimer);
    const due = Math.min(this.keyboard.due ?? Infinity, this.outbox.due ?? Infinity);
    if (due !== Infinity) this.#keyTimer = setTimeout(() => this.#tick(), Math.max(0, due - performance.now()) + 1);
    const holds = this.keyboard.holding || this.#buttons !== 0 || this.outbox.waits;
    if (!holds) clearInterval(this.#aliveTimer);
    if (!holds) this.#aliveTimer = undefined;
    else this.#aliveTimer ??= setInterval(() => this.#stillHeld(), ALIVE_EVERY_MS);
  }

  /** Says so; unless the focus has gone without an event, when no keyup would come. */
  #stillHeld() {
    if (this.keyboard.holding && !this.host.listens()) this.release();
    else this.host.send(message.alive());
  }

  #tick() {
    const now = performance.now();
    this.#send(this.outbox.tick(now));
    this.pass(this.keyboard.tick(now));
  }
}
