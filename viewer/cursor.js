/**
 * The desktop's own cursor, drawn by this browser: as the CSS cursor over the screen while this person drives, without any delay;
 * else as a picture at the place where somebody else points.
 */

/** Chromium ignores larger cursors. */
const MAX_CSS_CURSOR_PX = 128;

/** @typedef {import('./wire.js').Cursor} CursorMessage */

export class CursorView {
  /** @type {CursorMessage | null} */
  #message = null;
  /** @type {HTMLImageElement | null} */
  #image = null;
  #scale = 1;
  #drives = false;
  /** @type {import('./geometry.js').Place | null} */
  #remote = null;

  /** @param {HTMLElement} surface where the CSS cursor shows @param {HTMLImageElement} overlay @param {(pixel: import('./geometry.js').Place) => import('./geometry.js').Place} toView */
  constructor(surface, overlay, toView) {
    this.surface = surface;
    this.overlay = overlay;
    this.toView = toView;
  }

  /** @param {CursorMessage} message */
  async set(message) {
    this.#message = message;
    this.#image = message.png === null ? null : await load(message.png);
    if (this.#message === message) this.refresh();
  }

  /** @param {number} x @param {number} y */
  remoteAt(x, y) {
    this.#remote = { x, y };
    this.refresh();
  }

  /** @param {{ scale?: number, drives?: boolean }} now scale: CSS pixels per desktop pixel */
  update({ scale = this.#scale, drives = this.#drives }) {
    const changed = scale !== this.#scale || drives !== this.#drives;
    if (drives && !this.#drives) this.#remote = null;
    this.#scale = scale;
    this.#drives = drives;
    if (changed) this.refresh();
    else this.#placeOverlay();
  }

  refresh() {
    this.surface.style.cursor = this.#drives && this.#message !== null ? this.#css() : '';
    this.#placeOverlay();
  }

  /** @returns {string} */
  #css() {
    if (this.#message === null || this.#image === null) return 'none';
    const { hot_x: hotX, hot_y: hotY } = this.#message;
    const ratio = devicePixelRatio || 1;
    const scale = Math.max(this.#scale, 0.5);
    const width = Math.min(MAX_CSS_CURSOR_PX, Math.max(1, this.#image.naturalWidth * scale));
    const height = Math.min(MAX_CSS_CURSOR_PX, Math.max(1, this.#image.naturalHeight * scale));
    const canvas = document.createElement('canvas');
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.getContext('2d')?.drawImage(this.#image, 0, 0, canvas.width, canvas.height);
    const url = canvas.toDataURL();
    const hot = `${clamp(hotX * scale, width)} ${clamp(hotY * scale, height)}`;
    const sharp = `image-set(url("${url}") ${ratio}x) ${hot}, default`;
    return ratio !== 1 && CSS.supports('cursor', sharp) ? sharp : `url("${canvas.width === Math.round(width) ? url : this.#plain(width, height)}") ${hot}, default`;
  }

  /** @param {number} width @param {number} height @returns {string} */
  #plain(width, height) {
    const canvas = document.createElement('canvas');
    canvas.width = Math.round(width);
    canvas.height = Math.round(height);
    if (this.#image !== null) canvas.getContext('2d')?.drawImage(this.#image, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL();
  }

  #placeOverlay() {
    const visible = !this.#drives && this.#remote !== null && this.#image !== null && this.#message !== null;
    this.overlay.hidden = !visible;
    if (!visible || this.#remote === null || this.#image === null || this.#message === null) return;
    if (this.overlay.src !== this.#image.src) this.overlay.src = this.#image.src;
    const at = this.toView({ x: this.#remote.x - this.#message.hot_x, y: this.#remote.y - this.#message.hot_y });
    this.overlay.style.width = `${this.#image.naturalWidth * this.#scale}px`;
    this.overlay.style.transform = `translate(${at.x}px, ${at.y}px)`;
  }
}

/** @param {number} value @param {number} size @returns {number} */
const clamp = (value, size) => Math.max(0, Math.min(Math.round(size) - 1, Math.round(value)));

/** @param {string} png base64 @returns {Promise<HTMLImageElement | null>} */
async function load(png) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  return image.decode().then(() => image, () => null);
}
