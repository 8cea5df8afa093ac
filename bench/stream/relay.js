// Has every WebRTC connection of the page go through the bench's relay: the other side's candidates point to it (benchRelay
// gives the port that stands for an address), and the page keeps its own to itself, so that no other way is found.
(() => {
  if (!window.RTCPeerConnection) return; // taken away, for the fallback
  const page = RTCPeerConnection.prototype;
  const described = Object.getOwnPropertyDescriptor(page, 'localDescription');
  const { setRemoteDescription, addIceCandidate, addEventListener } = page;

  const relayed = async (line) => {
    const parts = line.trim().split(' ');
    if (parts[2]?.toLowerCase() !== 'udp' || parts[4].endsWith('.local')) return null;
    parts[5] = String(await window.benchRelay(parts[4], Number(parts[5])));
    return parts.join(' ');
  };
  const rewritten = async (sdp) => {
    const lines = await Promise.all(sdp.split('\r\n').map((line) => (line.startsWith('a=candidate:') ? relayed(line) : line)));
    return lines.filter((line) => line !== null).join('\r\n');
  };
  page.setRemoteDescription = async function (description) {
    return setRemoteDescription.call(this, { type: description.type, sdp: await rewritten(description.sdp) });
  };
  page.addIceCandidate = async function (candidate) {
    if (!candidate?.candidate) return addIceCandidate.call(this, candidate);
    const line = await relayed(candidate.candidate);
    if (line === null) return undefined;
    const { sdpMid, sdpMLineIndex } = candidate;
    return addIceCandidate.call(this, { candidate: line, sdpMid, sdpMLineIndex });
  };
  page.addEventListener = function (type, ...rest) {
    if (type !== 'icecandidate') addEventListener.call(this, type, ...rest);
  };
  Object.defineProperty(page, 'onicecandidate', { set() {}, get: () => null });
  Object.defineProperty(page, 'localDescription', {
    get() {
      const found = described.get.call(this);
      return found && { type: found.type, sdp: found.sdp.replace(/^a=(candidate:.*|end-of-candidates)\r\n/gm, '') };
    },
  });
})();
