/**
 * What fingers mean: a pure machine. A tap is a click, a second tap near it a double click, a long press a right click; one finger
 * that moves drags with the left button; two fingers scroll (their distance, a pinch, means nothing); three move the picture where it
 * is larger than the window. Time and places are passed in.
 */

export const TAP_MOVE_PX = 10;
export const LONG_PRESS_MS = 500;
const DOUBLE_TAP_MS = 350;
const DOUBLE_TAP_PX = 32;
const PIXELS_PER_NOTCH = 40;
const NOTCH = 120;

/** @typedef {{ x: number, y: number }} Place CSS pixels */
/**
 * @typedef {{ do: 'move', at: Place } | { do: 'button', button: 'left' | 'right', down: boolean, at: Place }
 *   | { do: 'scroll', x: number, y: number, at: Place } | { do: 'pan', x: number, y: number } | { do: 'buzz' }} Gesture `scroll` in
 *   1/120 of a notch, `pan` in CSS pixels by which the page scrolls
 */
/** @typedef {'idle' | 'pressed' | 'dragging' | 'scrolling' | 'panning' | 'spent'} Phase */

export class Touch {
  /** @type {Phase} */
  phase = 'idle';
  /** @type {Map<number, Place>} */
  #fingers = new Map();
  /** @type {Place} */
  #start = { x: 0, y: 0 };
  #since = 0;
  /** @type {{ at: Place, time: number } | null} */
  #lastTap = null;

  /** @returns {number | null} when `tick` is due, in the time of the events */
  get due() {
    return this.phase === 'pressed' ? this.#since + LONG_PRESS_MS : null;
  }

  /** @param {number} id @param {Place} at @param {number} now ms @returns {Gesture[]} */
  down(id, at, now) {
    this.#fingers.set(id, at);
    if (this.#fingers.size === 1) {
      this.phase = 'pressed';
      this.#start = this.#near(at, now);
      this.#since = now;
      return [];
    }
    if (this.#fingers.size > 2) return this.#third();
    const before = this.phase === 'dragging' ? [this.#left(false, at)] : [];
    const scrolls = this.phase === 'pressed' || this.phase === 'dragging';
    this.phase = scrolls ? 'scrolling' : 'spent';
    this.#start = this.#middle();
    return before;
  }

  /** @param {number} id @param {Place} at @returns {Gesture[]} */
  move(id, at) {
    if (!this.#fingers.has(id)) return [];
    this.#fingers.set(id, at);
    if (this.phase === 'dragging') return [{ do: 'move', at }];
    if (this.phase === 'scrolling') return this.#scroll();
    if (this.phase === 'panning') return this.#pan();
    if (this.phase !== 'pressed' || distance(at, this.#start) <= TAP_MOVE_PX) return [];
    this.phase = 'dragging';
    return [{ do: 'move', at: this.#start }, this.#left(true, this.#start), { do: 'move', at }];
  }

  /** @param {number} id @param {Place} at @param {number} now @returns {Gesture[]} */
  up(id, at, now) {
    if (!this.#fingers.delete(id)) return [];
    const phase = this.phase;
    this.phase = this.#fingers.size === 0 ? 'idle' : 'spent';
    if (phase === 'dragging') return [this.#left(false, at)];
    if (phase !== 'pressed') return [];
    this.#lastTap = { at: this.#start, time: now };
    return [{ do: 'move', at: this.#start }, this.#left(true, this.#start), this.#left(false, this.#start)];
  }

  /** The browser took the finger, or the page loses the screen. @param {number} id @returns {Gesture[]} */
  cancel(id) {
    const at = this.#fingers.get(id);
    if (at === undefined) return [];
    this.#fingers.delete(id);
    const dragging = this.phase === 'dragging';
    this.phase = this.#fingers.size === 0 ? 'idle' : 'spent';
    return dragging ? [this.#left(false, at)] : [];
  }

  /** @param {number} now @returns {Gesture[]} */
  tick(now) {
    if (this.due === null || now < this.due) return [];
    this.phase = 'spent';
    const at = this.#start;
    return [
      { do: 'move', at },
      { do: 'button', button: 'right', down: true, at },
      { do: 'button', button: 'right', down: false, at },
      { do: 'buzz' },
    ];
  }

  /** @returns {Gesture[]} */
  #third() {
    this.phase = this.phase === 'scrolling' && this.#fingers.size === 3 ? 'panning' : 'spent';
    this.#start = this.#middle();
    return [];
  }

  /** Three fingers moved: the picture follows them. @returns {Gesture[]} */
  #pan() {
    const { x, y } = this.#start;
    this.#start = this.#middle();
    return [{ do: 'pan', x: x - this.#start.x, y: y - this.#start.y }];
  }

  /** Two fingers moved: the content follows them. @returns {Gesture[]} */
  #scroll() {
    const middle = this.#middle();
    const x = ((this.#start.x - middle.x) / PIXELS_PER_NOTCH) * NOTCH;
    const y = ((this.#start.y - middle.y) / PIXELS_PER_NOTCH) * NOTCH;
    this.#start = middle;
    return x === 0 && y === 0 ? [] : [{ do: 'scroll', x, y, at: middle }];
  }

  /** A second tap lands on the first, as a double click must. @param {Place} at @param {number} now @returns {Place} */
  #near(at, now) {
    const last = this.#lastTap;
    const doubles = last !== null && now - last.time <= DOUBLE_TAP_MS && distance(last.at, at) <= DOUBLE_TAP_PX;
    return doubles ? last.at : at;
  }

  /** @param {boolean} down @param {Place} at @returns {Gesture} */
  #left(down, at) {
    return { do: 'button', button: 'left', down, at };
  }

  /** @returns {Place} */
  #middle() {
    const places = [...this.#fingers.values()];
    const sum = places.reduce((all, one) => ({ x: all.x + one.x, y: all.y + one.y }), { x: 0, y: 0 });
    return { x: sum.x / places.length, y: sum.y / places.length };
  }
}

/** @param {Place} a @param {Place} b @returns {number} */
const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
