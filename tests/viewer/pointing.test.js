import assert from 'node:assert/strict';
import { test } from 'node:test';
import { desktopSizeFor, pictureBox, toDesktop, toNearest, toView } from '../../viewer/geometry.js';
import { buttonChanges } from '../../viewer/input.js';
import { LONG_PRESS_MS, Touch } from '../../viewer/touch.js';
import { Wheel } from '../../viewer/wheel.js';

const DESKTOP = { width: 1280, height: 800 };

for (const [name, stage, layout, box] of [
  ['the same size', { width: 1280, height: 800 }, 'fit', { left: 0, top: 0, width: 1280, height: 800 }],
  ['bars at the sides', { width: 1480, height: 800 }, 'fit', { left: 100, top: 0, width: 1280, height: 800 }],
  ['bars above and below', { width: 640, height: 600 }, 'fit', { left: 0, top: 100, width: 640, height: 400 }],
  ['larger', { width: 2560, height: 1600 }, 'fit', { left: 0, top: 0, width: 2560, height: 1600 }],
  ['its own size, centred', { width: 1480, height: 900 }, 'actual', { left: 100, top: 50, width: 1280, height: 800 }],
  ['its own size, scrolling', { width: 390, height: 700 }, 'actual', { left: 0, top: 0, width: 1280, height: 800 }],
]) test(`picture: ${name}`, () => assert.deepEqual(pictureBox(stage, DESKTOP, layout), box));

test('edges lie on device pixels', () => {
  const box = pictureBox({ width: 1001, height: 613 }, DESKTOP, 'fit', 1.5);
  for (const value of Object.values(box)) assert.ok(Math.abs(value * 1.5 - Math.round(value * 1.5)) < 1e-9);
});

for (const scale of [0.5, 1, 1.25, 2, 3]) {
  const box = { left: 37, top: 11.5, width: DESKTOP.width * scale, height: DESKTOP.height * scale };
  test(`every pixel at scale ${scale} is found again under its middle`, () => {
    for (const x of [0, 1, 2, 639, 640, 1277]) for (const y of [0, 1, 399, 797]) {
      assert.deepEqual(toDesktop(toView({ x, y }, box, DESKTOP), box, DESKTOP), { x, y });
    }
  });
  test(`the corners at scale ${scale}`, () => {
    assert.deepEqual(toDesktop({ x: box.left, y: box.top }, box, DESKTOP), { x: 0, y: 0 });
    const last = Math.min(1, scale);
    assert.deepEqual(toDesktop({ x: box.left + box.width - last, y: box.top + box.height - last }, box, DESKTOP), { x: 1279, y: 799 });
    assert.equal(toDesktop({ x: box.left - 0.1, y: box.top }, box, DESKTOP), null);
    assert.equal(toDesktop({ x: box.left, y: box.top + box.height }, box, DESKTOP), null);
    assert.deepEqual(toNearest({ x: -5000, y: 5000 }, box, DESKTOP), { x: 0, y: 799 });
    assert.deepEqual(toNearest({ x: box.left + box.width + 3, y: box.top }, box, DESKTOP), { x: 1279, y: 0 });
  });
}

test('the size asked for is even and bounded', () => {
  assert.deepEqual(desktopSizeFor({ width: 1281, height: 801.9 }), { width: 1280, height: 800 });
  assert.deepEqual(desktopSizeFor({ width: 10, height: 10 }), { width: 320, height: 200 });
  assert.deepEqual(desktopSizeFor({ width: 9000, height: 9000 }), { width: 3840, height: 2160 });
});

for (const [name, event, wanted] of [
  ['pixels: a notch of Chromium under Windows', { deltaX: 0, deltaY: 100, deltaMode: 0, wheelDeltaY: -120 }, { dx: 0, dy: 120 }],
  ['pixels: a notch of Chromium under Linux', { deltaX: 0, deltaY: 120, deltaMode: 0, wheelDeltaY: -120 }, { dx: 0, dy: 120 }],
  ['pixels: without wheelDelta', { deltaX: 0, deltaY: -100, deltaMode: 0 }, { dx: 0, dy: -120 }],
  ['pixels: a touchpad whose wheelDelta looks like a notch', { deltaX: 0, deltaY: 40, deltaMode: 0, wheelDeltaY: -120 }, { dx: 0, dy: 48 }],
  ['pixels: a mouse set to scroll twice as far', { deltaX: 0, deltaY: -200, deltaMode: 0, wheelDeltaY: 120 }, { dx: 0, dy: -240 }],
  ['lines: a notch of Firefox', { deltaX: 0, deltaY: 3, deltaMode: 1 }, { dx: 0, dy: 120 }],
  ['lines: sideways', { deltaX: -3, deltaY: 0, deltaMode: 1 }, { dx: -120, dy: 0 }],
  ['pages', { deltaX: 0, deltaY: 1, deltaMode: 2 }, { dx: 0, dy: 360 }],
  ['Shift turned by the browser is turned back', { deltaX: 100, deltaY: 0, deltaMode: 0, shiftKey: true }, { dx: 0, dy: 120 }],
  ['nothing', { deltaX: 0, deltaY: 0, deltaMode: 0 }, null],
  ['not a number', { deltaX: Number.NaN, deltaY: Infinity, deltaMode: 0 }, null],
]) test(`wheel, ${name}`, () => assert.deepEqual(new Wheel().turn(event), wanted));

test('fractions are carried, and forgotten when the direction turns', () => {
  const wheel = new Wheel();
  let sum = 0;
  for (let step = 0; step < 1000; step += 1) sum += wheel.turn({ deltaX: 0, deltaY: 0.1, deltaMode: 0 })?.dy ?? 0;
  assert.ok(Math.abs(sum - 120) <= 1, String(sum));
  wheel.turn({ deltaX: 0, deltaY: 0.7, deltaMode: 0 });
  assert.deepEqual(wheel.turn({ deltaX: 0, deltaY: -1, deltaMode: 0 }), { dx: 0, dy: -1 });
});

test('a wheel gone mad stays in bounds', () => assert.deepEqual(new Wheel().turn({ deltaX: 0, deltaY: 1e9, deltaMode: 0 }), { dx: 0, dy: 3600 }));

test('all five buttons, chords too', () => {
  assert.deepEqual(buttonChanges(0, 31).map(({ button, down }) => [button, down]), [['left', true], ['middle', true], ['right', true], ['back', true], ['forward', true]]);
  assert.deepEqual(buttonChanges(1, 2), [{ button: 'left', down: false }, { button: 'right', down: true }]);
  assert.deepEqual(buttonChanges(9, 1), [{ button: 'back', down: false }]);
  assert.deepEqual(buttonChanges(4, 4), []);
});

const short = (gestures) => gestures.map((one) => (one.do === 'button' ? `${one.button} ${one.down ? 'down' : 'up'} ${one.at.x},${one.at.y}` : one.do === 'move' ? `move ${one.at.x},${one.at.y}` : one.do === 'scroll' || one.do === 'pan' ? `${one.do} ${one.x},${one.y}` : one.do));
/** Fingers as a table: [what, id, x, y, time]. */
function touched(steps) {
  const touch = new Touch();
  const gestures = steps.flatMap(([what, id, x, y, time = 0]) => {
    if (what === 'tick') return touch.tick(id);
    if (what === 'cancel') return touch.cancel(id);
    return touch[what](id, { x, y }, time);
  });
  return { gestures: short(gestures), phase: touch.phase };
}

for (const [name, steps, wanted, phase = 'idle'] of [
  ['a tap is a click', [['down', 1, 10, 20, 0], ['up', 1, 12, 21, 80]], ['move 10,20', 'left down 10,20', 'left up 10,20']],
  ['a second tap nearby lands on the first', [['down', 1, 10, 20, 0], ['up', 1, 10, 20, 80], ['down', 2, 22, 30, 200], ['up', 2, 22, 30, 260]],
    ['move 10,20', 'left down 10,20', 'left up 10,20', 'move 10,20', 'left down 10,20', 'left up 10,20']],
  ['a second tap elsewhere is another click', [['down', 1, 10, 20, 0], ['up', 1, 10, 20, 80], ['down', 2, 90, 30, 200], ['up', 2, 90, 30, 260]],
    ['move 10,20', 'left down 10,20', 'left up 10,20', 'move 90,30', 'left down 90,30', 'left up 90,30']],
  ['a long press is a right click', [['down', 1, 10, 20, 0], ['tick', LONG_PRESS_MS], ['up', 1, 10, 20, 900]], ['move 10,20', 'right down 10,20', 'right up 10,20', 'buzz']],
  ['not too early', [['down', 1, 10, 20, 0], ['tick', LONG_PRESS_MS - 1]], [], 'pressed'],
  ['one finger drags from where it was put', [['down', 1, 10, 20, 0], ['move', 1, 14, 20], ['move', 1, 40, 20], ['move', 1, 50, 25], ['up', 1, 50, 25, 300]],
    ['move 10,20', 'left down 10,20', 'move 40,20', 'move 50,25', 'left up 50,25']],
  ['two fingers scroll: the content follows', [['down', 1, 100, 100, 0], ['down', 2, 140, 100, 20], ['move', 1, 100, 60], ['move', 2, 140, 60], ['up', 1, 100, 60, 300], ['up', 2, 140, 60, 320]], ['scroll 0,60', 'scroll 0,60']],
  ['a pinch is nothing', [['down', 1, 100, 100, 0], ['down', 2, 140, 100, 20], ['move', 1, 80, 100], ['move', 2, 160, 100]], ['scroll 30,0', 'scroll -30,0'], 'scrolling'],
  ['a second finger ends a drag', [['down', 1, 10, 20, 0], ['move', 1, 60, 20], ['down', 2, 90, 90, 50]], ['move 10,20', 'left down 10,20', 'move 60,20', 'left up 90,90'], 'scrolling'],
  ['a drag that the browser takes away is let go', [['down', 1, 10, 20, 0], ['move', 1, 60, 20], ['cancel', 1]], ['move 10,20', 'left down 10,20', 'move 60,20', 'left up 60,20']],
  ['three fingers move the picture, which follows them', [['down', 1, 0, 0, 0], ['down', 2, 30, 0, 1], ['down', 3, 60, 0, 2], ['move', 1, -30, 0], ['move', 2, 30, -60], ['up', 3, 60, 0, 9], ['move', 1, 90, 90]], ['pan 10,0', 'pan 0,20'], 'spent'],
  ['four fingers do nothing', [['down', 1, 0, 0, 0], ['down', 2, 30, 0, 1], ['down', 3, 60, 0, 2], ['down', 4, 90, 0, 3], ['move', 1, -30, 0]], [], 'spent'],
  ['three fingers that rest do nothing', [['down', 1, 1, 1, 0], ['down', 2, 50, 1, 1], ['down', 3, 90, 1, 2], ['up', 1, 1, 1, 9], ['up', 2, 50, 1, 9], ['up', 3, 90, 1, 9]], []],
  ['after scrolling one finger that stays does not drag', [['down', 1, 1, 1, 0], ['down', 2, 50, 1, 1], ['up', 2, 50, 1, 9], ['move', 1, 90, 90]], [], 'spent'],
]) test(`touch: ${name}`, () => {
  const found = touched(steps);
  assert.deepEqual(found.gestures, wanted);
  assert.equal(found.phase, phase);
});
