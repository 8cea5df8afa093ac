/**
 * The messages between page and streamer (docs/streaming.md, section 2): builds what the page sends, checks what it gets.
 * Pure; tests/vectors/stream.json holds golden messages that Python reads too.
 */

/** @typedef {'left' | 'middle' | 'right' | 'back' | 'forward'} Button */
/** @typedef {'request' | 'take' | 'give' | 'release'} LeaseWish */
/** @typedef {{ t: string, [field: string]: unknown }} Message */

/**
 * @typedef {{ t: 'hello', version: number, sandbox: string, rights: 'view' | 'control', width: number, height: number, codec: string }} Hello
 * @typedef {{ t: 'size', width: number, height: number }} Size
 * @typedef {{ t: 'cursor', serial: number, width: number, height: number, hot_x: number, hot_y: number, png: string | null }} Cursor
 * @typedef {{ t: 'pointer', x: number, y: number }} Pointer
 * @typedef {{ t: 'state', state: 'live' | 'frozen' | 'paused' | 'ended', reason: string | null }} State
 * @typedef {{ t: 'lease', holder: 'agent' | 'you' | 'other' | 'none', name: string | null, wanted_by: string | null }} Lease
 * @typedef {{ t: 'clipboard', text: string }} Clipboard
 * @typedef {{ t: 'clipboard-set', n: number }} ClipboardSet
 * @typedef {{ t: 'pong', at: number, now: number }} Pong
 * @typedef {{ t: 'error', code: string, message: string, hint: string | null, n?: number }} ErrorMessage `n`: of the `clipboard` that is refused
 * @typedef {{ t: 'stats', frames: Record<string, number>, fps: number, ms: Record<string, number>, bitrate_kbps: number,
 *   target_kbps: number, keyframes: number, repeated: number, loss: number, rtt_ms: number, viewers: number, transport: string, codec: string,
 *   clock?: { rtp: number, captured: number } }} Stats
 * @typedef {Hello | Size | Cursor | Pointer | State | Lease | Clipboard | ClipboardSet | Pong | ErrorMessage | Stats} FromStreamer
 */

export const POINTER = 1;
export const VIDEO = 2;
export const PICTURE = 3;
const FRAME_HEAD_BYTES = 18;
const MAX_SIDE_PX = 16384;
/** Of one text for the clipboard, as the streamer counts. */
const MOST_CLIPBOARD_CHARS = 1 << 18;
/** For the number that a message gets on its way. */
const NUMBER_BYTES = 32;

/** What the page sends, by name. Coordinates are desktop pixels, wheel units 1/120 of a notch. */
export const message = {
  /** @param {boolean} down @param {string} code @param {number} keysym */
  key: (down, code, keysym) => ({ t: 'key', down, code, keysym }),
  /** @param {string} text */
  text: (text) => ({ t: 'text', text }),
  /** @param {Button} button @param {boolean} down @param {number} x @param {number} y */
  button: (button, down, x, y) => ({ t: 'button', button, down, x, y }),
  /** @param {number} dx @param {number} dy @param {number} x @param {number} y */
  wheel: (dx, dy, x, y) => ({ t: 'wheel', dx, dy, x, y }),
  release: () => ({ t: 'release' }),
  alive: () => ({ t: 'alive' }),
  /** @param {number} at */
  ping: (at) => ({ t: 'ping', at }),
  /** @param {boolean} visible */
  visible: (visible) => ({ t: 'visible', visible }),
  /** @param {number} width @param {number} height */
  resize: (width, height) => ({ t: 'resize', width, height }),
  /** @param {string} text @param {number} n */
  clipboard: (text, n) => ({ t: 'clipboard', text, n }),
  /** @param {LeaseWish} want */
  lease: (want) => ({ t: 'lease', want }),
  /** @param {boolean} on */
  stats: (on) => ({ t: 'stats', on }),
  /** @param {number} seq */
  ack: (seq) => ({ t: 'ack', seq }),
  keyframe: () => ({ t: 'keyframe' }),
  /** @param {string} token @param {string[]} codecs */
  auth: (token, codecs) => ({ t: 'auth', token, codecs }),
};

const INPUT = new Set(['key', 'text', 'button', 'wheel', 'release']);
const ORDERED = new Set([...INPUT, 'lease', 'resize', 'clipboard']);

/** Whether a message is what a person does: over WebRTC a copy of it may come by another channel. @param {Message} message_ */
export const isInput = ({ t }) => INPUT.has(t);

/** Whether it is numbered there: inputs, and what those that follow rely on. @param {Message} message_ */
export const isOrdered = ({ t }) => ORDERED.has(t);

/** @param {Message} message_ @param {number} i from 1 on @returns {Message} */
export const numbered = (message_, i) => ({ ...message_, i });

/**
 * Why a text cannot be sent for the desktop's clipboard; null if it can.
 * @param {string} text @param {number} mostBytes of a message on the way that is used @returns {string | null}
 */
export function tooLarge(text, mostBytes) {
  const surelyFits = text.length <= MOST_CLIPBOARD_CHARS && text.length * 6 + 100 <= mostBytes;
  if (surelyFits) return null;
  const size = text.length > 2 * MOST_CLIPBOARD_CHARS ? text.length : [...text].length;
  if (size > MOST_CLIPBOARD_CHARS) return `it has ${count(size)} characters, and ${count(MOST_CLIPBOARD_CHARS)} are the most`;
  const bytes = new TextEncoder().encode(JSON.stringify(message.clipboard(text, 0))).length + NUMBER_BYTES;
  return bytes <= mostBytes ? null : `it takes ${count(bytes)} bytes, and ${count(mostBytes)} are the most on this connection`;
}

/** @param {number} value @returns {string} */
const count = (value) => value.toLocaleString('en');

/**
 * The place of the pointer as a binary message.
 * @param {number} seq counts up, modulo 2^32 @param {number} x @param {number} y
 * @returns {ArrayBuffer}
 */
export function encodePointer(seq, x, y) {
  const view = new DataView(new ArrayBuffer(9));
  view.setUint8(0, POINTER);
  view.setUint32(1, seq >>> 0);
  view.setUint16(5, x);
  view.setUint16(7, y);
  return view.buffer;
}

/**
 * @typedef {{ kind: number, key: boolean, seq: number, capturedMs: number, width: number, height: number, data: Uint8Array<ArrayBuffer> }} Frame
 */

/**
 * A frame that came over a WebSocket; null for anything that is not one.
 * @param {ArrayBuffer} buffer
 * @returns {Frame | null}
 */
export function decodeFrame(buffer) {
  if (buffer.byteLength <= FRAME_HEAD_BYTES) return null;
  const view = new DataView(buffer);
  const kind = view.getUint8(0);
  const width = view.getUint16(14);
  const height = view.getUint16(16);
  if ((kind !== VIDEO && kind !== PICTURE) || !isSide(width) || !isSide(height)) return null;
  return {
    kind,
    key: (view.getUint8(1) & 1) === 1,
    seq: view.getUint32(2),
    capturedMs: view.getFloat64(6),
    width,
    height,
    data: new Uint8Array(buffer, FRAME_HEAD_BYTES),
  };
}

/** @param {unknown} value */
const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);
/** @param {unknown} value */
const isText = (value) => typeof value === 'string';
/** @param {unknown} value */
const isTextOrNull = (value) => value === null || value === undefined || isText(value);
/** @param {unknown} value */
const isSide = (value) => Number.isInteger(value) && Number(value) > 0 && Number(value) <= MAX_SIDE_PX;
/** @param {unknown} value */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
/** @param {...string} words @returns {(value: unknown) => boolean} */
const oneOf = (...words) => (value) => words.includes(/** @type {string} */ (value));

/** What each message from the streamer must hold; more is allowed. @type {Record<string, Record<string, (value: unknown) => boolean>>} */
const SHAPES = {
  hello: { version: isNumber, rights: oneOf('view', 'control'), width: isSide, height: isSide },
  size: { width: isSide, height: isSide },
  cursor: { serial: isNumber, hot_x: isNumber, hot_y: isNumber, png: isTextOrNull },
  pointer: { x: isNumber, y: isNumber },
  state: { state: oneOf('live', 'frozen', 'paused', 'ended'), reason: isTextOrNull },
  lease: { holder: oneOf('agent', 'you', 'other', 'none'), name: isTextOrNull, wanted_by: isTextOrNull },
  clipboard: { text: isText },
  'clipboard-set': { n: isNumber },
  pong: { at: isNumber, now: isNumber },
  stats: { frames: isObject, ms: isObject },
  error: { code: isText, message: isText, hint: isTextOrNull, n: (value) => value === undefined || isNumber(value) },
};

/**
 * A message from the streamer; null if it is not one the page knows, or lacks what it must hold.
 * @param {unknown} text
 * @returns {FromStreamer | null}
 */
export function decodeMessage(text) {
  if (typeof text !== 'string') return null;
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(value) || !Object.hasOwn(SHAPES, value.t)) return null;
  for (const [field, fits] of Object.entries(SHAPES[value.t])) if (!fits(value[field])) return null;
  return value;
}
