"""Pictures that callers bring: decoded within bounds."""

from __future__ import annotations

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from desktop_sandbox.errors import InvalidRequestError

Colours = npt.NDArray[np.uint8]
"""(height, width, 3) bytes, blue green red."""

MAX_SIDE = 8192
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")


def decode(data: bytes) -> Colours:
    """A picture's colours, the first frame of it; what is transparent counts as white.

    InvalidRequestError for what is no picture, damaged, or larger than MAX_SIDE a side.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if max(width, height) > MAX_SIDE:
                    raise InvalidRequestError(
                        f"The picture has {width} x {height} pixels.", hint=f"At most {MAX_SIDE} a side."
                    )
                whole = image.convert("RGBA")
    except UnidentifiedImageError as error:
        raise InvalidRequestError(
            f"The {len(data)} bytes are no picture.", hint=f"Formats are {', '.join(FORMATS)}."
        ) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidRequestError(f"The picture cannot be read: {error}.", hint="Save it again as PNG.") from error
    plain = Image.new("RGBA", whole.size, "white")
    plain.alpha_composite(whole)
    return np.ascontiguousarray(np.asarray(plain)[:, :, 2::-1])
