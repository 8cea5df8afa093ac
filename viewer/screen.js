/**
 * The stage: the desktop's picture laid out in it (fit, its own size, or the desktop resized to the window), the last picture while
 * there is none, and the mapping between places in the view and pixels of the desktop.
 */

import { CursorView } from './cursor.js';
import { desktopSizeFor, pictureBox, toDesktop, toNearest } from './geometry.js';

/** @typedef {import('./geometry.js').Layout} Layout */
/** @typedef {import('./geometry.js').Place} Place */
/** @typedef {import('./geometry.js').Extent} Extent */

const RESIZE_QUIET_MS = 300;

export class Screen {
  desktop = { width: 1280, height: 800 };
  /** @type {Layout} */
  layout = 'fit';
  /** @type {HTMLElement | null} */
  #element = null;
  #still = document.createElement('canvas');
  #drives = false;
  #asked = '';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #resizeTimer;

  /** @param {HTMLElement} stage scrolls @param {HTMLElement} surface the picture's box @param {HTMLImageElement} overlay @param {(size: Extent) => void} askForSize */
  constructor(stage, surface, overlay, askForSize) {
    this.stage = stage;
    this.surface = surface;
    this.askForSize = askForSize;
    this.cursor = new CursorView(surface, overlay, ({ x, y }) => ({ x: x * this.scale, y: y * this.scale }));
    this.#still.className = 'still';
    new ResizeObserver(() => this.arrange()).observe(stage);
  }

  /** CSS pixels per desktop pixel. @returns {number} */
  get scale() {
    return this.surface.offsetWidth / this.desktop.width || 1;
  }

  /** @param {HTMLElement} element of the transport that is shown from now on */
  show(element) {
    this.#element?.remove();
    this.#element = element;
    element.classList.add('picture');
    this.surface.prepend(element);
    this.#still.remove();
  }

  /** Keeps the last picture, since its transport goes away. */
  keepPicture() {
    const element = this.#element;
    const isVideo = element instanceof HTMLVideoElement;
    if (!isVideo && !(element instanceof HTMLCanvasElement)) return;
    const width = isVideo ? element.videoWidth : element.width;
    const height = isVideo ? element.videoHeight : element.height;
    if (width === 0 || height === 0) return;
    this.#still.width = width;
    this.#still.height = height;
    this.#still.getContext('2d')?.drawImage(element, 0, 0);
    this.surface.prepend(this.#still);
  }

  /** @param {Extent} size of the desktop */
  setSize(size) {
    this.desktop = { width: size.width, height: size.height };
    this.arrange();
  }

  /** @param {Layout} layout */
  setLayout(layout) {
    this.layout = layout;
    this.#asked = '';
    this.arrange();
  }

  /** @param {boolean} drives */
  setDrives(drives) {
    if (drives !== this.#drives) this.#asked = '';
    this.#drives = drives;
    this.stage.classList.toggle('drives', drives);
    this.cursor.update({ drives });
    this.#askToResize();
  }

  arrange() {
    const stage = { width: this.stage.clientWidth, height: this.stage.clientHeight };
    if (stage.width === 0 || stage.height === 0) return;
    this.stage.classList.toggle('scrolls', this.layout === 'actual');
    const box = pictureBox(stage, this.desktop, this.layout, devicePixelRatio || 1);
    Object.assign(this.surface.style, { left: `${box.left}px`, top: `${box.top}px`, width: `${box.width}px`, height: `${box.height}px` });
    this.surface.classList.toggle('sharp', box.width === this.desktop.width && Number.isInteger(devicePixelRatio));
    this.cursor.update({ scale: box.width / this.desktop.width });
    this.#askToResize();
  }

  /** Whether the stage's own scrollbars are at a place of the window, or it lies beyond. @param {number} clientX @param {number} clientY @returns {boolean} */
  isScrollbar(clientX, clientY) {
    const { left, top } = this.stage.getBoundingClientRect();
    return clientX - left >= this.stage.clientWidth || clientY - top >= this.stage.clientHeight;
  }

  /** The desktop's pixel under a place of the window; null outside. @param {number} clientX @param {number} clientY @returns {Place | null} */
  pixelAt(clientX, clientY) {
    if (this.isScrollbar(clientX, clientY)) return null;
    return toDesktop({ x: clientX, y: clientY }, this.surface.getBoundingClientRect(), this.desktop);
  }

  /** The nearest pixel. @param {number} clientX @param {number} clientY @returns {Place} */
  nearestPixel(clientX, clientY) {
    return toNearest({ x: clientX, y: clientY }, this.surface.getBoundingClientRect(), this.desktop);
  }

  #askToResize() {
    clearTimeout(this.#resizeTimer);
    if (this.layout !== 'resize' || !this.#drives) return;
    this.#resizeTimer = setTimeout(() => {
      const size = desktopSizeFor({ width: this.stage.clientWidth, height: this.stage.clientHeight });
      const name = `${size.width}x${size.height}`;
      if (name === this.#asked || (size.width === this.desktop.width && size.height === this.desktop.height)) return;
      this.#asked = name;
      this.askForSize(size);
    }, RESIZE_QUIET_MS);
  }
}
