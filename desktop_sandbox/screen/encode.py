"""What becomes of a frame before a caller gets it: cursor, region, scale, file format. No I/O.

Frames are (height, width, 4) bytes BGRX. All heavy steps release the GIL, so threads encode side by side.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.screen.png import encode_png
from desktop_sandbox.screen.regions import check_inside
from desktop_sandbox.screen.scratch import colours

if TYPE_CHECKING:
    from desktop_sandbox.screen.framebuffer import Frame

MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "raw": "application/octet-stream",
}
WEBP_EFFORT = 0  # half the time of libwebp's default, files some tenth larger


@dataclass(frozen=True)
class Cursor:
    """The pointer's place and picture.

    (x, y) is the screen pixel that it points at, (hot_x, hot_y) the pixel of the picture that lies there.
    `pixels`: (height, width, 4) bytes BGRA, colours premultiplied by alpha.
    """

    x: int
    y: int
    hot_x: int
    hot_y: int
    pixels: npt.NDArray[np.uint8]


def draw_cursor(frame: Frame, cursor: Cursor) -> None:
    """Lay the cursor over the frame, in place; what lies outside of the frame is cut off."""
    height, width = frame.shape[:2]
    rows, columns = cursor.pixels.shape[:2]
    left, top = cursor.x - cursor.hot_x, cursor.y - cursor.hot_y
    x0, x1 = max(left, 0), min(left + columns, width)
    y0, y1 = max(top, 0), min(top + rows, height)
    if x0 >= x1 or y0 >= y1:
        return
    source = cursor.pixels[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.uint16)
    target = frame[y0:y1, x0:x1, :3]
    behind = target * (255 - source[..., 3:])
    mixed = source[..., :3] + (behind + 127) // 255
    target[...] = np.minimum(mixed, 255)


def crop(frame: Frame, region: tuple[int, int, int, int]) -> Frame:
    """The region (x, y, width, height) of the frame, as a view; InvalidRequestError if not all inside."""
    check_inside(region, frame.shape[1], frame.shape[0])
    x, y, width, height = region
    return frame[y : y + height, x : x + width]


def shrink(frame: Frame, scale: float) -> Frame:
    """The frame at `scale` in (0, 1] of its sides (at least one pixel), each pixel the mean of its area."""
    if scale == 1.0:
        return frame
    height, width = frame.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk: Frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return shrunk


def encode(frame: Frame, image_format: str, quality: int = 80) -> bytes:
    """The frame as file: png (lossless), jpeg (4:2:0), webp (lossy), or raw (RGB rows top to bottom).

    raw has 3 bytes a pixel and no header; `quality` is 1 to 100 for jpeg and webp.
    Raises InvalidRequestError for any other format.
    """
    match image_format:
        case "png":
            return encode_png(frame)
        case "jpeg":
            return _encode_jpeg(frame, quality)
        case "webp":
            return _encode_webp(frame, quality)
        case "raw":
            return colours(frame, cv2.COLOR_BGRA2RGB).tobytes()
    raise unknown_format(image_format)


def unknown_format(image_format: object) -> InvalidRequestError:
    """The error for a format that is none of ours."""
    return InvalidRequestError(
        f"There is no screenshot format {image_format!r}.", hint=f"Formats are {', '.join(MEDIA_TYPES)}."
    )


def _encode_jpeg(frame: Frame, quality: int) -> bytes:
    done, data = cv2.imencode(".jpg", colours(frame, cv2.COLOR_BGRA2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InvalidRequestError(f"A picture of {frame.shape[1]} x {frame.shape[0]} pixels cannot be a JPEG.")
    return data.tobytes()


def _encode_webp(frame: Frame, quality: int) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(colours(frame, cv2.COLOR_BGRA2RGB))
    image.save(file, "webp", quality=quality, method=WEBP_EFFORT)
    return file.getvalue()
