import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isPaste, Keyboard, textChange } from '../../viewer/keyboard.js';
import { keysymOfCharacter, keysymOfKey, usCharacter } from '../../viewer/keysyms.js';

const vectors = JSON.parse(readFileSync(new URL('../vectors/keysyms.json', import.meta.url), 'utf8'));
const FLAGS = { shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, altGraph: false };

for (const { key, location, code, keysym } of vectors.keys) {
  test(`keysym of ${key} at ${code || 'nowhere'}`, () => assert.equal(keysymOfKey(key, location), keysym));
}

/** Plays the events of a browser; @returns everything that was sent. */
function played(keyboard, events) {
  const sent = [];
  let now = 0;
  for (const { type, at, ...rest } of events) {
    now = at ?? now + 1000;
    const fields = { location: 0, ...FLAGS, ...rest };
    if (type === 'down') sent.push(...keyboard.down(fields, now).messages);
    if (type === 'up') sent.push(...keyboard.up(fields, now).messages);
    if (type === 'tick') sent.push(...keyboard.tick(now));
    if (type === 'settle') sent.push(...keyboard.settle(fields));
    if (type === 'release') sent.push(...keyboard.releaseAll());
  }
  return sent;
}

for (const { name, platform, events, sent, commandIsControl = true } of vectors.sequences) {
  test(name, () => {
    const messages = played(new Keyboard(platform, { commandIsControl }), events);
    assert.deepEqual(messages.map(({ down, code, keysym }) => [down, code, keysym]), sent);
    assert.ok(messages.every(({ t }) => t === 'key'));
  });
}

test('whatever is typed, whatever keyup is lost: after letting go nothing is held', () => {
  const keys = [['KeyA', 'a'], ['KeyQ', '@'], ['ShiftLeft', 'Shift'], ['ControlLeft', 'Control'], ['AltLeft', 'Alt'], ['AltRight', 'AltGraph'], ['MetaLeft', 'Meta'], ['ArrowUp', 'ArrowUp'], ['', 'x'], ['CapsLock', 'CapsLock']];
  let seed = 7;
  const random = (below) => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  for (let round = 0; round < 300; round += 1) {
    const keyboard = new Keyboard(['mac', 'windows', 'linux'][round % 3]);
    const down = new Map();
    const note = (messages) => messages.forEach((one) => (one.down ? down.set(one.code + one.keysym, one) : down.delete(one.code + one.keysym)));
    for (let step = 0; step < 40; step += 1) {
      const [code, key] = keys[random(keys.length)];
      const fields = { code, key, location: 0, shiftKey: random(2) === 0, ctrlKey: random(2) === 0, altKey: random(2) === 0, metaKey: random(3) === 0, altGraph: random(4) === 0 };
      note(random(3) > 0 ? keyboard.down(fields, step * 20).messages : keyboard.up(fields, step * 20).messages);
    }
    note(keyboard.tick(1e6));
    assert.equal(keyboard.holding, down.size > 0);
    note(keyboard.releaseAll());
    assert.deepEqual([...down.values()], []);
  }
});

test('Control, Alt and Shift alone lead to the bar, and nothing stays down', () => {
  const keyboard = new Keyboard('linux');
  const sent = [];
  for (const [code, key, flags] of [['ControlLeft', 'Control', { ctrlKey: true }], ['AltLeft', 'Alt', { ctrlKey: true, altKey: true }], ['ShiftLeft', 'Shift', { ctrlKey: true, altKey: true, shiftKey: true }]]) {
    sent.push(...keyboard.down({ code, key, location: 1, ...FLAGS, ...flags }, 0).messages);
  }
  const outcome = keyboard.up({ code: 'ShiftLeft', key: 'Shift', location: 1, ...FLAGS, ctrlKey: true, altKey: true }, 1);
  assert.equal(outcome.leave, true);
  assert.equal(outcome.messages.filter(({ down }) => !down).length, sent.length);
  assert.equal(keyboard.holding, false);
});

test('with a key between, Control Alt Shift is a shortcut of the desktop', () => {
  const keyboard = new Keyboard('linux');
  const flags = { ...FLAGS, ctrlKey: true, altKey: true, shiftKey: true };
  keyboard.down({ code: 'ShiftLeft', key: 'Shift', location: 1, ...flags }, 0);
  keyboard.down({ code: 'KeyT', key: 'T', location: 0, ...flags }, 1);
  assert.equal(keyboard.up({ code: 'ShiftLeft', key: 'Shift', location: 1, ...flags, shiftKey: false }, 2).leave, undefined);
});

test('a paste key is left to the browser, all others are not', () => {
  const keyboard = new Keyboard('linux');
  const paste = keyboard.down({ code: 'KeyV', key: 'v', location: 0, ...FLAGS, ctrlKey: true }, 0);
  assert.deepEqual([paste.paste, paste.prevent], [true, false]);
  assert.equal(keyboard.down({ code: 'KeyW', key: 'w', location: 0, ...FLAGS, ctrlKey: true }, 0).prevent, true);
  assert.equal(keyboard.down({ code: 'Tab', key: 'Tab', location: 0, ...FLAGS }, 0).prevent, true);
  assert.equal(isPaste({ code: 'Insert', key: 'Insert', location: 0, shiftKey: true }), true);
  assert.equal(isPaste({ code: 'KeyM', key: 'м', location: 0, ctrlKey: true }), false);
  assert.equal(isPaste({ code: 'KeyV', key: 'м', location: 0, ctrlKey: true }), true);
  assert.equal(isPaste({ code: 'KeyV', key: 'v', location: 0, ctrlKey: true, altKey: true }), false);
});

test('what a touch keyboard did to the text', () => {
  assert.deepEqual(textChange('____', '____a🙂'), { erased: 0, text: 'a🙂' });
  assert.deepEqual(textChange('____', '___'), { erased: 1, text: '' });
  assert.deepEqual(textChange('____', '__xy'), { erased: 2, text: 'xy' });
  assert.deepEqual(textChange('____', '____'), { erased: 0, text: '' });
});

test('characters and places', () => {
  assert.equal(keysymOfCharacter('\n'), 0xff0d);
  assert.equal(keysymOfCharacter('\u00a0'), 0xa0);
  assert.equal(usCharacter('KeyZ'), 'z');
  assert.equal(usCharacter('Digit0'), '0');
  assert.equal(usCharacter('F1'), null);
});
