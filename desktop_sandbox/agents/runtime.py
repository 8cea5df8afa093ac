"""What the vendors' classes share: pictures of the right size, and reading a vendor's objects."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from desktop_sandbox.errors import InvalidRequestError, ServerError

MOST_BYTES = 3_500_000


@dataclass(frozen=True)
class Picture:
    """A picture for a model, and its size in pixels: a PNG, or a JPEG where that would be too heavy."""

    data: bytes = field(repr=False)
    width: int
    height: int
    media_type: str = "image/png"


def plain(thing: object) -> dict[str, Any]:
    """A vendor's object as its JSON has it: mappings as they are, pydantic models dumped without what is not set."""
    if isinstance(thing, Mapping):
        return dict(thing)
    dump = getattr(thing, "model_dump", None)
    if dump is None:
        raise InvalidRequestError(
            f"a tool call is an object of the vendor's SDK or a dict, not {type(thing).__name__}",
            hint="hand over one item of the model's answer as it came",
        )
    found = dump(exclude_none=True)
    assert isinstance(found, dict)
    return found


def told(error: Exception) -> str:
    """An error as a model reads it."""
    return str(error) or type(error).__name__


def fitted(data: bytes, size: tuple[int, int]) -> Picture:
    """A PNG in another size (width, height): areas averaged when it shrinks, smooth when it grows.

    It stays a PNG up to MOST_BYTES: vendors refuse pictures of more than 5 MB in base64.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ServerError("the screenshot is no picture", hint="look at the server's log")
    smaller = size[0] * size[1] < image.shape[0] * image.shape[1]
    if size != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    for kind, options in (("png", [cv2.IMWRITE_PNG_COMPRESSION, 1]), ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, 85])):
        done, encoded = cv2.imencode(f".{kind}", image, options)
        if done and (encoded.nbytes <= MOST_BYTES or kind == "jpeg"):
            return Picture(encoded.tobytes(), *size, f"image/{kind}")
    raise ServerError(f"the screenshot cannot be made {size[0]}×{size[1]}")


async def async_fitted(data: bytes, size: tuple[int, int]) -> Picture:
    """See `fitted`; a thread works, so that the event loop goes on."""
    return await asyncio.to_thread(fitted, data, size)


def sync_fitted(data: bytes, size: tuple[int, int]) -> Picture:
    """See `fitted`."""
    return fitted(data, size)
