/**
 * The life of a view as a state machine: pure, time is passed in. It decides when to open which transport, when to give one up,
 * when to try again, and when it is over. WebRTC comes first; the WebSocket (`socket`) where it does not connect in time, and
 * while on the socket WebRTC is tried again now and then, so that it can take over once it shows a picture.
 *
 *     idle ─start─► connecting ─up(webrtc)─► live ─down─► connecting / waiting ─retry─► connecting
 *                       └─────up(socket)─► fallback ─up(webrtc)─► live          any ─over─► ended ─retry─► connecting
 */

/** @typedef {'webrtc' | 'socket'} Kind */
/** @typedef {'idle' | 'connecting' | 'live' | 'fallback' | 'waiting' | 'ended'} Phase */
/**
 * Why a transport went down. media: this kind does not pass here; lost: it had worked, or the server does not answer;
 * paused, starting: the desktop is not there yet.
 * @typedef {'media' | 'lost' | 'paused' | 'starting'} Cause
 */
/**
 * @typedef {{ type: 'start' } | { type: 'retry' } | { type: 'network' } | { type: 'tick' } | { type: 'up', kind: Kind }
 *   | { type: 'progress', kind: Kind, step: 'answered' | 'connected' } | { type: 'down', kind: Kind, cause: Cause, reason?: string | null } | { type: 'over', reason: string, why: 'access' | 'sandbox' }} Event `reason`: what the server said
 */
/** @typedef {{ do: 'open' | 'close' | 'use', kind: Kind }} Command `use`: this transport's picture is shown from now on */

/** For the server's answer, then for a way through UDP, then for a picture. */
export const OPEN_DEADLINE_MS = 10_000;
export const UDP_DEADLINE_MS = 3000;
export const PICTURE_DEADLINE_MS = 6000;
const UPGRADE_AFTER_MS = [15_000, 30_000, 60_000, 120_000];
const BACKOFF_MS = [0, 500, 1000, 2000, 4000, 8000, 15_000];
const NOT_THERE_MS = 3000;
const STABLE_MS = 10_000;

export class Connection {
  /** @type {Phase} */
  phase = 'idle';
  /** Why it is over, or what the server last said was wrong; null if it said nothing in this round. @type {string | null} */
  reason = null;
  /** @type {'access' | 'sandbox' | null} */
  why = null;
  /** What it waits for. @type {Cause | null} */
  cause = null;
  /** When the next try comes, ms; only while waiting. @type {number | null} */
  retryAt = null;
  /** Whether a picture has been there before. */
  wasUp = false;
  /** @type {Kind | null} */
  trying = null;
  #attempts = 0;
  #upgrades = 0;
  /** @type {number | null} */
  #deadline = null;
  /** @type {number | null} */
  #upgradeAt = null;
  #upSince = 0;
  /** Why WebRTC did not come up in this round. */
  #mediaFailed = false;
  /** Nothing has gone wrong in this round yet: `reason` is of the one before. */
  #fresh = true;

  /** @param {{ webrtc: boolean }} can whether this browser has WebRTC at all @param {number} [spread] 0 to 1: moves each wait, so that many pages do not come at once */
  constructor(can, spread = 0) {
    this.can = can;
    this.spread = spread;
  }

  /** When the next `tick` is due, ms. @returns {number | null} */
  get due() {
    const times = [this.#deadline, this.#upgradeAt, this.retryAt].filter((time) => time !== null);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** Which transport is shown. @returns {Kind | null} */
  get shown() {
    return this.phase === 'live' ? 'webrtc' : this.phase === 'fallback' ? 'socket' : null;
  }

  /** @param {Event} event @param {number} now ms @returns {Command[]} */
  on(event, now) {
    switch (event.type) {
      case 'start':
        return this.phase === 'idle' ? this.#connect(now) : [];
      case 'retry':
        return this.phase === 'waiting' || this.phase === 'ended' ? this.#restart(now) : [];
      case 'network':
        return this.#networkChanged(now);
      case 'tick':
        return this.#tick(now);
      case 'progress':
        return this.#progress(event.kind, event.step, now);
      case 'up':
        return this.#up(event.kind, now);
      case 'down':
        if (event.kind === this.shown || (this.shown === null && event.kind === this.trying)) this.#note(event.reason ?? null);
        return this.#down(event.kind, event.cause, now);
      case 'over':
        return this.#over(event.reason, event.why);
    }
  }

  /** @param {number} now @returns {Command[]} */
  #restart(now) {
    this.#attempts = 0;
    return this.#connect(now);
  }

  /** @param {number} now @returns {Command[]} */
  #connect(now) {
    this.phase = 'connecting';
    this.retryAt = null;
    this.#upgradeAt = null;
    if (this.why !== null) this.reason = null;
    this.why = null;
    this.#mediaFailed = false;
    this.#fresh = true;
    return this.#open(this.can.webrtc ? 'webrtc' : 'socket', now);
  }

  /** @param {Kind} kind @param {number} now @returns {Command[]} */
  #open(kind, now) {
    this.trying = kind;
    this.#deadline = now + OPEN_DEADLINE_MS;
    return [{ do: 'open', kind }];
  }

  /** @param {Kind} kind @param {'answered' | 'connected'} step @param {number} now @returns {Command[]} */
  #progress(kind, step, now) {
    if (kind === this.trying) this.#deadline = now + (step === 'answered' ? UDP_DEADLINE_MS : PICTURE_DEADLINE_MS);
    return [];
  }

  /** @param {Kind} kind @param {number} now @returns {Command[]} */
  #up(kind, now) {
    if (this.trying !== kind) return [];
    const from = this.shown;
    this.trying = null;
    this.#deadline = null;
    this.cause = null;
    this.reason = null;
    this.wasUp = true;
    this.#upSince = now;
    this.phase = kind === 'webrtc' ? 'live' : 'fallback';
    if (kind === 'webrtc') this.#upgrades = 0;
    this.#upgradeAt = kind === 'socket' && this.can.webrtc ? now + this.#upgradeWait() : null;
    /** @type {Command[]} */
    const commands = [{ do: 'use', kind }];
    return from === null ? commands : [...commands, { do: 'close', kind: from }];
  }

  /** @returns {number} */
  #upgradeWait() {
    const wait = UPGRADE_AFTER_MS[Math.min(this.#upgrades, UPGRADE_AFTER_MS.length - 1)];
    this.#upgrades += 1;
    return wait;
  }

  /** @param {Kind} kind @param {Cause} cause @param {number} now @returns {Command[]} */
  #down(kind, cause, now) {
    if (kind === this.trying) return this.#gaveUp(kind, cause, now);
    if (kind !== this.shown) return [];
    if (now - this.#upSince >= STABLE_MS) this.#attempts = 0;
    const alsoTrying = this.trying;
    this.trying = null;
    /** @type {Command[]} */
    const closing = [{ do: 'close', kind }];
    if (alsoTrying !== null) closing.push({ do: 'close', kind: alsoTrying });
    return [...closing, ...this.#wait(cause, now)];
  }

  /** What the server says of a failure stays through those of the same round of which it says nothing. @param {string | null} reason */
  #note(reason) {
    if (reason !== null || this.#fresh) this.reason = reason;
    this.#fresh = false;
  }

  /** What was being tried did not come up. @param {Kind} kind @param {Cause} cause @param {number} now @returns {Command[]} */
  #gaveUp(kind, cause, now) {
    this.trying = null;
    this.#deadline = null;
    /** @type {Command} */
    const close = { do: 'close', kind };
    if (this.phase === 'fallback') {
      this.#upgradeAt = now + this.#upgradeWait();
      return [close];
    }
    if (kind === 'webrtc' && cause === 'media') {
      this.#mediaFailed = true;
      return [close, ...this.#open('socket', now)];
    }
    return [close, ...this.#wait(cause === 'media' ? 'lost' : cause, now)];
  }

  /** @param {Cause} cause @param {number} now @returns {Command[]} */
  #wait(cause, now) {
    this.#deadline = null;
    this.#upgradeAt = null;
    this.cause = cause;
    const notThere = cause === 'paused' || cause === 'starting';
    const step = BACKOFF_MS[Math.min(this.#attempts, BACKOFF_MS.length - 1)];
    this.#attempts += 1;
    const wait = notThere ? NOT_THERE_MS : step * (1 + 0.25 * this.spread);
    if (wait === 0) return this.#connect(now);
    this.phase = 'waiting';
    this.retryAt = now + wait;
    return [];
  }

  /** @param {number} now @returns {Command[]} */
  #tick(now) {
    if (this.phase === 'waiting' && this.retryAt !== null && now >= this.retryAt) return this.#connect(now);
    if (this.trying !== null && this.#deadline !== null && now >= this.#deadline) {
      this.#note(null);
      return this.#gaveUp(this.trying, 'media', now);
    }
    if (this.#upgradeAt !== null && now >= this.#upgradeAt) {
      this.#upgradeAt = null;
      return this.#open('webrtc', now);
    }
    return [];
  }

  /** A new network may let through what the old one did not. @param {number} now @returns {Command[]} */
  #networkChanged(now) {
    if (this.phase === 'waiting') return this.#restart(now);
    if (this.phase !== 'fallback' || this.trying !== null || !this.can.webrtc) return [];
    this.#upgrades = 0;
    this.#upgradeAt = null;
    return this.#open('webrtc', now);
  }

  /** @param {string} reason @param {'access' | 'sandbox'} why @returns {Command[]} */
  #over(reason, why) {
    if (this.phase === 'ended') return [];
    this.phase = 'ended';
    this.reason = reason;
    this.why = why;
    this.trying = null;
    this.#deadline = this.#upgradeAt = this.retryAt = null;
    return [{ do: 'close', kind: 'webrtc' }, { do: 'close', kind: 'socket' }];
  }

  /** Whether this round had to do without WebRTC. @returns {boolean} */
  get mediaFailed() {
    return this.#mediaFailed;
  }
}
