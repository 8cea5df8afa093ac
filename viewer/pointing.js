/**
 * Mouse, pen and fingers over the stage, as browser events: maps places to pixels and hands them to `Input`. With the mouse what
 * lies outside of the picture is ignored, but clamped while a button is held.
 */

import { Touch } from './touch.js';

/** @typedef {import('./input.js').Input} Input */
/** @typedef {import('./screen.js').Screen} Screen */
/** @typedef {import('./keyboard.js').KeyFields} KeyFields */

/**
 * @param {Screen} screen @param {Input} input
 * @param {{ pressed: () => void, focus: () => void }} host `pressed`: before a press is dealt with; it may give control
 */
export function listenPointing(screen, input, host) {
  const { stage } = screen;
  const raw = 'onpointerrawupdate' in stage;
  const touch = listenTouch(screen, input);
  const isFinger = (/** @type {PointerEvent} */ event) => event.pointerType === 'touch';

  /** @param {PointerEvent} event */
  const buttons = (event) => {
    const at = input.buttons === 0 ? screen.pixelAt(event.clientX, event.clientY) : screen.nearestPixel(event.clientX, event.clientY);
    if (at !== null) input.setButtons(event.buttons, at, flagsOf(event));
  };
  /** @param {PointerEvent} event */
  const move = (event) => {
    if (isFinger(event)) return;
    const at = input.buttons === 0 ? screen.pixelAt(event.clientX, event.clientY) : screen.nearestPixel(event.clientX, event.clientY);
    if (at !== null) input.point(at);
  };

  stage.addEventListener('pointerdown', (event) => {
    if (screen.pixelAt(event.clientX, event.clientY) === null) return;
    host.pressed();
    if (!input.drives) return;
    // not prevented here: then no mouse event would follow, and only preventing those keeps the back button from leaving the page
    if (!isFinger(event)) host.focus();
    captured(stage, event.pointerId);
    if (isFinger(event)) touch.down(event);
    else buttons(event);
  });
  stage.addEventListener('pointermove', (event) => {
    if (!input.drives) return;
    if (isFinger(event)) return touch.move(event);
    // more buttons of a press that began here; one that began elsewhere is not the desktop's
    if (input.buttons !== 0) buttons(event);
    if (!raw) move(event);
  });
  if (raw) stage.addEventListener('pointerrawupdate', (event) => move(/** @type {PointerEvent} */ (event)));
  stage.addEventListener('pointerup', (event) => (isFinger(event) ? touch.up(event) : buttons(event)));
  stage.addEventListener('pointercancel', (event) => (isFinger(event) ? touch.cancel(event) : input.release()));
  stage.addEventListener('lostpointercapture', (event) => {
    if (isFinger(event)) touch.cancel(event);
    // one that came with the last button has been dealt with; Chromium also takes the capture away for a menu that is not shown
    else if (input.buttons !== 0 && !(event.buttons !== 0 && captured(stage, event.pointerId))) input.release();
  });
  stage.addEventListener('wheel', (event) => wheel(event, screen, input), { passive: false });
  stage.addEventListener('mousedown', (event) => input.drives && !screen.isScrollbar(event.clientX, event.clientY) && event.preventDefault());
  for (const name of ['contextmenu', 'mouseup', 'auxclick', 'dragstart', 'selectstart']) {
    stage.addEventListener(name, (event) => input.drives && event.preventDefault());
  }
}

/** @param {HTMLElement} stage @param {number} pointer @returns {boolean} whether what it does goes to the stage from now on */
function captured(stage, pointer) {
  try {
    stage.setPointerCapture(pointer);
    return true;
  } catch {
    return false;
  }
}

/** @param {WheelEvent} event @param {Screen} screen @param {Input} input */
function wheel(event, screen, input) {
  const at = screen.pixelAt(event.clientX, event.clientY);
  if (!input.drives || at === null) return;
  event.preventDefault();
  // a pinch on a touchpad comes as the wheel with a Control that nobody holds
  if (event.ctrlKey && !input.keyboard.holdsControl) return;
  const legacy = /** @type {{ wheelDeltaX?: number, wheelDeltaY?: number }} */ (/** @type {unknown} */ (event));
  // the mode is read first: Firefox then answers in lines
  const { deltaMode } = event;
  const fields = { deltaMode, deltaX: event.deltaX, deltaY: event.deltaY, shiftKey: event.shiftKey, wheelDeltaX: legacy.wheelDeltaX, wheelDeltaY: legacy.wheelDeltaY };
  input.scroll(input.wheel.turn(fields), at, flagsOf(event));
}

/** @param {Screen} screen @param {Input} input */
function listenTouch(screen, input) {
  const machine = new Touch();
  let left = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {import('./touch.js').Gesture[]} gestures */
  const perform = (gestures) => {
    for (const gesture of gestures) {
      if (gesture.do === 'buzz') {
        navigator.vibrate?.(15);
        continue;
      }
      if (gesture.do === 'pan') {
        screen.stage.scrollBy({ left: gesture.x, top: gesture.y, behavior: 'instant' });
        continue;
      }
      const at = screen.nearestPixel(gesture.at.x, gesture.at.y);
      if (gesture.do === 'move') input.point(at);
      if (gesture.do === 'scroll') input.scroll(input.wheel.add(gesture.x, gesture.y), at, null);
      if (gesture.do === 'button') {
        const bit = gesture.button === 'left' ? 1 : 2;
        left = gesture.down ? left | bit : left & ~bit;
        input.setButtons(left, at, null);
      }
    }
    clearTimeout(timer);
    const due = machine.due;
    if (due !== null) timer = setTimeout(() => perform(machine.tick(performance.now())), Math.max(0, due - performance.now()) + 1);
  };
  const place = (/** @type {PointerEvent} */ event) => ({ x: event.clientX, y: event.clientY });
  return {
    down: (/** @type {PointerEvent} */ event) => perform(machine.down(event.pointerId, place(event), performance.now())),
    move: (/** @type {PointerEvent} */ event) => perform(machine.move(event.pointerId, place(event))),
    up: (/** @type {PointerEvent} */ event) => perform(machine.up(event.pointerId, place(event), performance.now())),
    cancel: (/** @type {PointerEvent} */ event) => perform(machine.cancel(event.pointerId)),
  };
}

/** Modifiers of a mouse event, as the keyboard reads them. @param {MouseEvent} event @returns {KeyFields} */
function flagsOf(event) {
  const { shiftKey, ctrlKey, altKey, metaKey } = event;
  return { code: '', key: '', location: 0, shiftKey, ctrlKey, altKey, metaKey, altGraph: event.getModifierState('AltGraph') };
}
