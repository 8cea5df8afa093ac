/**
 * Draws frames that came over the WebSocket onto a canvas: H.264 by WebCodecs, or JPEG where there is no decoder. Says which
 * frame was drawn, and when it needs a keyframe.
 */

import { VIDEO } from './wire.js';

/** @typedef {import('./wire.js').Frame} Frame */
/** @typedef {{ drawn: (frame: Frame, received: number) => void, lost: () => void }} Painted */

const H264 = 'avc1.42e028';

/** @returns {Promise<string[]>} what this browser can draw, best first */
export async function drawableCodecs() {
  if (!('VideoDecoder' in globalThis)) return ['jpeg'];
  const support = await VideoDecoder.isConfigSupported({ codec: H264, optimizeForLatency: true }).catch(() => null);
  return support?.supported ? [H264, 'jpeg'] : ['jpeg'];
}

export class Painter {
  canvas = document.createElement('canvas');
  #context = this.canvas.getContext('2d', { alpha: false, desynchronized: true });
  #painted;
  /** @type {VideoDecoder | null} */
  #decoder = null;
  /** What is inside the decoder, by its timestamp. @type {Map<number, { frame: Frame, received: number }>} */
  #inside = new Map();
  #needsKey = true;
  #newestPicture = -1;
  #closed = false;

  /** @param {Painted} painted */
  constructor(painted) {
    this.#painted = painted;
  }

  /** @param {Frame} frame @param {string} codec as the streamer named it */
  take(frame, codec) {
    if (this.#closed) return;
    if (frame.kind === VIDEO) this.#decode(frame, codec);
    else void this.#picture(frame);
  }

  close() {
    this.#closed = true;
    this.#dropDecoder();
    this.canvas.remove();
  }

  /** @param {Frame} frame @param {string} codec */
  #decode(frame, codec) {
    if (this.#needsKey && !frame.key) return this.#painted.lost();
    try {
      this.#decoder ??= this.#newDecoder(codec);
      this.#needsKey = false;
      this.#inside.set(frame.seq, { frame, received: performance.now() });
      this.#decoder.decode(new EncodedVideoChunk({ type: frame.key ? 'key' : 'delta', timestamp: frame.seq, data: frame.data }));
    } catch {
      this.#broken();
    }
  }

  /** @param {string} codec @returns {VideoDecoder} */
  #newDecoder(codec) {
    const decoder = new VideoDecoder({ output: (picture) => this.#decoded(picture), error: () => this.#broken() });
    decoder.configure({ codec: codec.startsWith('avc1') ? codec : H264, optimizeForLatency: true });
    return decoder;
  }

  /** @param {VideoFrame} picture */
  #decoded(picture) {
    const origin = this.#inside.get(picture.timestamp);
    this.#inside.delete(picture.timestamp);
    if (!this.#closed) this.#draw(picture, picture.displayWidth, picture.displayHeight);
    picture.close();
    if (origin !== undefined && !this.#closed) this.#painted.drawn(origin.frame, origin.received);
  }

  /** The decoder gave up: a new one needs a keyframe. */
  #broken() {
    if (this.#closed) return;
    this.#dropDecoder();
    this.#painted.lost();
  }

  #dropDecoder() {
    if (this.#decoder !== null && this.#decoder.state !== 'closed') this.#decoder.close();
    this.#decoder = null;
    this.#inside.clear();
    this.#needsKey = true;
  }

  /** @param {Frame} frame */
  async #picture(frame) {
    const received = performance.now();
    const bitmap = await createImageBitmap(new Blob([frame.data], { type: 'image/jpeg' })).catch(() => null);
    if (this.#closed) return;
    // pictures may be decoded out of order; sequence numbers wrap
    const newer = this.#newestPicture < 0 || ((frame.seq - this.#newestPicture) | 0) > 0;
    if (bitmap !== null && newer) {
      this.#newestPicture = frame.seq;
      this.#draw(bitmap, bitmap.width, bitmap.height);
    }
    bitmap?.close();
    this.#painted.drawn(frame, received);
  }

  /** @param {CanvasImageSource} source @param {number} width @param {number} height */
  #draw(source, width, height) {
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    this.#context?.drawImage(source, 0, 0, width, height);
  }
}
