/** Two clocks of the connection, pure: whether the other end still answers, and how its milliseconds map to ours. */

export const PING_EVERY_MS = 1000;
export const SILENT_AFTER_MS = 3500;
/** A page in the background is woken rarely: a gap this long in our own ticks says nothing about the other end. */
const ASLEEP_MS = 2500;

export class Pulse {
  #heard;
  #pinged = -Infinity;
  #ticked;

  /** @param {number} now ms */
  constructor(now) {
    this.#heard = now;
    this.#ticked = now;
  }

  /** Something came from the other end. @param {number} now */
  heard(now) {
    this.#heard = now;
  }

  /** @param {number} now @returns {'ping' | 'silent' | null} what to do now */
  tick(now) {
    const asleep = now - this.#ticked >= ASLEEP_MS;
    this.#ticked = now;
    if (asleep) this.#heard = now;
    if (now - this.#heard >= SILENT_AFTER_MS) return 'silent';
    if (now - this.#pinged < PING_EVERY_MS) return null;
    this.#pinged = now;
    return 'ping';
  }
}

/** The streamer's clock in ours, from the quickest of the last answers. */
export class Clock {
  /** @type {{ trip: number, offset: number }[]} */
  #samples = [];

  /** @param {number} sent our ms @param {number} theirs the streamer's ms when it answered @param {number} received our ms */
  sample(sent, theirs, received) {
    const trip = received - sent;
    if (trip < 0) return;
    this.#samples.push({ trip, offset: theirs - (sent + trip / 2) });
    if (this.#samples.length > 20) this.#samples.shift();
  }

  /** @returns {{ trip: number, offset: number } | null} */
  get best() {
    return this.#samples.reduce((/** @type {{ trip: number, offset: number } | null} */ best, one) => (best === null || one.trip < best.trip ? one : best), null);
  }

  /** The last round trip, ms. @returns {number | null} */
  get roundTripMs() {
    return this.#samples.at(-1)?.trip ?? null;
  }

  /** How old something is. @param {number} captured the streamer's ms @param {number} now our ms @returns {number | null} ms */
  age(captured, now) {
    const best = this.best;
    return best === null ? null : Math.max(0, now + best.offset - captured);
  }
}

/**
 * When a frame was captured, from its RTP timestamp (90 kHz, 32 bits, may have wrapped).
 * @param {number} rtp @param {{ rtp: number, captured: number }} clock one frame whose time is known @returns {number} the streamer's ms
 */
export function capturedAt(rtp, clock) {
  return clock.captured + ((rtp - clock.rtp) | 0) / 90;
}
