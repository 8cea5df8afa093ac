"""The encoders: H.264 by libx264, VP8 by libvpx, JPEG by OpenCV. Used in a capture thread; encoding frees the GIL.

None delays a frame, none makes a keyframe that was not asked for. Bitrate may change at any frame. libx264 opened with
maxrate equal to the bitrate keeps to constant rate: the limit then follows each later bitrate, but never above that
first one, so it is opened at the highest. (Plain average rate does not follow for seconds.) Its buffer is one frame's
share: no frame is longer on the wire than that, and libx264 fills the share at once where there is something to show.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from desktop_sandbox.screen.framebuffer import Frame
from streamer.bitrate import SHARPEN_BPS
from streamer.convert import TIME_BASE, video_frame
from streamer.levels import level_for

H264_THREADS = 2  # as many slices a frame; more than four upset some decoders
VP8_THREADS = 1  # libvpx waits for its threads by spinning, which takes 200 ms a frame on a busy host
_BUFFER_BITS = 200_000  # or one frame's share if that is more
_SHARPEST = 12  # quantizer below which nobody sees a difference (luma PSNR is above 48 dB)
_LAMBDAS_PER_QUANTIZER = 118  # FF_QP2LAMBDA
_JPEG_QUALITY = 80


class Encoder(Protocol):
    """Makes packets of frames of one size. `fixed_bps`: the only bitrate that it can do; None if it follows any.
    `sharpest`: whether the last frame is as sharp as any gets here, as far as the encoder tells.
    """

    codec: str
    fixed_bps: int | None
    sharpest: bool

    def encode(self, planes: npt.NDArray[np.uint8], captured_s: float, bps: int, *, key: bool) -> bytes:
        """One frame, (height × 3 / 2, width) bytes I420, as one packet; `key`: as a keyframe."""
        ...


class VideoEncoder:
    """libx264 or libvpx behind PyAV."""

    def __init__(self, codec: str, context: av.VideoCodecContext, fixed_bps: int | None = None) -> None:
        self.codec = codec
        self.fixed_bps = fixed_bps
        self.sharpest = False
        self._context = context
        context.open()  # else the first bitrate would be the one that it is opened with
        self._bps = context.bit_rate

    def encode(self, planes: npt.NDArray[np.uint8], captured_s: float, bps: int, *, key: bool) -> bytes:
        """See Encoder."""
        if self.fixed_bps is None and bps != self._bps:
            self._bps = bps
            self._context.bit_rate = bps
        frame = video_frame(planes, captured_s)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        packets = self._context.encode(frame)
        self.sharpest = bool(packets) and all(map(_is_sharpest, packets))
        return b"".join(map(bytes, packets))


def _is_sharpest(packet: av.Packet[Any]) -> bool:
    """Whether libx264 used its smallest quantizer, as FFmpeg hands that on; libvpx says nothing."""
    if not packet.has_sidedata("quality_stats"):
        return False
    lambdas = int.from_bytes(bytes(packet.get_sidedata("quality_stats"))[:4], "little")
    return lambdas <= _SHARPEST * _LAMBDAS_PER_QUANTIZER


def h264_encoder(width: int, height: int, fps: int) -> VideoEncoder:
    """Constrained baseline at its true level, BT.601 limited range."""
    context = _context("libx264", width, height, fps, H264_THREADS)
    context.profile = "Baseline"
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "maxrate": str(SHARPEN_BPS),
        "bufsize": str(_BUFFER_BITS),
        "x264-params": ":".join(
            (
                "keyint=infinite:scenecut=0",
                f"qpmin={_SHARPEST}",
                f"level={level_for(width, height, fps)}",
                "colormatrix=smpte170m:colorprim=bt709:transfer=bt709:range=tv",
            )
        ),
    }
    return VideoEncoder("h264", context)


def vp8_encoder(width: int, height: int, fps: int, bps: int) -> VideoEncoder:
    """VP8 at realtime settings, constant rate. FFmpeg cannot change the bitrate of a running libvpx."""
    context = _context("libvpx", width, height, fps, VP8_THREADS)
    context.bit_rate = bps
    context.gop_size = 1 << 30
    context.qmin, context.qmax = 2, 56
    context.options = {
        "deadline": "realtime",
        "cpu-used": "-16",
        "lag-in-frames": "0",
        "minrate": str(bps),
        "maxrate": str(bps),
        "bufsize": str(bps // 5),
        "undershoot-pct": "100",
        "overshoot-pct": "15",
        "static-thresh": "1",
        "auto-alt-ref": "0",
    }
    return VideoEncoder("vp8", context, bps)


def jpeg(frame: Frame) -> bytes:
    """The frame, BGRX, as a JPEG file."""
    done, data = cv2.imencode(".jpg", frame[..., :3], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise ValueError(f"a frame of shape {frame.shape} cannot be a JPEG")
    return data.tobytes()


def _context(name: str, width: int, height: int, fps: int, threads: int) -> av.VideoCodecContext:
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = width, height
    context.pix_fmt = "yuv420p"
    context.time_base = TIME_BASE
    context.framerate = Fraction(fps)
    context.thread_count = threads
    context.bit_rate = SHARPEN_BPS
    return context
