/**
 * Carries out what the connection's state machine decides: opens and closes transports, keeps time, asks the server how things are
 * before each try, and passes messages of the transport that is shown. Also tells how long silence has lasted.
 */

import { Problem } from './api.js';
import { Connection } from './connection.js';
import { Clock, Pulse } from './pulse.js';
import { SocketTransport } from './socket.js';
import { WebrtcTransport } from './webrtc.js';
import { message } from './wire.js';

/** @typedef {import('./connection.js').Kind} Kind */
/** @typedef {import('./connection.js').Event} ConnectionEvent */
/** @typedef {import('./wire.js').FromStreamer} FromStreamer */
/** @typedef {import('./wire.js').Message} Message */
/** @typedef {import('./webrtc.js').FrameFacts} FrameFacts */
/**
 * What the page is told. `show` gets the element of the transport that is now used; `lost` comes before a transport is left.
 * @typedef {{ changed: () => void, info: (info: import('./api.js').StreamInfo) => void, show: (element: HTMLElement) => void,
 *   lost: () => void, message: (message: FromStreamer) => void, frame: (facts: FrameFacts) => void }} Host
 */

const TICK_MS = 250;
/** From such a round trip on, a lost input is worth a copy. */
const FAR_MS = 10;
const NOT_THERE = /** @type {Record<string, 'paused' | 'starting'>} */ ({ paused: 'paused', creating: 'starting', resuming: 'starting' });

export class Session {
  clock = new Clock();
  /** @type {Map<Kind, { transport: WebrtcTransport | SocketTransport, waiting: FromStreamer[], pulse: Pulse }>} */
  #open = new Map();
  /** What is being begun, so that a late answer to an earlier try is known. @type {Map<Kind, object>} */
  #beginning = new Map();
  #api;
  #sandbox;
  #host;
  #seq = 0;

  /** @param {import('./api.js').Api} api @param {string} sandbox @param {Host} host */
  constructor(api, sandbox, host) {
    this.#api = api;
    this.#sandbox = sandbox;
    this.#host = host;
    this.connection = new Connection({ webrtc: 'RTCPeerConnection' in globalThis }, Math.random());
  }

  start() {
    setInterval(() => this.#tick(), TICK_MS);
    addEventListener('online', () => this.#on({ type: 'network' }));
    const network = /** @type {{ connection?: EventTarget }} */ (navigator).connection;
    network?.addEventListener('change', () => this.#on({ type: 'network' }));
    document.addEventListener('visibilitychange', () => this.send(message.visible(!document.hidden)));
    addEventListener('pagehide', (event) => {
      if (!event.persisted) for (const { transport } of this.#open.values()) transport.close();
    });
    this.#on({ type: 'start' });
  }

  retry() {
    this.#on({ type: 'retry' });
  }

  /** @param {string} reason */
  sandboxEnded(reason) {
    this.#on({ type: 'over', reason, why: 'sandbox' });
  }

  get isUp() {
    return this.connection.shown !== null;
  }

  /** Of one message, on the way that is used now. @returns {number} */
  get mostBytes() {
    return this.#shown?.transport.mostBytes ?? Infinity;
  }

  /** @param {Message} message_ */
  send(message_) {
    this.#shown?.transport.send(message_);
  }

  /** @param {number} x @param {number} y */
  point(x, y) {
    this.#seq = (this.#seq + 1) >>> 0;
    this.#shown?.transport.point(this.#seq, x, y);
  }

  /** @returns {Promise<Record<string, unknown>>} */
  async report() {
    return (await this.#shown?.transport.report().catch(() => ({}))) ?? {};
  }

  get #shown() {
    const kind = this.connection.shown;
    return kind === null ? undefined : this.#open.get(kind);
  }

  /** @param {ConnectionEvent} event */
  #on(event) {
    const before = this.connection.phase;
    const shownBefore = this.connection.shown;
    const commands = this.connection.on(event, performance.now());
    if (shownBefore !== null && shownBefore !== this.connection.shown) this.#host.lost();
    for (const command of commands) {
      if (command.do === 'open') void this.#begin(command.kind);
      if (command.do === 'use') this.#use(command.kind);
      if (command.do === 'close') this.#close(command.kind);
    }
    if (commands.length > 0 || before !== this.connection.phase || event.type === 'down') this.#host.changed();
  }

  /** @param {Kind} kind */
  async #begin(kind) {
    this.#close(kind);
    const current = () => this.#open.get(kind)?.transport === transport;
    /** @type {import('./webrtc.js').Listener} */
    const listener = {
      progress: (step) => current() && this.#on({ type: 'progress', kind, step }),
      up: () => current() && this.#on({ type: 'up', kind }),
      down: (cause, reason) => current() && this.#on({ type: 'down', kind, cause, reason }),
      message: (message_) => current() && this.#received(kind, message_),
      frame: (facts) => current() && this.connection.shown === kind && this.#host.frame(facts),
    };
    /** @type {WebrtcTransport | SocketTransport | null} */
    let transport = null;
    const token = { kind };
    this.#beginning.set(kind, token);
    try {
      const info = await this.#api.stream(this.#sandbox);
      if (this.#beginning.get(kind) !== token) return;
      this.#host.info(info);
      if (info.state === 'dead' || info.state === 'killing') return this.#on({ type: 'over', reason: '', why: 'sandbox' });
      const notThere = NOT_THERE[info.state];
      if (notThere !== undefined) return this.#on({ type: 'down', kind, cause: notThere });
      transport = kind === 'webrtc' ? new WebrtcTransport(listener, info.ice_servers ?? [], () => (this.clock.roundTripMs ?? 0) > FAR_MS) : new SocketTransport(listener);
      this.#open.set(kind, { transport, waiting: [], pulse: new Pulse(performance.now()) });
      await transport.open(this.#api, this.#sandbox);
    } catch (error) {
      if (this.#beginning.get(kind) === token) this.#on(whatFailed(kind, error, transport !== null));
    }
  }

  /** @param {Kind} kind */
  #use(kind) {
    const link = this.#open.get(kind);
    if (link === undefined) return;
    this.#host.show(link.transport.element);
    link.pulse = new Pulse(performance.now());
    link.transport.send(message.visible(!document.hidden));
    for (const message_ of link.waiting.splice(0)) this.#host.message(message_);
  }

  /** @param {Kind} kind */
  #close(kind) {
    this.#beginning.delete(kind);
    const link = this.#open.get(kind);
    this.#open.delete(kind);
    link?.transport.close();
  }

  /** @param {Kind} kind @param {FromStreamer} message_ */
  #received(kind, message_) {
    const link = this.#open.get(kind);
    if (link === undefined) return;
    link.pulse.heard(performance.now());
    if (this.connection.shown !== kind) {
      link.waiting.push(message_);
      return;
    }
    if (message_.t === 'pong') this.clock.sample(message_.at, message_.now, performance.now());
    this.#host.message(message_);
  }

  #tick() {
    const now = performance.now();
    const due = this.connection.due;
    const kind = this.connection.shown;
    if (due !== null && now >= due) this.#on({ type: 'tick' });
    const link = this.#shown;
    if (link === undefined || kind === null) return;
    const beat = link.pulse.tick(now);
    if (beat === 'ping') link.transport.send(message.ping(now));
    if (beat === 'silent') this.#on({ type: 'down', kind, cause: 'lost' });
  }
}

/** @param {Kind} kind @param {unknown} error @param {boolean} offered whether the server was fine until the offer @returns {ConnectionEvent} */
function whatFailed(kind, error, offered) {
  if (!(error instanceof Problem)) return { type: 'down', kind, cause: 'media' };
  if (error.status === 401 || error.status === 403) return { type: 'over', reason: error.hint || error.detail, why: 'access' };
  if (error.status === 404 || error.status === 410) return { type: 'over', reason: error.detail, why: 'sandbox' };
  const unreachable = error.status === 0 || (!offered && (error.status >= 500 || error.status === 429));
  return { type: 'down', kind, cause: unreachable ? 'lost' : 'media', reason: error.status === 0 ? null : error.detail || error.title };
}
