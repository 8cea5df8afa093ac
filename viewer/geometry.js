/**
 * Where the desktop lies in the view, and which of its pixels is under a place. Pure. Places in the view are CSS pixels,
 * those of the desktop whole pixels from 0.
 */

/** @typedef {{ width: number, height: number }} Extent */
/** @typedef {{ left: number, top: number, width: number, height: number }} Box */
/** @typedef {{ x: number, y: number }} Place */
/** @typedef {'fit' | 'actual' | 'resize'} Layout */

const SMALLEST = { width: 320, height: 200 };
const LARGEST = { width: 3840, height: 2160 };

/**
 * The box of the desktop's picture inside a stage: scaled to fit with its shape kept (edges on whole device pixels), or at
 * its own size (then centred where there is room, else from the corner, and the stage scrolls).
 * @param {Extent} stage @param {Extent} desktop @param {Layout} layout @param {number} [ratio] device pixels per CSS pixel
 * @returns {Box}
 */
export function pictureBox(stage, desktop, layout, ratio = 1) {
  const scale = layout === 'actual' ? 1 : Math.min(stage.width / desktop.width, stage.height / desktop.height);
  const snap = (/** @type {number} */ value) => Math.round(value * ratio) / ratio;
  const near = layout !== 'actual' && Math.abs(scale - 1) < 0.004 ? 1 : scale;
  const width = snap(desktop.width * near);
  const height = snap(desktop.height * near);
  return {
    left: snap(Math.max(0, (stage.width - width) / 2)),
    top: snap(Math.max(0, (stage.height - height) / 2)),
    width,
    height,
  };
}

/**
 * The desktop's pixel under a place.
 * @param {Place} place in the same space as `box` @param {Box} box the picture @param {Extent} desktop
 * @returns {Place | null} null outside of the picture
 */
export function toDesktop(place, box, desktop) {
  const x = pixel(place.x - box.left, box.width, desktop.width);
  const y = pixel(place.y - box.top, box.height, desktop.height);
  const inside = x >= 0 && y >= 0 && x < desktop.width && y < desktop.height;
  return inside ? { x, y } : null;
}

/**
 * One axis. In a picture that is smaller than the desktop the mouse cannot point between its pixels, so the last one of
 * the picture stands for the last one of the desktop: edges of the screen must be reachable.
 * @param {number} offset @param {number} shown @param {number} size @returns {number}
 */
function pixel(offset, shown, size) {
  if (shown < size && offset >= shown - 1 && offset < shown) return size - 1;
  return Math.floor((offset * size) / shown);
}

/**
 * The nearest pixel of the desktop, for a drag that left the picture.
 * @param {Place} place @param {Box} box @param {Extent} desktop @returns {Place}
 */
export function toNearest(place, box, desktop) {
  const clamp = (/** @type {number} */ value, /** @type {number} */ size) => Math.max(0, Math.min(size - 1, value || 0));
  return {
    x: clamp(pixel(place.x - box.left, box.width, desktop.width), desktop.width),
    y: clamp(pixel(place.y - box.top, box.height, desktop.height), desktop.height),
  };
}

/**
 * Where the middle of a desktop's pixel lies in the view.
 * @param {Place} pixel @param {Box} box @param {Extent} desktop @returns {Place}
 */
export function toView(pixel, box, desktop) {
  return {
    x: box.left + ((pixel.x + 0.5) * box.width) / desktop.width,
    y: box.top + ((pixel.y + 0.5) * box.height) / desktop.height,
  };
}

/**
 * The size to ask of a desktop so that it fills a stage: even (4:2:0 video needs that) and within bounds.
 * @param {Extent} stage @returns {Extent}
 */
export function desktopSizeFor(stage) {
  const even = (/** @type {number} */ value, /** @type {number} */ least, /** @type {number} */ most) =>
    Math.max(least, Math.min(most, Math.floor(value / 2) * 2));
  return {
    width: even(stage.width, SMALLEST.width, LARGEST.width),
    height: even(stage.height, SMALLEST.height, LARGEST.height),
  };
}
