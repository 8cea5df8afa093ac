"""One encoded frame, and how it is cut into RTP payloads: once, however many viewers get it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from aiortc.codecs import h264
from aiortc.codecs.vpx import VpxPayloadDescriptor

MAX_PAYLOAD_BYTES = 1200  # room for SRTP, TURN and a VPN within 1280 bytes of IPv6
_PICTURE_IDS = 1 << 15


@dataclass
class EncodedFrame:
    """A frame as an encoder made it. Times are seconds of the streamer's clock."""

    codec: str
    seq: int
    key: bool
    data: bytes
    width: int
    height: int
    captured_s: float
    encoded_s: float
    changed: bool = True
    """Whether it is another picture than the frame before."""

    @property
    def rtp_time(self) -> int:
        """The capture's time in RTP's 90 kHz, without the sender's origin."""
        return round(self.captured_s * 90_000) & 0xFFFFFFFF

    @cached_property
    def payloads(self) -> list[bytes]:
        """RTP payloads: RFC 6184 for H.264, RFC 7741 for VP8."""
        return _vp8(self.data, self.seq % _PICTURE_IDS) if self.codec == "vp8" else _h264(self.data)


def _h264(data: bytes) -> list[bytes]:
    return h264.H264Encoder._packetize(h264.H264Encoder._split_bitstream(data))


def _vp8(data: bytes, picture_id: int) -> list[bytes]:
    first = bytes(VpxPayloadDescriptor(partition_start=1, partition_id=0, picture_id=picture_id))
    rest = bytes(VpxPayloadDescriptor(partition_start=0, partition_id=0, picture_id=picture_id))
    room = MAX_PAYLOAD_BYTES - len(first)
    starts = range(0, len(data), room)
    return [(first if start == 0 else rest) + data[start : start + room] for start in starts]
