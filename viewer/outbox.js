/**
 * Keeps what people do in order while a paste is on its way: the desktop must have the text before the key that pastes it, and that
 * key must be there before the next text. Pure, time is passed in; never drops a message.
 */

import { message } from './wire.js';

/** @typedef {import('./wire.js').Message} Message */
/**
 * A place in the queue where a text goes, and what follows waits until the desktop has it. `text` null: the browser has not given it yet;
 * `n` 0: not sent yet.
 * @typedef {{ text: string | null, until: number, n: number }} Paste
 */

export const CLIPBOARD_DEADLINE_MS = 1000;
/** The browser gives its clipboard in the task after the key, or not at all. */
export const PASTE_EVENT_MS = 150;

export class Outbox {
  /** @type {(Message | Paste)[]} */
  #queue = [];
  #n = 0;

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

  /** A key that pastes is about to be passed. @param {number} now */
  pasteKey(now) {
    this.#queue.push({ text: null, until: now + PASTE_EVENT_MS, n: 0 });
  }

  /** What the browser's clipboard holds, for the key that pastes; empty if there is no text in it. @param {string} text @param {number} now @returns {Message[]} */
  clipboard(text, now) {
    const waiting = this.#queue.find((one) => isPaste(one) && one.text === null);
    if (waiting !== undefined && isPaste(waiting)) waiting.text = text;
    else this.#queue.push({ text, until: now, n: 0 });
    return this.tick(now);
  }

  /** @param {number} n @param {number} now @returns {Message[]} */
  clipboardIsSet(n, now) {
    const head = this.#queue[0];
    if (head !== undefined && isPaste(head) && head.n === n && n !== 0) this.#queue.shift();
    return this.tick(now);
  }

  /** @param {number} now @returns {Message[]} */
  tick(now) {
    /** @type {Message[]} */
    const messages = [];
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      if (!isPaste(head)) messages.push(head);
      else if (head.text !== null && head.text !== '' && head.n === 0) {
        head.n = this.#n += 1;
        head.until = now + CLIPBOARD_DEADLINE_MS;
        messages.push(message.clipboard(head.text, head.n));
        break;
      } else if (head.text !== '' && now < head.until) break;
      this.#queue.shift();
    }
    return messages;
  }

  /** Control or the connection is gone: what waits must not be done later. */
  forget() {
    this.#queue = [];
  }
}

/** @param {Message | Paste} one @returns {one is Paste} */
const isPaste = (one) => 'until' in one;
