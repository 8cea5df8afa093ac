import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ageOf, filtered, keyedChanges, nameOf, pictureOf, shown, Thumbnails } from '../../viewer/wall_model.js';
import { figures, Frames, readable } from '../../viewer/figures.js';
import { Clock } from '../../viewer/pulse.js';
import { readableSize, safeName } from '../../viewer/uploads.js';

const sandbox = (id, more = {}) => ({ id, template: 'desktop', state: 'running', created_at: '2026-01-01T00:00:00Z', metadata: {}, ...more });

test('filters', () => {
  const all = [sandbox('a', { metadata: { name: 'Invoice run' } }), sandbox('b', { template: 'minimal', state: 'paused' }), sandbox('c', { metadata: { task: '42' } })];
  const ids = (filter) => filtered(all, { text: '', template: '', state: '', ...filter }).map(({ id }) => id);
  assert.deepEqual(ids({}), ['a', 'b', 'c']);
  assert.deepEqual(ids({ text: 'invoice  RUN' }), ['a']);
  assert.deepEqual(ids({ text: '42' }), ['c']);
  assert.deepEqual(ids({ template: 'minimal' }), ['b']);
  assert.deepEqual(ids({ state: 'paused', template: 'desktop' }), []);
  assert.equal(nameOf(all[0]), 'Invoice run');
  assert.equal(nameOf(all[1]), 'b');
});

test('what stands still in memory is shown as frozen', () => {
  assert.equal(shown(sandbox('a', { frozen: true })).state, 'frozen');
  assert.equal(shown(sandbox('a', { frozen: false })).state, 'running');
  assert.equal(shown(sandbox('a')).state, 'running');
});

test('what is paused is not looked at, which could bring it back: its snapshot is', () => {
  assert.match(pictureOf(sandbox('a')), /^v1\/sandboxes\/a\/screenshot\?.*resume=false/);
  assert.match(pictureOf(shown(sandbox('a', { frozen: true }))), /^v1\/sandboxes\/a\/screenshot\?.*resume=false/);
  assert.equal(pictureOf(sandbox('a', { state: 'paused', snapshot: 'ss-1' })), 'v1/snapshots/ss-1/thumbnail?width=320');
  for (const state of ['paused', 'creating', 'killing', 'dead', 'some new one']) assert.equal(pictureOf(sandbox('a', { state })), null);
});

test('ages', () => {
  const start = Date.parse('2026-01-01T00:00:00Z');
  const after = (seconds) => ageOf('2026-01-01T00:00:00Z', start + seconds * 1000);
  assert.deepEqual([-5, 59, 60, 3599, 3600, 100_000, 200_000].map(after), ['just now', 'just now', '1 min', '59 min', '1 h 0 min', '27 h 46 min', '2 days']);
  assert.equal(ageOf('nonsense', start), '');
});

test('keyed changes turn one list into the other', () => {
  const lists = [[], ['a'], ['a', 'b', 'c', 'd'], ['d', 'c', 'b', 'a'], ['x', 'b', 'y', 'a'], ['c', 'a', 'b', 'd'], ['b', 'c', 'd', 'a']];
  for (const before of lists) for (const after of lists) {
    const { removed, placed } = keyedChanges(before, after);
    const list = before.filter((key) => !removed.includes(key));
    for (const { key, next } of placed) {
      if (list.includes(key)) list.splice(list.indexOf(key), 1);
      list.splice(next === null ? list.length : list.indexOf(next), 0, key);
    }
    assert.deepEqual(list, after, `${before} → ${after}`);
  }
  assert.deepEqual(keyedChanges(['a', 'b'], ['new', 'a', 'b']), { removed: [], placed: [{ key: 'new', next: 'a' }] });
});

test('thumbnails: those on screen, four at a time, paused ones once', () => {
  const thumbnails = new Thumbnails();
  const all = [...'abcdefgh'].map((id) => ({ id, state: id === 'a' ? 'paused' : 'running' }));
  thumbnails.update(all, 0);
  assert.deepEqual(thumbnails.next(0), []);
  for (const { id } of all.slice(0, 6)) thumbnails.setVisible(id, true);
  assert.deepEqual(thumbnails.next(0), ['a', 'b', 'c', 'd']);
  assert.deepEqual(thumbnails.next(0), []);
  for (const id of 'abcd') thumbnails.done(id, true, 100);
  assert.deepEqual(thumbnails.next(100), ['e', 'f']);
  for (const id of 'ef') thumbnails.done(id, true, 100);
  assert.deepEqual(thumbnails.next(2100), ['b', 'c', 'd', 'e']);
  for (const id of 'bcde') thumbnails.done(id, true, 2100);
  thumbnails.update(all.map((one) => ({ ...one, state: 'running' })), 3000);
  assert.ok(thumbnails.next(3000).includes('a'), 'it was resumed');
});

test('thumbnails: what fails is asked for ever less often', () => {
  const thumbnails = new Thumbnails();
  thumbnails.update([{ id: 'a', state: 'running' }], 0);
  thumbnails.setVisible('a', true);
  const waits = [];
  let now = 0;
  for (let round = 0; round < 9; round += 1) {
    const asked = now;
    while (thumbnails.next(now).length === 0) now += 500;
    waits.push(now - asked);
    thumbnails.done('a', false, now);
  }
  assert.deepEqual(waits, [0, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});

test('names of uploads are one name in one folder', () => {
  for (const [name, safe] of [['a b.txt', 'a b.txt'], ['../../etc/passwd', 'passwd'], ['c:\\x\\y.doc', 'y.doc'], ['..', 'file'], ['', 'file'], ['a\u0000\nb', 'ab'], ['世界.png', '世界.png']]) assert.equal(safeName(name), safe);
  assert.equal([...safeName('x'.repeat(999))].length, 200);
  assert.deepEqual([0, 999, 1000, 123_456, 5e9].map(readableSize), ['0 B', '999 B', '1.0 KB', '123 KB', '5.0 GB']);
});

test('figures: the age of a picture through the clocks of both sides', () => {
  const clock = new Clock();
  clock.sample(0, 100_005, 10);
  const stats = { t: 'stats', frames: { dropped: 2 }, ms: { captured: 1, encoded: 4, sent: 1 }, loss: 0.02, rtt_ms: 10, clock: { rtp: 9000, captured: 100_100 } };
  const frames = new Frames();
  frames.add({ rtp: 9000 + 900, received: 120, decodeMs: 2, shown: 130, width: 1, height: 1 }, stats, clock);
  const shown = frames.summary(200);
  assert.deepEqual(shown, { fps: 1, age: 20, decode: 2, inBrowser: 10, network: 4 });
  const rows = Object.fromEntries(figures(stats, shown, {}, 10).map((figure) => [figure.name, readable(figure)]));
  assert.equal(rows['Age of picture'], '20 ms');
  assert.equal(rows.Loss, '2 %');
  assert.equal(rows.Bitrate, '–');
  assert.deepEqual(frames.summary(5000).age, null);
});
