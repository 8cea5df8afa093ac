"""Pictures on a screen: found where they are, at the size they are, and not where they are not."""

from __future__ import annotations

import io
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.vision.find import find
from desktop_sandbox.vision.pictures import MAX_SIDE, decode


def icon(size: int = 32, hue: int = 0) -> np.ndarray:
    """A folder-like thing with edges and two colours."""
    made = np.full((size, size, 3), (90, 60, 40), np.uint8)
    cv2.rectangle(made, (size // 8, size // 4), (size - size // 8, size - size // 6), (60, 200 - hue, 250), -1)
    cv2.rectangle(made, (size // 8, size // 8), (size // 2, size // 4), (30, 140, 200 - hue), -1)
    cv2.line(made, (size // 8, size // 2), (size - size // 8, size // 2), (20, 20, 90), max(1, size // 16))
    return made


def screen(*placed: tuple[np.ndarray, int, int]) -> np.ndarray:
    made = np.full((400, 640, 3), (90, 60, 40), np.uint8)
    made[200:, :300] = 255
    for x in range(310, 600, 12):
        cv2.putText(made, "ab", (x, 330), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (230, 230, 230), 1)
    for picture, x, y in placed:
        made[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return made


def test_all_places_are_found_to_the_pixel_best_first() -> None:
    dimmed = (icon() * 0.97).astype(np.uint8)
    found = find(screen((icon(), 10, 20), (icon(), 400, 100), (dimmed, 605, 365)), icon())
    assert [match.box for match in found] == [(10, 20, 32, 32), (400, 100, 32, 32), (605, 365, 32, 32)]
    assert found[0].score == found[1].score == 1.0 > found[2].score > 0.9
    assert {match.scale for match in found} == {1.0}
    assert len(find(screen((icon(), 10, 20), (icon(), 400, 100)), icon(), limit=1)) == 1


def test_what_is_not_there_is_not_found() -> None:
    assert find(screen(), icon()) == []
    greyed = cv2.cvtColor(cv2.cvtColor(icon(), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR) // 3 + 120
    assert find(screen((greyed, 10, 20)), icon(), threshold=0.9) == []
    assert find(screen((255 - icon(), 10, 20)), icon()) == []


@pytest.mark.parametrize("scale", [0.5, 0.63, 0.8, 1.0, 1.25, 1.5, 2.0])
def test_it_is_found_at_other_sizes(scale: float) -> None:
    side = round(48 * scale)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = cv2.resize(icon(48), (side, side), interpolation=how)
    found = find(screen((shown, 321, 57)), icon(48), scales=(0.5, 2.0), threshold=0.85)
    assert found, scale
    x, y, width, height = found[0].box
    assert abs(x - 321) <= 2
    assert abs(y - 57) <= 2
    assert abs(width - side) <= 2
    assert abs(height - side) <= 2
    assert found[0].scale == pytest.approx(scale, abs=0.05)
    assert len(found) == 1


def test_one_colour_on_the_screen_is_no_match() -> None:
    assert find(np.full((100, 100, 3), 7, np.uint8), icon()) == []


@pytest.mark.parametrize(
    ("picture", "scales", "says"),
    [
        (np.full((20, 20, 3), 9, np.uint8), (1.0, 1.0), "one colour"),
        (icon()[:3], (1.0, 1.0), "found everywhere"),
        (np.tile(icon(), (20, 20, 1)), (1.0, 1.0), "larger than"),
        (icon(), (0.4, 1.0), "no range"),
        (icon(), (1.0, 2.5), "no range"),
        (icon(), (1.5, 1.0), "no range"),
        (icon(), (float("nan"), 1.0), "no range"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(picture: np.ndarray, scales: tuple[float, float], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says) as caught:
        find(screen(), picture, scales=scales)
    assert caught.value.hint


def packed(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def test_pictures_that_are_brought() -> None:
    drawn = Image.fromarray(icon()[:, :, ::-1])
    for kind in ("PNG", "BMP", "WEBP"):
        assert decode(packed(drawn, kind)).shape == (32, 32, 3)
    assert np.array_equal(decode(packed(drawn, "PNG")), icon())
    assert (decode(packed(Image.new("RGBA", (5, 4), (9, 9, 9, 0)), "PNG")) == 255).all()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no picture"),
        (b"GIF89a", "no picture|cannot be read"),
        (b"<svg/>", "no picture"),
        (packed(Image.fromarray(icon()), "PNG")[:90], "cannot be read"),
        (packed(Image.new("1", (MAX_SIDE + 1, 1)), "PNG"), "At most"),
        (packed(Image.new("1", (8192, 8192)), "PNG").replace(b"\0\0\x20\0\0\0\x20\0", b"\0\1\x20\0\0\1\x20\0"), ""),
    ],
)
def test_what_is_no_good_picture_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode(data)
    assert re.search(says, str(caught.value))
