import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Input } from '../../viewer/input.js';
import { Keyboard } from '../../viewer/keyboard.js';
import { CLIPBOARD_DEADLINE_MS, Outbox } from '../../viewer/outbox.js';
import { tooLarge } from '../../viewer/wire.js';

const clip = (text, n) => ({ t: 'clipboard', text, n });
const press = (code) => ({ t: 'key', code, down: true });
const release = (code) => ({ t: 'key', code, down: false });

test('a paste: text first, then the key, and all after it in order', () => {
  const outbox = new Outbox();
  assert.deepEqual(outbox.pass([press('ControlLeft')], 0), [press('ControlLeft')]);
  outbox.pasteKey(press('KeyV'), 0);
  assert.deepEqual(outbox.tick(0), []);
  assert.deepEqual(outbox.clipboard('text', 5), [clip('text', 1)]);
  assert.deepEqual(outbox.pass([release('KeyV'), press('KeyX')], 6), []);
  assert.deepEqual(outbox.clipboardIsSet(2, 7), []);
  assert.deepEqual(outbox.clipboardIsSet(1, 8), [press('KeyV'), release('KeyV'), press('KeyX')]);
  assert.deepEqual(outbox.pass([press('KeyY')], 9), [press('KeyY')]);
  assert.equal(outbox.due, null);
});

test('two pastes in a row: each key finds its own text', () => {
  const outbox = new Outbox();
  outbox.pasteKey(press('KeyV'), 0);
  assert.deepEqual(outbox.clipboard('one', 1), [clip('one', 1)]);
  outbox.pass([release('KeyV')], 1);
  outbox.pasteKey(press('Insert'), 2);
  assert.deepEqual(outbox.clipboard('two', 3), []);
  assert.deepEqual(outbox.clipboardIsSet(1, 4), [press('KeyV'), release('KeyV'), clip('two', 2)]);
  assert.deepEqual(outbox.clipboardIsSet(1, 5), []);
  assert.deepEqual(outbox.clipboardIsSet(2, 6), [press('Insert')]);
});

test('a paste that is not answered in time is not done: its key would paste what was there before', () => {
  const outbox = new Outbox();
  outbox.pasteKey(press('KeyV'), 0);
  outbox.clipboard('text', 10);
  outbox.pass([press('KeyX'), release('KeyX')], 11);
  assert.deepEqual(outbox.tick(9 + CLIPBOARD_DEADLINE_MS), []);
  assert.deepEqual(outbox.problems, []);
  assert.equal(outbox.due, 10 + CLIPBOARD_DEADLINE_MS);
  assert.deepEqual(outbox.tick(10 + CLIPBOARD_DEADLINE_MS), [press('KeyX'), release('KeyX')]);
  assert.match(outbox.problems[0], /did not take it in 5 s/);
  assert.deepEqual(outbox.pass([release('KeyV'), press('KeyV'), release('KeyV')], 9000), [press('KeyV'), release('KeyV')], 'only the release of what was not pressed');
  assert.deepEqual(outbox.clipboardIsSet(1, 9001), [], 'an answer that comes too late');
});

test('nor is one that the server refuses, or one that is too large; what follows goes on', () => {
  const outbox = new Outbox();
  outbox.pasteKey(press('KeyV'), 0);
  outbox.clipboard('one', 1);
  outbox.pass([release('KeyV')], 2);
  outbox.pasteKey(press('KeyV'), 3);
  assert.deepEqual(outbox.clipboard('x'.repeat(300), 4, 200), []);
  outbox.pass([release('KeyV'), press('KeyY')], 5);
  assert.deepEqual(outbox.problems, [], 'its turn has not come');
  assert.deepEqual(outbox.refused(7, 'an older one', 6), []);
  assert.deepEqual(outbox.refused(1, 'you do not drive this desktop', 6), [press('KeyY')]);
  assert.equal(outbox.problems.length, 2);
  assert.equal(outbox.problems[0], 'you do not drive this desktop');
  assert.match(outbox.problems[1], /bytes, and 200 are the most/);
});

test('which texts are too large', () => {
  assert.equal(tooLarge('x'.repeat(262_144), Infinity), null);
  assert.match(tooLarge('x'.repeat(262_145), Infinity), /262,145 characters, and 262,144/);
  assert.equal(tooLarge('🙂'.repeat(262_144), Infinity), null, 'characters, not halves of them');
  assert.match(tooLarge('🙂'.repeat(262_145), 1 << 20), /characters/);
  assert.equal(tooLarge('x'.repeat(262_000), 262_144), null);
  assert.match(tooLarge('é'.repeat(140_000), 262_144), /bytes, and 262,144 are the most/);
  assert.match(tooLarge('x'.repeat(262_144), 262_144), /bytes/, 'with what is around it');
});

test('nothing to paste: the key goes on, at once or when no text came', () => {
  const outbox = new Outbox();
  outbox.pasteKey(press('KeyV'), 0);
  assert.deepEqual(outbox.clipboard('', 1), [press('KeyV')]);
  outbox.pasteKey(press('KeyV'), 2000);
  assert.deepEqual(outbox.tick(outbox.due - 1), []);
  assert.deepEqual(outbox.tick(outbox.due), [press('KeyV')]);
  assert.deepEqual(outbox.problems, []);
});

test('what waits is not done after control was lost', () => {
  const outbox = new Outbox();
  outbox.pasteKey(press('KeyV'), 0);
  outbox.forget();
  assert.deepEqual(outbox.tick(1e6), []);
});

const FLAGS = { shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, altGraph: false };

/** An input that drives. @returns {{ input: Input, sent: object[], problems: string[] }} */
function driving(platform) {
  const [sent, problems] = [[], []];
  const host = { send: (one) => sent.push(one), point: () => {}, leave: () => {}, listens: () => true, mostBytes: () => 1000, notPasted: (why) => problems.push(why) };
  const input = new Input(new Keyboard(platform), host);
  input.setDrives(true);
  return { input, sent, problems };
}
const brief = (sent) => sent.filter(({ t }) => t === 'key' || t === 'clipboard').map((one) => (one.t === 'key' ? `${one.code} ${one.down ? 'down' : 'up'}` : one.text));

for (const [name, platform, held, code, key] of [
  ['Cmd and V of a Mac, whose keyup never comes', 'mac', { code: 'MetaLeft', key: 'Meta', flags: { metaKey: true } }, 'KeyV', 'v'],
  ['a key without a place', 'linux', { code: 'ControlLeft', key: 'Control', flags: { ctrlKey: true } }, '', 'v'],
  ['Control and V', 'linux', { code: 'ControlLeft', key: 'Control', flags: { ctrlKey: true } }, 'KeyV', 'v'],
  ['Shift and Insert', 'windows', { code: 'ShiftLeft', key: 'Shift', flags: { shiftKey: true } }, 'Insert', 'Insert'],
]) test(`the text goes before the key: ${name}`, () => {
  const { input, sent, problems } = driving(platform);
  try {
    input.key({ code: held.code, key: held.key, location: 1, ...FLAGS, ...held.flags }, true);
    input.key({ code, key, location: 0, ...FLAGS, ...held.flags }, true);
    const [modifier, place] = [held.code.replace('Meta', 'Control'), code || 'Unidentified'];
    assert.deepEqual(brief(sent), [`${modifier} down`], 'not the key yet');
    input.paste('text');
    input.clipboardIsSet(1);
    input.key({ code, key, location: 0, ...FLAGS, ...held.flags }, false);
    assert.deepEqual(brief(sent), [`${modifier} down`, 'text', `${place} down`, `${place} up`]);
    input.key({ code, key, location: 0, ...FLAGS, ...held.flags }, true);
    input.paste('y'.repeat(2000));
    input.key({ code, key, location: 0, ...FLAGS, ...held.flags }, false);
    assert.equal(brief(sent).length, 4, 'neither the text nor its key');
    assert.equal(problems.length, 1);
  } finally {
    input.release();
  }
});

test('what the server refuses is said once', () => {
  const { input, sent, problems } = driving('linux');
  try {
    input.key({ code: 'KeyV', key: 'v', location: 0, ...FLAGS, ctrlKey: true }, true);
    input.paste('text');
    input.clipboardIsRefused(1, 'no text today');
    input.clipboardIsRefused(1, 'no text today');
    input.key({ code: 'KeyV', key: 'v', location: 0, ...FLAGS, ctrlKey: true }, false);
    assert.deepEqual([brief(sent), problems], [['text'], ['no text today']]);
  } finally {
    input.release();
  }
});
