"""A viewer by WebRTC: one RTCPeerConnection, answered once (WHEP). Runs in the event loop."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from streamer.clock import now_s
from streamer.keyframes import Receipts
from streamer.levels import level_for
from streamer.rtp_sender import FrameSender, SilentTrack
from streamer.sdp import MAX_SDP_BYTES, best_codec, has_data_channels, with_level, with_public_address, without_waits
from streamer.viewer import Outward, Viewer

if TYPE_CHECKING:
    from streamer.desktop import Desktop
    from streamer.packets import EncodedFrame

_log = logging.getLogger(__name__)
CONNECT_S = 15.0
_MOST_BUFFERED_BYTES = 1 << 20
_MIME = {"h264": "video/H264", "vp8": "video/VP8"}
_PREFERRED = ("42e01f", "42001f")


class OfferError(ValueError):
    """The offer cannot be answered."""


def ice_servers(servers: list[dict[str, Any]]) -> list[RTCIceServer]:
    """From RTCConfiguration's `iceServers`, as in JavaScript."""
    return [
        RTCIceServer(urls=server["urls"], username=server.get("username"), credential=server.get("credential"))
        for server in servers
    ]


class PeerViewer(Viewer):
    """See the module. It is its FrameSender's Feedback."""

    transport = "webrtc"

    def __init__(
        self, number: int, rights: str, desktop: Desktop, outward: Outward, sdp: str, servers: list[RTCIceServer]
    ) -> None:
        codec = best_codec(sdp) if len(sdp) <= MAX_SDP_BYTES else None
        if codec is None:
            raise OfferError("The offer has neither H.264 (constrained baseline, packetization-mode 1) nor VP8.")
        super().__init__(number, rights, desktop, outward, codec)
        self.burnt = not has_data_channels(sdp)
        self._offer = without_waits(sdp)
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._channel: RTCDataChannel | None = None
        self._began = now_s()
        self._receipts = Receipts(self._began)
        self._connected = False
        self._highest: int | None = None
        self._sender: FrameSender | None = None
        self._pc.on("connectionstatechange", self._on_state)
        self._pc.on("datachannel", self._on_channel)

    async def answer(self, fps: int, public_address: str | None) -> str:
        """The answer to the offer, with all candidates. OfferError."""
        pc = self._pc
        try:
            transceiver = pc.addTransceiver(SilentTrack(), direction="sendonly")
            known = RTCRtpSender.getCapabilities("video").codecs
            mine = [c for c in known if c.mimeType in (_MIME[self.codec], "video/rtx")]
            mine.sort(key=lambda c: c.parameters.get("profile-level-id") != _PREFERRED[0])
            transceiver.setCodecPreferences(mine)
            self._sender = FrameSender(transceiver.sender, self)
            await pc.setRemoteDescription(RTCSessionDescription(self._offer, "offer"))
            await pc.setLocalDescription(await pc.createAnswer())
        except Exception as error:  # aiortc's parser raises whatever comes up; the offer is a stranger's
            raise OfferError(f"The offer cannot be answered: {type(error).__name__}: {error}") from error
        sdp = with_level(pc.localDescription.sdp, level_for(*self._desktop.size, fps))
        return with_public_address(sdp, public_address) if public_address else sdp

    @property
    def ready(self) -> bool:
        """See Viewer."""
        return self._connected

    def tick(self, now: float) -> None:
        """See Viewer."""
        super().tick(now)
        if not self._connected and now - self._began > CONNECT_S:
            self.close("not connected")
        elif self._sender is not None and self._sender.dropping:
            self._desktop.ask_keyframe(self)

    def send_text(self, text: str) -> None:
        """See Viewer."""
        channel = self._channel
        if channel is not None and channel.readyState == "open" and channel.bufferedAmount < _MOST_BUFFERED_BYTES:
            try:
                channel.send(text)
            except ValueError as error:  # longer than what this page takes by its offer
                _log.info("x %r: %s", self, error)
                told = {"t": "error", "code": "too-long", "message": str(error), "hint": None}
                with contextlib.suppress(ValueError):
                    channel.send(json.dumps(told))

    def deliver(self, frame: EncodedFrame) -> None:
        """See Viewer."""
        if self._sender is None or not self._sender.put(frame):
            self.figures.dropped += 1

    def shut(self) -> None:
        """See Viewer."""
        self._outward.background(self._close_connection())

    async def _close_connection(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._pc.close()

    # what aiortc tells

    def _on_state(self) -> None:
        state = self._pc.connectionState
        if state == "connected" and not self._connected and not self.closed:
            self._connected = True
            self._receipts = Receipts(now_s())
            self.went_live()
            self._desktop.reassign(self)
        elif state in ("failed", "closed"):
            self.close("left" if state == "closed" else "connection lost")

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label == "input" and self._channel is None:
            self._channel = channel
            channel.on("message", self._on_text)
            self.greet()
        elif channel.label == "pointer":
            channel.on("message", self._on_binary)

    def _on_text(self, data: str | bytes) -> None:
        if not self.closed:
            self.heard_text(data)

    def _on_binary(self, data: str | bytes) -> None:
        if self.closed:
            return
        if isinstance(data, bytes):
            self.heard_binary(data)
        else:
            self.heard_text(data, copy=True)

    # what the FrameSender tells

    def keyframe_requested(self) -> None:
        """See Feedback."""
        if self._receipts.needs_keyframe(now_s()):
            self._desktop.ask_keyframe(self)

    def missing(self, seqs: Sequence[int], *, kept: bool) -> None:
        """See Feedback."""
        self._receipts.missing(seqs, now_s(), kept=kept)

    def reported(self, highest_seq: int, loss: float, lost_total: int, rtt_s: float | None) -> None:
        """See Feedback."""
        self.figures.loss = loss
        if rtt_s is not None:
            self.figures.rtt_s = self._receipts.rtt_s = rtt_s
        self._receipts.reported(highest_seq, loss, lost_total)
        if (rate := self._desktop.rate(self)) is not None:
            now = now_s()
            packets = 0 if self._highest is None else max(0, highest_seq - self._highest)
            sent_bps = self.figures.bits.sum(now)
            path = rate.path(self.number, now)
            path.can_repeat = self._sender is not None and self._sender.can_repeat
            path.report(loss, rtt_s, now, packets=packets, sent_bps=sent_bps)
            if self._sender is not None:
                self._sender.repeats = self._receipts.repeats = path.repeats
                self._sender.repeats_all = path.repeats_all
        self._highest = highest_seq

    def remb(self, bps: int) -> None:
        """See Feedback."""
        if (rate := self._desktop.rate(self)) is not None:
            now = now_s()
            rate.path(self.number, now).remb(bps, self.figures.bits.sum(now), now)

    def sent(self, frame: EncodedFrame, last_seq: int, rtp_time: int) -> None:
        """See Feedback."""
        now = now_s()
        self._receipts.sent(last_seq, now, key=frame.key, changed=frame.changed)
        figures = self.figures
        figures.sent += 1
        figures.sent_ms.add((now - frame.encoded_s) * 1000, now)
        figures.bits.add(8 * len(frame.data), now)
        figures.rtp_time, figures.captured_s = rtp_time, frame.captured_s

    def repeated(self, packets: int, size: int) -> None:
        """See Feedback."""
        self.figures.repeated += packets
        self.figures.bits.add(8 * size, now_s())
