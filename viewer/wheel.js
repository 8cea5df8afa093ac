/**
 * Turns wheel events into 1/120 of a notch, and carries what is less than one unit to the next event. Pure.
 *
 * Browsers report pixels (100 to 120 a notch with a mouse, any number with a touchpad), lines (3 a notch: Firefox) or pages.
 */

export const NOTCH = 120;
const PIXELS_PER_NOTCH = 100;
const LINES_PER_NOTCH = 3;
const MOST_NOTCHES = 30;

/**
 * What is read of a WheelEvent. `wheelDelta` (Chromium, Safari) counts a mouse's notches exactly: -120 each.
 * @typedef {{ deltaX: number, deltaY: number, deltaMode: number, shiftKey?: boolean, wheelDeltaX?: number, wheelDeltaY?: number }} WheelFields
 */

/** @param {number} delta @param {number} mode @param {number | undefined} wheelDelta @returns {number} units, not whole */
function units(delta, mode, wheelDelta) {
  if (!Number.isFinite(delta) || delta === 0) return 0;
  if (mode === 1) return (delta / LINES_PER_NOTCH) * NOTCH;
  if (mode === 2) return delta * NOTCH * 3;
  const notches = wheelDelta ? -wheelDelta / NOTCH : 0;
  const perNotch = delta / notches;
  const isMouse = Number.isInteger(notches) && perNotch >= 80 && perNotch <= 160;
  return isMouse ? notches * NOTCH : (delta / PIXELS_PER_NOTCH) * NOTCH;
}

/** Keeps the rest of each axis between events. */
export class Wheel {
  #restX = 0;
  #restY = 0;

  /**
   * @param {WheelFields} event
   * @returns {{ dx: number, dy: number } | null} whole units, right and down positive; null if it is not yet one
   */
  turn(event) {
    let x = units(event.deltaX, event.deltaMode, event.wheelDeltaX);
    let y = units(event.deltaY, event.deltaMode, event.wheelDeltaY);
    // browsers turn the axis while Shift is down; the desktop gets Shift itself and turns it again
    if (event.shiftKey && y === 0) [x, y] = [0, x];
    return this.add(x, y);
  }

  /** @param {number} x units @param {number} y units @returns {{ dx: number, dy: number } | null} */
  add(x, y) {
    this.#restX = carried(this.#restX, x);
    this.#restY = carried(this.#restY, y);
    const dx = Math.trunc(this.#restX);
    const dy = Math.trunc(this.#restY);
    this.#restX -= dx;
    this.#restY -= dy;
    return dx === 0 && dy === 0 ? null : { dx, dy };
  }
}

/** What was left in the other direction is forgotten. @param {number} rest @param {number} more @returns {number} */
function carried(rest, more) {
  const kept = rest * more < 0 ? 0 : rest;
  const most = MOST_NOTCHES * NOTCH;
  return Math.max(-most, Math.min(most, kept + more));
}
