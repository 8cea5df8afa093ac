/**
 * The stream over WebRTC: WHEP for the offer, a <video> for the picture, two data channels. Says when it is up (hello and a picture are
 * there) and when it is down; decides nothing else.
 */

import { decodeMessage, encodePointer, isInput, isOrdered, numbered } from './wire.js';

/** @typedef {import('./wire.js').FromStreamer} FromStreamer */
/** @typedef {import('./wire.js').Message} Message */
/**
 * What a transport tells. `reason`: what the server said, if it did.
 * @typedef {{ progress: (step: 'answered' | 'connected') => void, up: () => void, down: (cause: 'media' | 'lost', reason?: string) => void,
 *   message: (message: FromStreamer) => void, frame: (facts: FrameFacts) => void }} Listener
 */
/**
 * One picture that was shown: our ms at which it arrived, was decoded, appeared.
 * @typedef {{ rtp?: number, capturedMs?: number, received?: number, decodeMs?: number, shown: number, width: number, height: number }} FrameFacts
 */
/**
 * @typedef {{ element: HTMLVideoElement | HTMLCanvasElement, send: (message: Message) => void, point: (seq: number, x: number, y: number) => void,
 *   report: () => Promise<Record<string, unknown>>, close: () => void, mostBytes: number }} Transport `mostBytes`: of one message
 */

const GATHERING_MS = 500;
/** More than this waiting in the unordered channel, and a newer place will do. */
const POINTER_BACKLOG_BYTES = 1024;
/** So long after an input its copy goes the unordered way, in a packet of its own: lost, the first comes again after 400 ms at the earliest. */
const COPY_AFTER_MS = 12;
const MOST_COPIED_CHARS = 1000;
/** Where the other side does not say. */
const MOST_BYTES = 65_536;

/** @implements {Transport} */
export class WebrtcTransport {
  element = document.createElement('video');
  #listener;
  #connection;
  #input;
  #pointer;
  /** @type {(() => void) | null} */
  #leave = null;
  #hello = false;
  #picture = false;
  #isUp = false;
  #closed = false;
  #isFar;
  #inputs = 0;

  /** @param {Listener} listener @param {RTCIceServer[]} iceServers @param {() => boolean} isFar whether a lost message is worth a copy */
  constructor(listener, iceServers, isFar) {
    this.#listener = listener;
    this.#isFar = isFar;
    Object.assign(this.element, { muted: true, autoplay: true, playsInline: true, disablePictureInPicture: true });
    this.element.addEventListener('loadeddata', () => this.#gotPicture());
    this.#connection = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
    this.#input = this.#connection.createDataChannel('input', { ordered: true });
    this.#pointer = this.#connection.createDataChannel('pointer', { ordered: false, maxRetransmits: 0 });
    this.#input.onmessage = ({ data }) => this.#received(data);
    this.#input.onclose = () => this.#down('lost');
    this.#connection.onconnectionstatechange = () => this.#stateChanged();
    this.#connection.ontrack = ({ track, receiver }) => this.#gotTrack(track, receiver);
    preferH264(this.#connection.addTransceiver('video', { direction: 'recvonly' }));
  }

  /**
   * @param {import('./api.js').Api} api @param {string} sandbox
   * @throws {import('./api.js').Problem} what the server said of the offer
   */
  async open(api, sandbox) {
    await this.#connection.setLocalDescription();
    await gathered(this.#connection, GATHERING_MS);
    const answer = await api.whep(sandbox, offerToSend(this.#connection.localDescription?.sdp ?? ''));
    if (answer.location !== null) {
      const place = answer.location;
      this.#leave = () => void api.call(place, { method: 'DELETE', keepalive: true }).catch(() => undefined);
    }
    if (this.#closed) return this.#leave?.();
    await this.#connection.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
    this.#listener.progress('answered');
  }

  /** More would throw. @returns {number} */
  get mostBytes() {
    return this.#connection.sctp?.maxMessageSize ?? MOST_BYTES;
  }

  /** @param {Message} message */
  send(message) {
    if (this.#input.readyState !== 'open') return;
    if (!isOrdered(message)) return this.#input.send(JSON.stringify(message));
    const text = JSON.stringify(numbered(message, (this.#inputs += 1)));
    this.#input.send(text);
    if (isInput(message) && this.#isFar() && text.length <= MOST_COPIED_CHARS) setTimeout(() => this.#unordered(text), COPY_AFTER_MS);
  }

  /** @param {number} seq @param {number} x @param {number} y */
  point(seq, x, y) {
    this.#unordered(encodePointer(seq, x, y));
  }

  /** @param {string | ArrayBuffer} data */
  #unordered(data) {
    if (this.#pointer.readyState !== 'open' || this.#pointer.bufferedAmount > POINTER_BACKLOG_BYTES) return;
    if (typeof data === 'string') this.#pointer.send(data);
    else this.#pointer.send(data);
  }

  /** What the browser measured. @returns {Promise<Record<string, unknown>>} */
  async report() {
    /** @type {Record<string, unknown>} */
    const found = {};
    if (this.#closed) return found;
    for (const one of (await this.#connection.getStats()).values()) {
      if (one.type === 'inbound-rtp' && one.kind === 'video') Object.assign(found, one);
      if (one.type === 'candidate-pair' && one.nominated) found.roundTripS = one.currentRoundTripTime;
    }
    return found;
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.close();
    this.#leave?.();
    this.element.srcObject = null;
    this.element.remove();
  }

  /** @param {unknown} data */
  #received(data) {
    const message = decodeMessage(data);
    if (message === null || this.#closed) return;
    this.#listener.message(message);
    if (message.t !== 'hello') return;
    this.#hello = true;
    this.#checkUp();
  }

  /** @param {MediaStreamTrack} track @param {RTCRtpReceiver} receiver */
  #gotTrack(track, receiver) {
    if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
    if ('playoutDelayHint' in receiver) receiver.playoutDelayHint = 0;
    this.element.srcObject = new MediaStream([track]);
    // a browser that wants a press first shows the picture then; the state stays clear meanwhile
    this.element.play().catch(() => undefined);
    if ('requestVideoFrameCallback' in this.element) this.element.requestVideoFrameCallback((now, facts) => this.#shown(now, facts));
  }

  /** @param {number} now @param {VideoFrameCallbackMetadata} facts */
  #shown(now, facts) {
    if (this.#closed) return;
    this.#gotPicture();
    this.#listener.frame({
      rtp: facts.rtpTimestamp,
      received: facts.receiveTime,
      decodeMs: facts.processingDuration === undefined ? undefined : facts.processingDuration * 1000,
      shown: facts.expectedDisplayTime || now,
      width: facts.width,
      height: facts.height,
    });
    this.element.requestVideoFrameCallback((later, next) => this.#shown(later, next));
  }

  #gotPicture() {
    this.#picture = true;
    this.#checkUp();
  }

  #checkUp() {
    // a hidden page is sent no video
    if (this.#isUp || this.#closed || !this.#hello || !(this.#picture || document.hidden)) return;
    this.#isUp = true;
    this.#listener.up();
  }

  #stateChanged() {
    const state = this.#connection.connectionState;
    if (state === 'connected') this.#listener.progress('connected');
    if (state === 'failed' || state === 'closed') this.#down(this.#isUp ? 'lost' : 'media');
  }

  /** @param {'media' | 'lost'} cause */
  #down(cause) {
    if (!this.#closed) this.#listener.down(cause);
  }
}

/** H.264 (what the streamer's encoders share) before VP8; nothing else is spoken there. @param {RTCRtpTransceiver} transceiver */
function preferH264(transceiver) {
  const known = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  const rank = (/** @type {{ mimeType: string, sdpFmtpLine?: string }} */ codec) => {
    const name = codec.mimeType.toLowerCase();
    const line = codec.sdpFmtpLine ?? '';
    if (name === 'video/h264') return /packetization-mode=1/.test(line) ? (/profile-level-id=42e0/i.test(line) ? 0 : 1) : 9;
    return name === 'video/vp8' ? 2 : name === 'video/rtx' ? 3 : 9;
  };
  const wanted = known.filter((codec) => rank(codec) < 9).sort((one, other) => rank(one) - rank(other));
  if (wanted.length > 0 && 'setCodecPreferences' in transceiver) transceiver.setCodecPreferences(wanted);
}

/**
 * The offer without what only costs time: names that only this computer's own network can resolve (the other side would wait for
 * them), and the claim that no more candidates come, after which aioice takes a browser that gave only such names for unreachable.
 * @param {string} sdp @returns {string}
 */
export function offerToSend(sdp) {
  return sdp.replace(/^a=(?:candidate:\S+ \d+ \S+ \d+ \S+\.local .*|end-of-candidates)\r\n/gm, '');
}

/** @param {RTCPeerConnection} connection @param {number} patienceMs */
function gathered(connection, patienceMs) {
  return new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
    if (connection.iceGatheringState === 'complete') return resolve();
    setTimeout(resolve, patienceMs);
    connection.addEventListener('icegatheringstatechange', () => {
      if (connection.iceGatheringState === 'complete') resolve();
    });
  });
}
