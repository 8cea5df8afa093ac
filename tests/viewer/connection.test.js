import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connection, OPEN_DEADLINE_MS, PICTURE_DEADLINE_MS, UDP_DEADLINE_MS } from '../../viewer/connection.js';
import { capturedAt, Clock, Pulse, SILENT_AFTER_MS } from '../../viewer/pulse.js';
import { leaseView, takesAgain } from '../../viewer/lease.js';
import { statusOf } from '../../viewer/status.js';

const up = (kind) => ({ type: 'up', kind });
const down = (kind, cause) => ({ type: 'down', kind, cause });
const answered = { type: 'progress', kind: 'webrtc', step: 'answered' };
const connected = { type: 'progress', kind: 'webrtc', step: 'connected' };
const START = { type: 'start' };
const TICK = { type: 'tick' };

/** Plays rows of [event, ms, commands, phase]. */
function played(rows, can = { webrtc: true }) {
  const connection = new Connection(can);
  rows.forEach(([event, now, wanted, phase], row) => {
    const commands = connection.on(event, now).map((one) => `${one.do} ${one.kind}`);
    assert.deepEqual(commands, wanted, `row ${row}`);
    assert.equal(connection.phase, phase, `row ${row}`);
  });
  return connection;
}

const TABLES = {
  'WebRTC comes up': [[START, 0, ['open webrtc'], 'connecting'], [answered, 100, [], 'connecting'], [connected, 200, [], 'connecting'], [up('webrtc'), 300, ['use webrtc'], 'live']],
  'UDP does not connect: the WebSocket, about three seconds later': [
    [START, 0, ['open webrtc'], 'connecting'], [answered, 100, [], 'connecting'], [TICK, 99 + UDP_DEADLINE_MS, [], 'connecting'],
    [TICK, 100 + UDP_DEADLINE_MS, ['close webrtc', 'open socket'], 'connecting'], [up('socket'), 3500, ['use socket'], 'fallback']],
  'connected, but no picture': [[START, 0, ['open webrtc'], 'connecting'], [connected, 500, [], 'connecting'], [TICK, 500 + PICTURE_DEADLINE_MS, ['close webrtc', 'open socket'], 'connecting']],
  'WebRTC refused at once': [[START, 0, ['open webrtc'], 'connecting'], [down('webrtc', 'media'), 10, ['close webrtc', 'open socket'], 'connecting']],
  'back from the WebSocket without a gap': [
    [START, 0, ['open webrtc'], 'connecting'], [down('webrtc', 'media'), 10, ['close webrtc', 'open socket'], 'connecting'], [up('socket'), 100, ['use socket'], 'fallback'],
    [TICK, 15_099, [], 'fallback'], [TICK, 15_100, ['open webrtc'], 'fallback'], [up('webrtc'), 15_900, ['use webrtc', 'close socket'], 'live']],
  'an attempt to come back that fails is not seen, and the next comes later': [
    [START, 0, ['open webrtc'], 'connecting'], [down('webrtc', 'media'), 0, ['close webrtc', 'open socket'], 'connecting'], [up('socket'), 0, ['use socket'], 'fallback'],
    [TICK, 15_000, ['open webrtc'], 'fallback'], [TICK, 15_000 + OPEN_DEADLINE_MS, ['close webrtc'], 'fallback'], [TICK, 54_999, [], 'fallback'], [TICK, 55_000, ['open webrtc'], 'fallback'],
    [down('webrtc', 'lost'), 55_100, ['close webrtc'], 'fallback']],
  'another network is tried at once': [
    [START, 0, ['open webrtc'], 'connecting'], [down('webrtc', 'media'), 0, ['close webrtc', 'open socket'], 'connecting'], [up('socket'), 0, ['use socket'], 'fallback'], [{ type: 'network' }, 1000, ['open webrtc'], 'fallback']],
  'lost while live: at once again, then ever less often': [
    [START, 0, ['open webrtc'], 'connecting'], [up('webrtc'), 0, ['use webrtc'], 'live'], [down('webrtc', 'lost'), 100, ['close webrtc', 'open webrtc'], 'connecting'],
    [down('webrtc', 'lost'), 200, ['close webrtc'], 'waiting'], [TICK, 699, [], 'waiting'], [TICK, 700, ['open webrtc'], 'connecting'],
    [down('webrtc', 'lost'), 700, ['close webrtc'], 'waiting'], [TICK, 1699, [], 'waiting'], [TICK, 1700, ['open webrtc'], 'connecting'], [up('webrtc'), 1800, ['use webrtc'], 'live']],
  'the person does not want to wait': [[START, 0, ['open webrtc'], 'connecting'], [down('webrtc', 'lost'), 0, ['close webrtc', 'open webrtc'], 'connecting'], [down('webrtc', 'lost'), 0, ['close webrtc'], 'waiting'], [{ type: 'retry' }, 1, ['open webrtc'], 'connecting']],
  'access is taken away, and given again': [
    [START, 0, ['open webrtc'], 'connecting'], [up('webrtc'), 0, ['use webrtc'], 'live'], [{ type: 'over', reason: 'expired', why: 'access' }, 5, ['close webrtc', 'close socket'], 'ended'],
    [TICK, 1e6, [], 'ended'], [down('webrtc', 'lost'), 1e6, [], 'ended'], [{ type: 'network' }, 1e6, [], 'ended'], [{ type: 'retry' }, 1e6, ['open webrtc'], 'connecting']],
  'paused: looked at every three seconds': [[START, 0, ['open webrtc'], 'connecting'], [down('webrtc', 'paused'), 10, ['close webrtc'], 'waiting'], [TICK, 3010, ['open webrtc'], 'connecting'], [down('webrtc', 'paused'), 3020, ['close webrtc'], 'waiting'], [TICK, 6020, ['open webrtc'], 'connecting']],
  'news of a transport that nobody waits for': [[START, 0, ['open webrtc'], 'connecting'], [up('socket'), 1, [], 'connecting'], [down('socket', 'lost'), 2, [], 'connecting'], [{ type: 'start' }, 3, [], 'connecting']],
  'the WebSocket breaks while WebRTC is tried again': [
    [START, 0, ['open webrtc'], 'connecting'], [down('webrtc', 'media'), 0, ['close webrtc', 'open socket'], 'connecting'], [up('socket'), 0, ['use socket'], 'fallback'], [TICK, 15_000, ['open webrtc'], 'fallback'],
    [down('socket', 'lost'), 15_100, ['close socket', 'close webrtc', 'open webrtc'], 'connecting']],
};
for (const [name, rows] of Object.entries(TABLES)) test(name, () => void played(rows));

test('without WebRTC the WebSocket comes first, and stays', () => {
  const connection = played([[START, 0, ['open socket'], 'connecting'], [up('socket'), 50, ['use socket'], 'fallback'], [{ type: 'network' }, 60, [], 'fallback']], { webrtc: false });
  assert.equal(connection.due, null);
});

test('waiting never grows beyond a bound, and many pages do not come at once', () => {
  const waits = [0, 1].map((spread) => {
    const connection = new Connection({ webrtc: true }, spread);
    connection.on(START, 0);
    let now = 0;
    for (let round = 0; round < 20; round += 1) {
      connection.on(down('webrtc', 'lost'), now);
      if (connection.retryAt !== null) connection.on(TICK, (now = connection.retryAt));
    }
    connection.on(down('webrtc', 'lost'), now);
    return connection.retryAt - now;
  });
  assert.deepEqual(waits, [15_000, 18_750]);
});

test('every phase has words, and only those of no picture cover it', () => {
  const base = { phase: 'live', cause: null, reason: null, why: null, retryAt: null, wasUp: false, trying: null };
  const live = { state: 'live', reason: null };
  for (const [change, desktop, name, covered] of [
    [{ phase: 'connecting' }, live, 'connecting', true], [{ phase: 'connecting', wasUp: true }, live, 'reconnecting', true], [{}, live, 'live', false], [{ phase: 'fallback' }, live, 'fallback', false],
    [{}, { state: 'frozen', reason: null }, 'frozen', false], [{}, { state: 'paused', reason: null }, 'paused', true], [{ phase: 'waiting', cause: 'paused' }, live, 'paused', true],
    [{ phase: 'waiting', cause: 'lost', retryAt: 2500, wasUp: true }, live, 'reconnecting', true], [{ phase: 'ended', why: 'access' }, live, 'ended', true], [{ phase: 'ended', why: 'sandbox', reason: 'its time was up' }, live, 'ended', true],
  ]) {
    const status = statusOf({ ...base, ...change }, desktop, 0);
    assert.equal(status.name, name);
    assert.equal(status.cover !== null, covered, name);
    assert.ok(status.word.length > 0);
  }
  assert.match(statusOf({ ...base, phase: 'waiting', cause: 'lost', retryAt: 2500, wasUp: true }, live, 0).cover.text, /3 s/);
  assert.match(statusOf({ ...base, phase: 'ended', why: 'sandbox', reason: 'its time was up' }, live, 0).cover.text, /its time was up/);
});

test('what the server said of a refusal is shown until it lets somebody in, or says nothing more', () => {
  const said = (connection, now) => statusOf(connection, { state: 'live', reason: null }, now).cover?.text;
  const connection = new Connection({ webrtc: true });
  const refused = (kind, reason) => ({ ...down(kind, kind === 'webrtc' ? 'media' : 'lost'), reason });
  connection.on(START, 0);
  connection.on(refused('webrtc', 'too many people watch already'), 10);
  assert.equal(said(connection, 10), 'Too many people watch already.');
  connection.on(refused('socket'), 20);
  connection.on(refused('webrtc', 'too many people watch already'), 30);
  connection.on(refused('socket', 'still too many.'), 40);
  assert.equal(connection.phase, 'waiting');
  assert.equal(said(connection, 40), 'Still too many. Next try in 1 s.');
  connection.on(TICK, connection.retryAt);
  assert.equal(said(connection, 600), 'Still too many.', 'while it tries again');
  connection.on(refused('webrtc', null), 700);
  connection.on(refused('socket'), 800);
  assert.match(said(connection, 800), /^The server does not answer. Next try in/);
  connection.on(TICK, connection.retryAt);
  connection.on(refused('webrtc', 'too many'), 2000);
  connection.on(up('socket'), 2100);
  assert.equal(connection.reason, null);
  connection.on({ type: 'over', reason: 'expired', why: 'access' }, 3000);
  connection.on({ type: 'retry' }, 4000);
  assert.equal(connection.reason, null, 'why it was over is no news while it is tried again');
});

test('silence is noticed, but not that of our own sleep', () => {
  const pulse = new Pulse(0);
  assert.equal(pulse.tick(1), 'ping');
  assert.equal(pulse.tick(500), null);
  for (let now = 1001; now < SILENT_AFTER_MS; now += 1000) assert.equal(pulse.tick(now), 'ping');
  assert.equal(pulse.tick(SILENT_AFTER_MS), 'silent');
  const slept = new Pulse(0);
  slept.tick(10);
  assert.equal(slept.tick(60_000), 'ping');
});

test('the streamer\'s clock in ours', () => {
  const clock = new Clock();
  assert.equal(clock.age(5, 6), null);
  clock.sample(100, 50_060, 140);
  clock.sample(1000, 50_905, 1010);
  assert.deepEqual(clock.best, { trip: 10, offset: 49_900 });
  assert.equal(clock.age(50_900, 1020), 20);
  assert.equal(capturedAt(90, { rtp: 4294967296 - 90, captured: 1000 }), 1002);
  assert.equal(capturedAt(4294967206, { rtp: 90, captured: 1000 }), 998);
});

test('who drives, in words and choices', () => {
  const here = { asked: false, kept: null };
  const lease = (holder, more = {}) => ({ t: 'lease', holder, name: null, wanted_by: null, ...more });
  const wants = (view) => view.choices.map(({ want }) => want);
  assert.deepEqual(wants(leaseView(lease('none'), 'control', here)), ['take']);
  assert.deepEqual(wants(leaseView(lease('agent'), 'control', here)), ['take']);
  assert.deepEqual(wants(leaseView(lease('other'), 'control', here)), ['request', 'take']);
  assert.deepEqual(wants(leaseView(lease('other'), 'control', { asked: true, kept: null })), ['take']);
  assert.deepEqual(wants(leaseView(lease('you'), 'control', here)), ['give', 'release']);
  for (const holder of ['none', 'agent', 'other', 'you']) assert.deepEqual(wants(leaseView(lease(holder), 'view', here)), []);
  assert.equal(leaseView(lease('you', { wanted_by: 'Grace' }), 'control', here).asks, 'Grace');
  assert.equal(leaseView(lease('you', { wanted_by: 'Grace' }), 'control', { asked: false, kept: 'Grace' }).asks, null);
  assert.equal(takesAgain(lease('none'), true), true);
  assert.equal(takesAgain(lease('agent'), true), false);
  assert.equal(takesAgain(lease('none'), false), false);
});
