import assert from 'node:assert/strict';
import { test } from 'node:test';
import { offerToSend } from '../../viewer/webrtc.js';

const lines = (/** @type {string[]} */ ...all) => all.map((line) => `${line}\r\n`).join('');

test('an offer goes without names that nobody else can resolve, and without the claim that it is complete', () => {
  const sent = offerToSend(
    lines(
      'm=video 9 UDP/TLS/RTP/SAVPF 120',
      'a=candidate:0 1 UDP 2122187007 a46e971f-fc0c-4bb9-8fdf-53a1d586aa3f.local 37645 typ host',
      'a=candidate:1 1 udp 1686052607 203.0.113.7 37645 typ srflx raddr 0.0.0.0 rport 0',
      'a=candidate:2 1 TCP 2105458943 a46e971f-fc0c-4bb9-8fdf-53a1d586aa3f.local 9 typ host tcptype active',
      'a=end-of-candidates',
      'a=mid:0',
    ),
  );
  assert.equal(sent, lines('m=video 9 UDP/TLS/RTP/SAVPF 120', 'a=candidate:1 1 udp 1686052607 203.0.113.7 37645 typ srflx raddr 0.0.0.0 rport 0', 'a=mid:0'));
});

test('addresses stay', () => {
  const offer = lines('a=candidate:0 1 UDP 2122187007 192.0.2.7 37645 typ host', 'a=candidate:1 1 UDP 2122187007 fd00::7 37646 typ host');
  assert.equal(offerToSend(offer), offer);
});
