/**
 * Keeps what people do in order while a paste is on its way: the desktop must have the text before the key that pastes it, and that
 * key must be there before the next text. Pure, time is passed in. Drops no message but a key that would paste another text than the
 * person meant: when the desktop did not take theirs, its press and its release are left out, and `problems` says why.
 */

import { message, tooLarge } from './wire.js';

/** @typedef {import('./wire.js').Message} Message */
/**
 * A place in the queue where a text goes; what follows waits until the desktop has it. `key`: the press that pastes it, sent then; null:
 * the browser's menu pasted. `text` null: the browser has not given it yet. `n` 0: not sent yet. `problem`: why it will not be.
 * @typedef {{ key: Message | null, text: string | null, until: number, n: number, problem: string | null }} Paste
 */

/** A desktop under load may take seconds to take a text. */
export const CLIPBOARD_DEADLINE_MS = 5000;
/** The browser gives its clipboard in the task after the key, or not at all. */
export const PASTE_EVENT_MS = 150;

export class Outbox {
  /** Why texts were not pasted, in order; for who reads it, and empties it. @type {string[]} */
  problems = [];
  /** @type {(Message | Paste)[]} */
  #queue = [];
  /** Codes of keys whose press was left out. @type {Set<unknown>} */
  #unpressed = new Set();
  #n = 0;

  /** Whether something waits: what was pressed before is held in the desktop, though its release may be here already. @returns {boolean} */
  get waits() {
    return this.#queue.length > 0;
  }

  /** When `tick` is due, ms. @returns {number | null} */
  get due() {
    const head = this.#queue[0];
    return head !== undefined && isPaste(head) ? head.until : null;
  }

  /** @param {Message[]} messages @param {number} now ms @returns {Message[]} what to send now, as of all methods here */
  pass(messages, now) {
    this.#queue.push(...messages);
    return this.tick(now);
  }

  /** The press of a key that pastes; `pass` gets what follows it. @param {Message} key @param {number} now */
  pasteKey(key, now) {
    this.#queue.push({ key, text: null, until: now + PASTE_EVENT_MS, n: 0, problem: null });
  }

  /**
   * What the browser's clipboard holds, for the key that pastes; empty if there is no text in it.
   * @param {string} text @param {number} now @param {number} [mostBytes] of one message, on the way that is used @returns {Message[]}
   */
  clipboard(text, now, mostBytes = Infinity) {
    const problem = tooLarge(text, mostBytes);
    const waiting = this.#queue.find((one) => isPaste(one) && one.text === null);
    if (waiting !== undefined && isPaste(waiting)) Object.assign(waiting, { text, problem });
    else this.#queue.push({ key: null, text, until: now, n: 0, problem });
    return this.tick(now);
  }

  /** @param {number} n @param {number} now @returns {Message[]} */
  clipboardIsSet(n, now) {
    const head = this.#queue[0];
    if (head !== undefined && isPaste(head) && head.n === n && n !== 0) this.#press(head);
    return this.tick(now);
  }

  /** The desktop will not have a text. @param {number} n its number @param {string} why @param {number} now @returns {Message[]} */
  refused(n, why, now) {
    const head = this.#queue[0];
    if (head !== undefined && isPaste(head) && head.n === n && n !== 0) head.problem = why;
    return this.tick(now);
  }

  /** @param {number} now @returns {Message[]} */
  tick(now) {
    /** @type {Message[]} */
    const messages = [];
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      if (!isPaste(head)) {
        if (this.#mayGo(head)) messages.push(head);
        this.#queue.shift();
      } else if (head.problem !== null) this.#leaveOut(head, head.problem);
      else if (head.text !== null && head.text !== '' && head.n === 0) {
        head.n = this.#n += 1;
        head.until = now + CLIPBOARD_DEADLINE_MS;
        messages.push(message.clipboard(head.text, head.n));
        break;
      } else if (head.text !== '' && now < head.until) break;
      else if (head.n !== 0) this.#leaveOut(head, `the desktop did not take it in ${CLIPBOARD_DEADLINE_MS / 1000} s`);
      else this.#press(head);
    }
    return messages;
  }

  /** Control or the connection is gone: what waits must not be done later. */
  forget() {
    if (this.#queue.some(isPaste)) this.problems.push('the window was left before the desktop had taken it, and so was not what came after it');
    this.#queue = [];
    this.#unpressed.clear();
  }

  /** The key's turn has come. @param {Paste} head */
  #press({ key }) {
    this.#queue.splice(0, 1, ...(key === null ? [] : [key]));
  }

  /** @param {Paste} head @param {string} why */
  #leaveOut({ key }, why) {
    this.#queue.shift();
    if (key !== null) this.#unpressed.add(key.code);
    this.problems.push(why);
  }

  /** Not the release of a key that was not pressed. @param {Message} one @returns {boolean} */
  #mayGo(one) {
    return one.t !== 'key' || !this.#unpressed.delete(one.code) || one.down === true;
  }
}

/** @param {Message | Paste} one @returns {one is Paste} */
const isPaste = (one) => 'until' in one;
