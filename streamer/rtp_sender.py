"""Our own sending of RTP through an aiortc RTCRtpSender, and what receivers say. All that reaches into it is here.

Why (aiortc 1.16): its loop encodes for each viewer anew, or packs a ready packet for each anew; it bursts a whole frame
at once; it keeps 128 packets for retransmission, which one keyframe outgrows; its sender reports carry the time of the
last packet, so that on a still screen round trips cannot be told; what it sends once more carries the time when it was
sent first, which receivers take for a queue; it knows no playout-delay; it hears REMB only for its own encoders.
tests/streamer/test_peer.py watches that this still fits.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, cast

import aiortc.codecs
import aiortc.codecs.h264
import aiortc.rtcrtpsender as aiortc_sender
from aiortc import RTCRtpSender, clock, rtp
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.utils import random32, uint16_add, uint32_add

from streamer.clock import now_s
from streamer.packets import MAX_PAYLOAD_BYTES, EncodedFrame

HISTORY_PACKETS = 2048
BURST_PACKETS = 24  # so many at once, then as many each millisecond as a 100 Mbit/s line takes
PACE_PACKETS, PACE_S = 10, 0.001
REPEAT_AFTER_S = 0.004  # losses come in bursts
FEW_PACKETS = 4
MOST_BEHIND_REPEATS = 1  # frames
MOST_WAITING = 3  # frames; more is a viewer that cannot keep up
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
_PLAYOUT_DELAY_ID = 6
_SENDER_REPORTS = 8
_PRIVATE = "_RTCRtpSender__"


def patch_aiortc() -> None:
    """Change what aiortc keeps in module constants: history, packet size, header extensions. Once, at the start."""
    aiortc_sender.RTP_HISTORY_SIZE = HISTORY_PACKETS  # type: ignore[attr-defined]
    aiortc.codecs.h264.PACKET_MAX = MAX_PAYLOAD_BYTES
    known = aiortc.codecs.HEADER_EXTENSIONS["video"]
    if all(extension.uri != PLAYOUT_DELAY for extension in known):
        known.append(RTCRtpHeaderExtensionParameters(id=_PLAYOUT_DELAY_ID, uri=PLAYOUT_DELAY))


class Feedback(Protocol):
    """What the sender tells of a viewer."""

    def keyframe_requested(self) -> None:
        """PLI or FIR."""
        ...

    def missing(self, seqs: Sequence[int], *, kept: bool) -> None:
        """NACK: packets that the receiver asks for once more; `kept`: all of them were still there."""
        ...

    def reported(self, highest_seq: int, loss: float, lost_total: int, rtt_s: float | None) -> None:
        """A receiver report: loss is a fraction."""
        ...

    def remb(self, bps: int) -> None:
        """The receiver's estimate of its network."""
        ...

    def sent(self, frame: EncodedFrame, last_seq: int, rtp_time: int) -> None:
        """All packets of a frame are on their way."""
        ...

    def repeated(self, packets: int, size: int) -> None:
        """A frame's packets were sent once more: so many, of so many bytes."""
        ...


class SilentTrack(MediaStreamTrack):
    """Stands in an RTCPeerConnection for video that FrameSender sends past it."""

    kind = "video"

    async def recv(self) -> Any:
        """Never called, since FrameSender replaces the loop that would."""
        raise NotImplementedError


class _ExtensionsMap(rtp.HeaderExtensionsMap):
    """Adds playout-delay 0, 0 to every packet: show a frame as soon as it is there."""

    def __init__(self) -> None:
        super().__init__()
        self._playout = b""

    def configure(self, parameters: RTCRtpParameters) -> None:
        super().configure(parameters)
        for extension in parameters.headerExtensions:
            if extension.uri == PLAYOUT_DELAY and extension.id <= 14:
                self._playout = bytes([extension.id << 4 | 2, 0, 0, 0])

    def set(self, values: rtp.HeaderExtensions) -> tuple[int, bytes]:
        profile, packed = super().set(values)
        return (profile, self._playout + packed) if profile == 0xBEDE else (profile, packed)


class FrameSender:
    """Sends frames of a lane by one RTCRtpSender; to be made before the sender starts."""

    def __init__(self, sender: RTCRtpSender, feedback: Feedback) -> None:
        self._sender = cast(Any, sender)
        self._feedback = feedback
        self._waiting: deque[EncodedFrame] = deque()
        self._arrived = asyncio.Event()
        self._origin = random32()
        self._reports: deque[tuple[int, float]] = deque(maxlen=_SENDER_REPORTS)
        self._handle_rtcp: Callable[[Any], Awaitable[None]] = self._sender._handle_rtcp_packet
        self._transmit_rtcp: Callable[[list[Any]], Awaitable[None]] = self._sender._send_rtcp
        self._transmit_again: Callable[[int], Awaitable[None]] = self._sender._retransmit
        self.dropping = False
        self.repeats = self.repeats_all = False  # send motion, or everything, twice; for who `can_repeat`
        self.running = False
        self._set("rtp_header_extensions_map", _ExtensionsMap())
        self._sender._run_rtp = self._run
        self._sender._send_keyframe = feedback.keyframe_requested
        self._sender._handle_rtcp_packet = self._on_rtcp
        self._sender._send_rtcp = self._with_true_time
        self._sender._retransmit = self._retransmit

    @property
    def can_repeat(self) -> bool:
        """Whether the receiver takes retransmissions that do not count as packets of the video (RFC 4588)."""
        return self._get("rtx_payload_type") is not None

    def put(self, frame: EncodedFrame) -> bool:
        """Send a frame soon; False if it was dropped: a keyframe must come before anything else is sent."""
        if self.dropping and not frame.key:
            return False
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            self.dropping = True
            return False
        self.dropping = False
        self._waiting.append(frame)
        self._arrived.set()
        return True

    def _get(self, name: str) -> Any:
        return getattr(self._sender, _PRIVATE + name)

    def _set(self, name: str, value: Any) -> None:
        setattr(self._sender, _PRIVATE + name, value)

    async def _run(self, codec: RTCRtpCodecParameters) -> None:
        """What RTCRtpSender._run_rtp is."""
        self._get("rtp_started").set()
        self.running = True
        seq = aiortc_sender.random_sequence_number()
        payload_type = codec.payloadType
        assert payload_type is not None
        try:
            while True:
                while not self._waiting:
                    self._arrived.clear()
                    await self._arrived.wait()
                frame, first = self._waiting.popleft(), seq
                seq = await self._send(frame, payload_type, first)
                if self._is_repeated(frame):
                    await self._repeat(first, frame)
        except (asyncio.CancelledError, ConnectionError):
            pass
        except Exception:  # rtp_exited must be set whatever comes, or stopping would wait for ever
            aiortc_sender.logger.warning("rtp: %s", traceback.format_exc())
        self.running = False
        self._waiting.clear()
        self._get("rtp_exited").set()

    async def _send(self, frame: EncodedFrame, payload_type: int, seq: int) -> int:
        """Send a frame's packets; the next sequence number."""
        history = self._get("rtp_history")
        extensions = self._get("rtp_header_extensions_map")
        mid, ssrc = self._get("mid"), self._sender._ssrc
        timestamp = uint32_add(self._origin, frame.rtp_time)
        last = len(frame.payloads) - 1
        size = 0
        for number, payload in enumerate(frame.payloads):
            if number >= BURST_PACKETS and number % PACE_PACKETS == 0:
                await asyncio.sleep(PACE_S)
            packet = rtp.RtpPacket(payload_type=payload_type, sequence_number=seq, timestamp=timestamp)
            packet.ssrc = ssrc
            packet.payload = payload
            packet.marker = int(number == last)
            packet.extensions.abs_send_time = _send_time()
            packet.extensions.mid = mid
            history[seq % HISTORY_PACKETS] = packet
            await self._sender.transport._send_rtp(packet.serialize(extensions))
            size += len(payload)
            seq = uint16_add(seq, 1)
        self._set("octet_count", self._get("octet_count") + size)
        self._set("packet_count", self._get("packet_count") + last + 1)
        self._feedback.sent(frame, (seq - 1) & 0xFFFF, timestamp)
        return seq

    def _is_repeated(self, frame: EncodedFrame) -> bool:
        # nobody waits for each frame that sharpens a picture; but for the last, which is small
        worth_it = self.repeats_all or frame.changed or frame.key or len(frame.payloads) <= FEW_PACKETS
        return self.repeats and worth_it

    async def _repeat(self, first: int, frame: EncodedFrame) -> None:
        """Send a frame's packets once more, as retransmissions that nobody asked for (RFC 4588): reports do not count
        them, and who has the packet drops the second. Of what comes meanwhile, one frame waits for that.
        """
        await asyncio.sleep(REPEAT_AFTER_S)
        done = 0
        while done < len(frame.payloads) and len(self._waiting) <= MOST_BEHIND_REPEATS:
            some = frame.payloads[done : done + PACE_PACKETS]
            for number in range(done, done + len(some)):
                await self._retransmit(uint16_add(first, number))
            done += len(some)
            self._feedback.repeated(len(some), sum(map(len, some)))
            await asyncio.sleep(PACE_S)

    async def _retransmit(self, seq: int) -> None:
        if (packet := self._kept(seq)) is not None:
            packet.extensions.abs_send_time = _send_time()
            await self._transmit_again(seq)

    async def _with_true_time(self, packets: list[Any]) -> None:
        """Send RTCP; sender reports get the time of now, in both clocks (RFC 3550, 6.4.1)."""
        for packet in packets:
            if isinstance(packet, rtp.RtcpSrPacket):
                now, ntp = now_s(), clock.current_ntp_time()
                packet.sender_info.ntp_timestamp = ntp
                packet.sender_info.rtp_timestamp = uint32_add(self._origin, round(now * 90_000) & 0xFFFFFFFF)
                self._reports.append(((ntp >> 16) & 0xFFFFFFFF, now))
        await self._transmit_rtcp(packets)

    async def _on_rtcp(self, packet: Any) -> None:
        await self._handle_rtcp(packet)
        if isinstance(packet, rtp.RtcpRrPacket | rtp.RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == self._sender._ssrc:
                    rtt = self._round_trip(report.lsr, report.dlsr)
                    self._feedback.reported(
                        report.highest_sequence, report.fraction_lost / 256, report.packets_lost, rtt
                    )
        elif isinstance(packet, rtp.RtcpRtpfbPacket) and packet.fmt == rtp.RTCP_RTPFB_NACK:
            self._feedback.missing(packet.lost, kept=all(self._kept(seq) is not None for seq in packet.lost))
        elif isinstance(packet, rtp.RtcpPsfbPacket) and packet.fmt == rtp.RTCP_PSFB_APP:
            try:
                bps, ssrcs = rtp.unpack_remb_fci(packet.fci)
            except Exception:  # a stranger's bytes; aiortc's parser raises what struct raises
                return
            if self._sender._ssrc in ssrcs:
                self._feedback.remb(bps)

    def _kept(self, seq: int) -> rtp.RtpPacket | None:
        packet: rtp.RtpPacket | None = self._get("rtp_history").get(seq % HISTORY_PACKETS)
        return packet if packet is not None and packet.sequence_number == seq else None

    def _round_trip(self, last_report: int, delay: int) -> float | None:
        for middle, sent_at in self._reports:
            if middle == last_report and last_report:
                return max(0.0, now_s() - sent_at - delay / 65536)
        return None


def _send_time() -> int:
    """What abs-send-time says of now."""
    return (clock.current_ntp_time() >> 14) & 0xFFFFFF
