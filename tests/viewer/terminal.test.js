import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endText, panelHeight, TerminalLink, terminalStatus } from '../../viewer/terminal_model.js';

const problem = (status, more = {}) => ({ type: 'problem', problem: { status, title: 'No', detail: 'why', hint: 'do this', ...more } });
const attached = (offset, more = {}) => ({ type: 'attached', offset, end: offset, running: true, ...more });

/** Plays events, one a second; returns what it did at each. */
function play(link, ...events) {
  return events.map((event, second) => link.on(event, second * 1000));
}

/** A link to a terminal that has shown ten bytes. */
function settled() {
  const link = new TerminalLink();
  play(link, { type: 'open', known: null }, { type: 'started', id: 't1' }, attached(0), { type: 'data', bytes: 10 });
  return link;
}

test('the first time it starts one and remembers it', () => {
  const link = new TerminalLink();
  assert.deepEqual(play(link, { type: 'open', known: null }, { type: 'started', id: 't1' }, attached(0)), [
    [{ do: 'clear' }, { do: 'start' }],
    [{ do: 'remember', id: 't1' }, { do: 'connect', id: 't1', after: 0, again: false }],
    [],
  ]);
  assert.equal(link.phase, 'attached');
});

test('what was lost is asked for from the byte after the last, at growing intervals', () => {
  const link = settled();
  const waits = [];
  let now = 0;
  assert.deepEqual(link.on({ type: 'lost' }, now), [{ do: 'disconnect' }]);
  for (let round = 0; round < 8; round += 1) {
    waits.push(link.retryAt - now);
    now = link.retryAt;
    assert.deepEqual(link.on({ type: 'tick' }, now - 1), []);
    assert.deepEqual(link.on({ type: 'tick' }, now), [{ do: 'connect', id: 't1', after: 10, again: true }]);
    link.on({ type: 'lost' }, now);
  }
  assert.deepEqual(waits, [0, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  link.on({ type: 'again' }, now);
  assert.deepEqual(link.on(attached(10), now), []);
  link.on({ type: 'lost' }, now);
  assert.equal(link.retryAt, now, 'after a good connection it begins anew');
});

test('output that the server keeps no more is said to be missing', () => {
  const link = settled();
  link.on({ type: 'lost' }, 0);
  link.on({ type: 'tick' }, 0);
  assert.deepEqual(link.on(attached(4000), 0), [{ do: 'gap' }]);
  link.on({ type: 'data', bytes: 5 }, 0);
  assert.equal(link.offset, 4005);
});

test('a reload comes back to it, and answers no old question', () => {
  const link = new TerminalLink();
  assert.deepEqual(play(link, { type: 'open', known: 't9' }, attached(300, { end: 900 })), [
    [{ do: 'connect', id: 't9', after: 0, again: false }],
    [{ do: 'replay', bytes: 600 }],
  ]);
});

test('one that is gone after a reload, or has ended, gives way to a new one', () => {
  for (const answer of [problem(404), attached(0, { running: false })]) {
    const link = new TerminalLink();
    link.on({ type: 'open', known: 't9' }, 0);
    assert.deepEqual(link.on(answer, 0), [{ do: 'disconnect' }, { do: 'clear' }, { do: 'start' }]);
  }
});

test('closing lets go, opening comes back; also while one is being started', () => {
  const link = settled();
  assert.deepEqual(link.on({ type: 'close' }, 0), [{ do: 'disconnect' }]);
  assert.deepEqual(link.on({ type: 'lost' }, 0), []);
  assert.deepEqual(link.on({ type: 'open', known: 'other' }, 0), [{ do: 'connect', id: 't1', after: 10, again: false }]);
  const early = new TerminalLink();
  assert.deepEqual(play(early, { type: 'open', known: null }, { type: 'close' }, { type: 'started', id: 't2' }).at(-1), [{ do: 'remember', id: 't2' }]);
  assert.deepEqual(early.on({ type: 'open', known: null }, 0), [{ do: 'connect', id: 't2', after: 0, again: false }]);
});

test('the end of the shell is the end, and its code is said', () => {
  const link = settled();
  assert.deepEqual(link.on({ type: 'ended', exitCode: 3, signal: null }, 0), [{ do: 'disconnect' }, { do: 'remember', id: null }]);
  assert.deepEqual(link.on({ type: 'lost' }, 0), []);
  assert.deepEqual(link.on({ type: 'network' }, 0), []);
  assert.equal(terminalStatus(link, 0).text, 'The shell has ended with exit code 3.');
  assert.equal(endText({ exitCode: 143, signal: 15 }), 'The shell was ended by signal 15 (exit code 143).');
  assert.deepEqual(link.on({ type: 'open', known: null }, 0), [{ do: 'clear' }, { do: 'start' }]);
});

test('a refusal is for good, trouble of the server is not', () => {
  for (const status of [401, 403, 404, 409, 422]) {
    const link = settled();
    link.on(problem(status), 0);
    assert.equal(link.phase, 'failed', String(status));
    assert.deepEqual(link.on({ type: 'tick' }, 1e9), []);
  }
  for (const status of [500, 502, 503, 429]) {
    const link = settled();
    link.on(problem(status), 0);
    assert.equal(link.phase, 'waiting', String(status));
  }
  const link = new TerminalLink();
  play(link, { type: 'open', known: null }, problem(503));
  assert.deepEqual([link.phase, terminalStatus(link, 0)], ['failed', { text: 'No: why', hint: 'do this', button: 'Try again', tone: 'bad' }]);
  assert.deepEqual(link.on({ type: 'again' }, 0), [{ do: 'clear' }, { do: 'start' }]);
  const refused = settled();
  refused.on(problem(401), 0);
  assert.equal(terminalStatus(refused, 0).button, null);
});

test('a terminal that a rollback took away says so and offers another', () => {
  const link = settled();
  assert.deepEqual(link.on(problem(404), 0), [{ do: 'disconnect' }, { do: 'remember', id: null }]);
  assert.equal(terminalStatus(link, 0).button, 'New terminal');
  assert.deepEqual(link.on({ type: 'again' }, 0), [{ do: 'clear' }, { do: 'start' }]);
});

test('another network is tried at once', () => {
  const link = settled();
  assert.deepEqual(link.on({ type: 'network' }, 0), [{ do: 'disconnect' }, { do: 'connect', id: 't1', after: 10, again: true }]);
  link.on({ type: 'lost' }, 0);
  link.on({ type: 'lost' }, 0);
  assert.deepEqual(terminalStatus(link, 0).button, 'Try now');
  assert.equal(link.on({ type: 'again' }, 0).length, 1);
  assert.deepEqual(new TerminalLink().on({ type: 'network' }, 0), []);
});

test('the height leaves something of the desktop, and a terminal to read', () => {
  assert.deepEqual([[300, 800], [2000, 800], [10, 800], [300, 180], [300, 100]].map(([wanted, room]) => panelHeight(wanted, room)), [300, 728, 140, 140, 100]);
});
