import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeFrame, decodeMessage, encodePointer, isInput, isOrdered, message, numbered } from '../../viewer/wire.js';

const vectors = JSON.parse(readFileSync(new URL('../vectors/stream.json', import.meta.url), 'utf8'));
const hex = (buffer) => Buffer.from(buffer).toString('hex');
const bytes = (text) => Uint8Array.from(Buffer.from(text, 'hex')).buffer;
/** The page's builder of a message, called with the fields it takes, in its order. */
const BUILT = {
  key: ({ down, code, keysym }) => message.key(down, code, keysym),
  text: ({ text }) => message.text(text),
  button: ({ button, down, x, y }) => message.button(button, down, x, y),
  wheel: ({ dx, dy, x, y }) => message.wheel(dx, dy, x, y),
  release: () => message.release(),
  alive: () => message.alive(),
  ping: ({ at }) => message.ping(at),
  visible: ({ visible }) => message.visible(visible),
  resize: ({ width, height }) => message.resize(width, height),
  clipboard: ({ text, n }) => message.clipboard(text, n),
  lease: ({ want }) => message.lease(want),
  stats: ({ on }) => message.stats(on),
  ack: ({ seq }) => message.ack(seq),
  keyframe: () => message.keyframe(),
  auth: ({ token, codecs }) => message.auth(token, codecs),
};

for (const { name, direction, json } of vectors.messages) {
  const built = () => (json.i === undefined ? BUILT[json.t](json) : numbered(BUILT[json.t](json), json.i));
  if (direction === 'page') test(`the page builds: ${name}`, () => assert.deepEqual(built(), json));
  else test(`the page understands: ${name}`, () => assert.deepEqual(decodeMessage(JSON.stringify(json)), json));
}

test('the page builds nothing without a golden message', () => {
  const golden = new Set(vectors.messages.filter(({ direction }) => direction === 'page').map(({ json }) => json.t));
  assert.deepEqual(Object.keys(message).sort(), [...golden].sort());
});

test('what a person does is numbered, and what that relies on', () => {
  const inputs = Object.keys(message).filter((t) => isInput({ t }));
  assert.deepEqual(inputs, ['key', 'text', 'button', 'wheel', 'release']);
  const ordered = Object.keys(message).filter((t) => isOrdered({ t }));
  assert.deepEqual(ordered, ['key', 'text', 'button', 'wheel', 'release', 'resize', 'clipboard', 'lease']);
});

for (const { name, hex: wanted, fields } of vectors.binary) {
  test(`binary: ${name}`, () => {
    if (fields.kind === 1) return assert.equal(hex(encodePointer(fields.seq, fields.x, fields.y)), wanted);
    const { kind, key, seq, capturedMs, width, height, data } = decodeFrame(bytes(wanted));
    const found = { kind, flags: Number(key), seq, captured_ms: capturedMs, width, height, payload: hex(data) };
    assert.deepEqual(found, fields);
  });
}

test('what is no message is no message', () => {
  const hostile = ['', '[]', 'null', '1', '{"t":"constructor"}', '{"t":"__proto__"}', '{"t":"nonsense"}', '{', '{"t":"size","width":0,"height":1}', '{"t":"size","width":1e9,"height":1}', '{"t":"pointer","x":"1","y":2}', '{"t":"lease","holder":"me"}', '{"t":"pong","at":1}'];
  for (const text of hostile) assert.equal(decodeMessage(text), null, text);
  assert.equal(decodeMessage(new ArrayBuffer(4)), null);
});

test('what is no frame is no frame', () => {
  assert.equal(decodeFrame(new ArrayBuffer(0)), null);
  assert.equal(decodeFrame(new ArrayBuffer(18)), null);
  assert.equal(decodeFrame(bytes('09' + '00'.repeat(30))), null);
  assert.equal(decodeFrame(bytes('02' + '00'.repeat(30))), null, 'no size');
});
