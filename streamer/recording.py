"""Records one desktop as an MP4 file: H.264 with the time that each picture really stood. In the capture thread.

The file is written in fragments, each with its keyframe, so that what is there stays playable if the streamer dies;
when the recording ends well it is closed as an ordinary MP4 (FFmpeg's hybrid_fragmented). A change of the desktop's
size is fitted into the size that the recording began with, since players do not take another.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from dataclasses import dataclass
from typing import IO, Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from streamer.cadence import Refinement
from streamer.clock import now_s
from streamer.convert import TIME_BASE, video_frame
from streamer.levels import level_for
from streamer.packets import EncodedFrame
from streamer.picture import Picture

_log = logging.getLogger(__name__)
FRAGMENT_S = 4.0  # at most so much is lost in a crash, also of a still screen
_MAX_BPS = 12_000_000
_QUALITY = "21"
_FLAGS = "frag_keyframe+empty_moov+default_base_moof+hybrid_fragmented"


@dataclass(frozen=True)
class RecordingFigures:
    """What `record.stop` answers."""

    frames: int
    duration_ms: int


class Recording:
    """One file. `step` is the capture thread's; `finish` may run in any thread once the lane is out of use."""

    def __init__(self, fd: int, *, cursor: bool, fps: int) -> None:
        self.burnt = cursor
        self.frames = 0
        self._file: IO[bytes] = os.fdopen(fd, "wb")
        self._fps = fps
        self._lock = threading.Lock()
        self._container: av.container.OutputContainer | None = None
        self._stream: Any = None
        self._size = (0, 0)
        self._began = self._latest = self._key_at = 0.0
        self._dirty = True
        self._over = False
        self._planes: npt.NDArray[np.uint8] | None = None
        self._refinement = Refinement()

    def __repr__(self) -> str:
        return f"<Recording {self._size[0]}x{self._size[1]} frames={self.frames}>"

    def skip(self, changed: bool) -> None:
        """See Step."""
        self._dirty = self._dirty or changed

    def step(self, picture: Picture, changed: bool, now: float) -> EncodedFrame | None:
        """See Step; what it makes goes to the file, never to a viewer. OSError or av.FFmpegError if that fails."""
        with self._lock:
            if self._over:
                return None
            changed = changed or self._dirty
            key = now - self._key_at >= FRAGMENT_S
            if changed or key or self._refinement.due(now):
                planes = self._fitted(picture)
                size = self._write(planes, now, key=key)
                self._dirty = False
                if changed or key:
                    self._refinement.changed(now)
                else:
                    self._refinement.encoded(size, _MAX_BPS / 8 / self._fps, now)
        return None

    def finish(self) -> RecordingFigures:
        """Close the file: the last picture is given its time. Once; blocks for as long as the disk does."""
        with self._lock:
            self._over = True
            try:
                if self._container is not None and self._planes is not None:
                    self._write(self._planes, max(now_s(), self._latest + 1 / self._fps), key=False)
                    self._container.mux(self._stream.encode(None))
                    self._container.close()
            finally:
                self._container = None
                self._file.close()
            return RecordingFigures(self.frames, round((self._latest - self._began) * 1000))

    def abandon(self) -> None:
        """Close the file as it is, after an error."""
        with contextlib.suppress(OSError, av.FFmpegError, ValueError):
            self.finish()

    def _fitted(self, picture: Picture) -> npt.NDArray[np.uint8]:
        planes = picture.planes(cursor=self.burnt)
        if self._container is None:
            self._size = picture.size
        if picture.size == self._size:
            return planes
        return fit(planes, self._size)

    def _write(self, planes: npt.NDArray[np.uint8], now: float, *, key: bool) -> int:
        if self._container is None:
            self._open(now)
        assert self._container is not None
        frame = video_frame(planes, now - self._began)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        size = 0
        for packet in self._stream.encode(frame):
            size += packet.size
            self._container.mux(packet)
        self._file.flush()  # what is in a buffer is lost in a crash
        self._planes, self._latest = planes, now
        self.frames += 1
        if key:
            self._key_at = now
        return size

    def _open(self, now: float) -> None:
        self._container = av.open(self._file, "w", format="mp4", options={"movflags": _FLAGS, "flush_packets": "1"})
        self._stream = self._container.add_stream("libx264", rate=self._fps)
        context = self._stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = "yuv420p"
        context.time_base = TIME_BASE
        context.thread_count = 1
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": _QUALITY,
            "maxrate": str(_MAX_BPS),
            "bufsize": str(_MAX_BPS // 4),
            "x264-params": "keyint=infinite:scenecut=0:colormatrix=smpte170m:colorprim=bt709:transfer=bt709:range=tv"
            f":level={level_for(*self._size, self._fps)}",
        }
        self._began = self._latest = now


def fit(planes: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """I420 of one size in the middle of a black picture of another, as large as it fits."""
    width, height = size
    rows = planes.shape[0] * 2 // 3
    scale = min(width / planes.shape[1], height / rows)
    inner_width, inner_height = int(planes.shape[1] * scale) & ~1 or 2, int(rows * scale) & ~1 or 2
    colours = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420)
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    inner = cv2.resize(colours, (inner_width, inner_height), interpolation=cv2.INTER_AREA)
    canvas[top : top + inner_height, left : left + inner_width] = inner
    fitted: npt.NDArray[np.uint8] = cv2.cvtColor(canvas, cv2.COLOR_BGR2YUV_I420)  # type: ignore[assignment]
    return fitted
