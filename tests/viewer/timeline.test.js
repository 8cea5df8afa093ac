import assert from 'node:assert/strict';
import test from 'node:test';

import { forestOf, signatureOf } from '../../viewer/fork_tree.js';
import { agoOf, rowsOf, sizeOf, titleOf } from '../../viewer/timeline_model.js';

const saved = (id, parent = null, more = {}) => ({ id, parent, sandbox: 'a', name: null, kind: 'checkpoint', ...more });
const shape = (snapshots, at) => rowsOf(snapshots, at).map(({ snapshot, depth, first, here }) => `${'>'.repeat(depth)}${first ? '+' : ''}${snapshot.id}${here ? '*' : ''}`);

test('a line goes straight down', () => {
  assert.deepEqual(shape([saved('1'), saved('2', '1'), saved('3', '2')], '2'), ['+1', '2*', '3']);
});

test('what leads to where the desktop stands is straight, other children are branches', () => {
  const tree = [saved('1'), saved('2', '1'), saved('3', '2'), saved('4', '1'), saved('5', '4')];
  assert.deepEqual(shape(tree, '3'), ['+1', '>+4', '>5', '2', '3*']);
  assert.deepEqual(shape(tree, '5'), ['+1', '>+2', '>3', '4', '5*']);
  assert.deepEqual(shape(tree, null), ['+1', '>+2', '>3', '4', '5'], 'the newest child, where it stands nowhere');
});

test('unknown parents and circles lose nothing and end', () => {
  assert.deepEqual(shape([saved('2', 'gone'), saved('3', '2')], 'gone'), ['+2', '3']);
  assert.deepEqual(shape([saved('1', '1'), saved('2', '1')], '2'), ['+1', '2*']);
  assert.deepEqual(shape([saved('1', '2'), saved('2', '1')], '2'), []);
});

test('many branches do not run out of the panel', () => {
  const deep = [saved('0')];
  for (let n = 0; n < 20; n += 1) deep.push(saved(`b${n}`, n === 0 ? '0' : `b${n - 1}`), saved(`m${n}`, n === 0 ? '0' : `b${n - 1}`));
  assert.ok(Math.max(...rowsOf(deep, null).map(({ depth }) => depth)) <= 6);
  assert.equal(rowsOf(deep, null).length, deep.length);
});

test('words', () => {
  assert.equal(titleOf(saved('1', null, { name: 'before submit' })), 'before submit');
  assert.equal(titleOf(saved('1', null, { kind: 'fork' })), 'Before a fork');
  const now = Date.parse('2026-01-01T12:00:00Z');
  const ago = (seconds) => agoOf(new Date(now - seconds * 1000).toISOString(), now);
  assert.deepEqual([0, 9, 10, 59, 60, 3599, 3600, 172799, 172800].map(ago), ['just now', 'just now', '10 s ago', '59 s ago', '1 min ago', '59 min ago', '1 h ago', '47 h ago', '2 days ago']);
  assert.equal(ago(-100), 'just now', 'a clock that is behind');
  assert.deepEqual([1, 42_400_000, 1.26e9].map(sizeOf), ['1 MB', '42 MB', '1.3 GB']);
});

const box = (id, snapshot = null) => ({ id, snapshot });

test('forks stand below their parents', () => {
  const snapshots = [saved('s1', null, { sandbox: 'a', name: 'start' }), saved('s2', 's1', { sandbox: 'b' })];
  const forest = forestOf([box('a', 's1'), box('b', 's2'), box('c', 's1'), box('d', 's2'), box('e')], snapshots);
  assert.equal(signatureOf(forest), 'a(b(d()),c()),e()');
  assert.equal(forest[0].from, null, 'where it stands is its own');
  assert.equal(forest[0].children[0].from?.name, 'start', 'what it began from, not where it stands now');
});

test('whose parent has ended stands below the nearest ancestor that has not', () => {
  const snapshots = [saved('s1', null, { sandbox: 'a' }), saved('s2', 's1', { sandbox: 'gone' })];
  assert.equal(signatureOf(forestOf([box('a', 's1'), box('c', 's2')], snapshots)), 'a(c())');
  assert.equal(signatureOf(forestOf([box('c', 's2')], snapshots)), 'c()');
  assert.equal(forestOf([box('c', 's2')], snapshots)[0].from?.id, 's2');
});

test('nobody is lost where they were rolled back to each other', () => {
  const snapshots = [saved('s1', null, { sandbox: 'a' }), saved('s2', 's1', { sandbox: 'b' })];
  const ids = (nodes) => nodes.flatMap(({ id, children }) => [id, ...ids(children)]);
  assert.deepEqual(ids(forestOf([box('a', 's2'), box('b', 's1'), box('c', 's9')], snapshots)).toSorted(), ['a', 'b', 'c']);
});
