/**
 * Carries out what the terminal's state machine decides: starts a terminal, keeps a WebSocket to it, passes bytes both ways.
 * What is typed before the first connection stands waits for it; what is typed while a broken one is made again is not sent: nobody
 * would know what of it had arrived.
 */

import { Problem, problemFrom } from './api.js';
import { TerminalLink } from './terminal_model.js';
import { forgetCredential, keepCredential, recallCredential } from './token.js';

/** @typedef {import('./terminal_model.js').Command} Command */
/** @typedef {import('./terminal_model.js').Event} LinkEvent */
/** @typedef {{ rows: number, columns: number }} Size */
/**
 * What the panel is told. `output` with `replay`: it was shown in an earlier life of the page, and is not to be answered.
 * @typedef {{ changed: () => void, output: (data: Uint8Array, replay: boolean) => void, clear: () => void, gap: () => void, size: () => Size }} Host
 */

const TICK_MS = 250;
const MAX_EARLY_BYTES = 4096;

export class TerminalSession {
  link = new TerminalLink();
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Uint8Array[]} */
  #early = [];
  #replayUntil = 0;
  #sentSize = '';
  #api;
  #sandbox;
  #slot;
  #host;

  /** @param {import('./api.js').Api} api @param {string} sandbox @param {Host} host */
  constructor(api, sandbox, host) {
    this.#api = api;
    this.#sandbox = sandbox;
    this.#slot = `terminal:${sandbox}`;
    this.#host = host;
    setInterval(() => this.#tick(), TICK_MS);
    addEventListener('online', () => this.#on({ type: 'network' }));
    addEventListener('pagehide', () => this.#disconnect());
    addEventListener('pageshow', (event) => event.persisted && this.#on({ type: 'network' }));
  }

  open() {
    this.#on({ type: 'open', known: recallCredential(this.#slot) });
  }

  close() {
    this.#early = [];
    this.#on({ type: 'close' });
  }

  /** A person wants it to go on. */
  again() {
    this.#on({ type: 'again' });
  }

  /** The connection may be dead without anybody having said so. */
  doubt() {
    this.#on({ type: 'network' });
  }

  /** Whether what is typed arrives. @returns {boolean} */
  get listens() {
    return this.link.phase === 'attached' || (this.link.offset === 0 && (this.link.phase === 'starting' || this.link.phase === 'connecting'));
  }

  /** @param {Uint8Array} data what was typed */
  type(data) {
    if (!this.listens) return;
    if (this.link.phase === 'attached') this.#socket?.send(data);
    else if (this.#early.reduce((sum, one) => sum + one.length, data.length) <= MAX_EARLY_BYTES) this.#early.push(data);
  }

  /** The panel's size may be another. */
  resize() {
    if (this.link.phase !== 'attached') return;
    const { rows, columns } = this.#host.size();
    const text = JSON.stringify({ t: 'resize', rows, columns });
    if (text !== this.#sentSize) this.#socket?.send(text);
    this.#sentSize = text;
  }

  /** @param {LinkEvent} event */
  #on(event) {
    const before = this.link.phase;
    for (const command of this.link.on(event, performance.now())) this.#carryOut(command);
    if (this.link.phase !== before) this.#host.changed();
  }

  /** @param {Command} command */
  #carryOut(command) {
    switch (command.do) {
      case 'start':
        return void this.#start();
      case 'connect':
        return this.#connect(command.id, command.after, command.again);
      case 'disconnect':
        return this.#disconnect();
      case 'clear':
        return this.#host.clear();
      case 'gap':
        return this.#host.gap();
      case 'replay':
        this.#replayUntil = command.bytes;
        return;
      case 'remember':
        return command.id === null ? forgetCredential(this.#slot) : keepCredential(this.#slot, command.id);
    }
  }

  async #start() {
    this.#replayUntil = 0;
    try {
      const { id } = await this.#api.startTerminal(this.#sandbox, this.#host.size());
      this.#on({ type: 'started', id });
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem(0, 'No terminal could be started', String(error), '');
      this.#on({ type: 'problem', problem });
    }
  }

  /** @param {string} id @param {number} after @param {boolean} again */
  #connect(id, after, again) {
    this.#disconnect();
    const path = `v1/sandboxes/${encodeURIComponent(this.#sandbox)}/terminals/${encodeURIComponent(id)}/connect`;
    const socket = new WebSocket(this.#api.socketUrl(`${path}?after=${after}&again=${again ? 1 : 0}`));
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => socket.send(JSON.stringify({ t: 'auth', token: this.#api.credential }));
    socket.onmessage = ({ data }) => this.#socket === socket && this.#received(data);
    socket.onclose = () => this.#socket === socket && this.#on({ type: 'lost' });
    this.#socket = socket;
  }

  #disconnect() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /** @param {unknown} data */
  #received(data) {
    if (data instanceof ArrayBuffer) {
      this.#on({ type: 'data', bytes: data.byteLength });
      const replay = this.#replayUntil > 0;
      this.#replayUntil -= data.byteLength;
      this.#host.output(new Uint8Array(data), replay);
      return;
    }
    const said = JSON.parse(String(data));
    if (said.t === 'attached') this.#attached(said);
    if (said.t === 'ended') this.#on({ type: 'ended', exitCode: said.job.exit_code, signal: said.job.signal });
    if (said.t === 'problem') this.#on({ type: 'problem', problem: problemFrom(said.problem.status ?? 500, JSON.stringify(said.problem)) });
  }

  /** @param {{ offset: number, job: { output_end: number, running: boolean } }} said */
  #attached({ offset, job }) {
    this.#on({ type: 'attached', offset, end: job.output_end, running: job.running });
    if (this.link.phase !== 'attached') return;
    this.#sentSize = '';
    this.resize();
    for (const data of this.#early.splice(0)) this.#socket?.send(data);
  }

  #tick() {
    this.#on({ type: 'tick' });
    if (this.link.phase === 'waiting') this.#host.changed();
  }
}
