/**
 * The stream over the WebSocket of the HTTP port, for networks where UDP does not pass: the same messages as text, frames as
 * binary. Acknowledges each frame that was drawn, so that no more come than can be.
 */

import { drawableCodecs, Painter } from './painter.js';
import { decodeFrame, decodeMessage, encodePointer, message } from './wire.js';

/** @typedef {import('./webrtc.js').Listener} Listener */
/** @typedef {import('./webrtc.js').Transport} Transport */
/** @typedef {import('./wire.js').Message} Message */
/** @typedef {import('./wire.js').Frame} Frame */

const POINTER_BACKLOG_BYTES = 4096;
const KEYFRAME_EVERY_MS = 500;
/** What the streamer reads of one message. */
const MOST_BYTES = 1 << 20;

/** @implements {Transport} */
export class SocketTransport {
  mostBytes = MOST_BYTES;
  #listener;
  #painter = new Painter({ drawn: (frame, received) => this.#drawn(frame, received), lost: () => this.#lostThread() });
  /** @type {WebSocket | null} */
  #socket = null;
  #codec = '';
  #hello = false;
  #picture = false;
  #isUp = false;
  #closed = false;
  #askedAt = -Infinity;
  /** What the server said before it let anything pass. @type {string | undefined} */
  #refusal;
  #frames = 0;
  #bytes = 0;

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  get element() {
    return this.#painter.canvas;
  }

  /** @param {import('./api.js').Api} api @param {string} sandbox */
  async open(api, sandbox) {
    const codecs = await drawableCodecs();
    if (this.#closed) return;
    const socket = new WebSocket(api.socketUrl(`v1/sandboxes/${encodeURIComponent(sandbox)}/stream/ws`));
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => socket.send(JSON.stringify(message.auth(api.credential, codecs)));
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = () => {
      if (!this.#closed) this.#listener.down('lost', this.#refusal);
    };
    this.#socket = socket;
  }

  /** @param {Message} message_ */
  send(message_) {
    if (this.#socket?.readyState === WebSocket.OPEN && this.#hello) this.#socket.send(JSON.stringify(message_));
  }

  /** @param {number} seq @param {number} x @param {number} y */
  point(seq, x, y) {
    const socket = this.#socket;
    if (socket?.readyState === WebSocket.OPEN && socket.bufferedAmount <= POINTER_BACKLOG_BYTES) socket.send(encodePointer(seq, x, y));
  }

  /** @returns {Promise<Record<string, unknown>>} */
  async report() {
    return { framesDecoded: this.#frames, bytesReceived: this.#bytes };
  }

  close() {
    this.#closed = true;
    this.#socket?.close();
    this.#painter.close();
  }

  /** @param {unknown} data */
  #received(data) {
    if (this.#closed) return;
    if (data instanceof ArrayBuffer) {
      const frame = decodeFrame(data);
      this.#bytes += data.byteLength;
      if (frame !== null) this.#painter.take(frame, this.#codec);
      return;
    }
    const found = decodeMessage(data);
    if (found === null) return;
    if (found.t === 'error' && !this.#hello) this.#refusal = found.message;
    if (found.t === 'hello') {
      this.#hello = true;
      this.#codec = found.codec;
    }
    this.#listener.message(found);
    this.#checkUp();
  }

  /** @param {Frame} frame @param {number} received */
  #drawn(frame, received) {
    this.#frames += 1;
    const now = performance.now();
    this.send(message.ack(frame.seq));
    this.#picture = true;
    this.#checkUp();
    this.#listener.frame({ capturedMs: frame.capturedMs, received, decodeMs: now - received, shown: now, width: frame.width, height: frame.height });
  }

  #lostThread() {
    const now = performance.now();
    if (now - this.#askedAt < KEYFRAME_EVERY_MS) return;
    this.#askedAt = now;
    this.send(message.keyframe());
  }

  #checkUp() {
    if (this.#isUp || !this.#hello || !(this.#picture || document.hidden)) return;
    this.#isUp = true;
    this.#listener.up();
  }
}
