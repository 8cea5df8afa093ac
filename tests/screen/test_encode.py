"""Encoders against other decoders, and the drawing that comes before them."""

from __future__ import annotations

import io
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from screen_fakes import calm, noise

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.screen.encode import MEDIA_TYPES, Cursor, crop, draw_cursor, encode, shrink

small_frames = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda size: arrays(np.uint8, (*size, 4)))


def rgb(frame: np.ndarray) -> np.ndarray:
    return frame[..., 2::-1]


def by_pillow(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    assert image.mode == "RGB"
    return np.asarray(image)


def by_opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]


def smooth(height: int, width: int) -> np.ndarray:
    return cv2.resize(noise(8, 8), (width, height), interpolation=cv2.INTER_CUBIC)


@calm
@given(small_frames)
def test_png_and_raw_give_back_every_pixel(frame):
    png = encode(frame, "png")
    assert np.array_equal(by_pillow(png), rgb(frame))
    assert np.array_equal(by_opencv(png), rgb(frame))
    assert encode(frame, "raw") == rgb(frame).tobytes()


@pytest.mark.parametrize("size", [(800, 1280), (1200, 1920), (1, 5000), (5000, 1)])
def test_large_pngs_of_noise_and_of_one_colour(size):
    for frame in (noise(*size), np.full((*size, 4), 77, np.uint8), smooth(*size)):
        png = encode(frame, "png")
        assert np.array_equal(by_pillow(png), rgb(frame))
        assert np.array_equal(by_opencv(png), rgb(frame))
    assert len(encode(np.zeros((800, 1280, 4), np.uint8), "png")) < 40_000


def test_a_png_is_made_of_the_chunks_of_the_standard():
    png = encode(noise(3, 5), "png")
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    kinds, at = [], 8
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
        data, checksum = png[at + 8 : at + 8 + length], int.from_bytes(png[at + 8 + length : at + 12 + length])
        assert zlib.crc32(kind + data) == checksum
        kinds.append(kind)
        at += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_lossy_formats_look_alike_and_obey_quality(image_format):
    frame = smooth(300, 400)
    sizes = {}
    for quality in (1, 50, 80, 100):
        data = encode(frame, image_format, quality)
        sizes[quality] = len(data)
        error = np.abs(by_pillow(data).astype(int) - rgb(frame)).mean()
        assert error < (30 if quality == 1 else 4)
    assert sizes[1] < sizes[50] < sizes[80] < sizes[100]


@pytest.mark.parametrize("image_format", MEDIA_TYPES)
def test_regions_are_encoded_from_views(image_format):
    frame = smooth(90, 120)
    view = crop(frame, (7, 11, 64, 48))
    assert not view.flags.c_contiguous
    assert encode(view, image_format) == encode(view.copy(), image_format)


def test_an_unknown_format_names_the_known_ones():
    with pytest.raises(InvalidRequestError, match=r"'jpg'.*png, jpeg, webp, raw"):
        encode(noise(2, 2), "jpg")


def test_regions_reach_the_edges_and_no_further():
    frame = noise(6, 8)
    assert np.array_equal(crop(frame, (0, 0, 8, 6)), frame)
    assert np.array_equal(crop(frame, (7, 5, 1, 1)), frame[5:, 7:])
    for region in [(0, 0, 9, 6), (0, 0, 8, 7), (8, 0, 1, 1), (-1, 0, 2, 2), (0, 0, 0, 1), (0, 6, 1, 1)]:
        with pytest.raises(InvalidRequestError, match="8 x 6 pixels"):
            crop(frame, region)


def test_shrinking_takes_the_mean_of_each_area():
    frame = noise(4, 6)
    half = shrink(frame, 0.5)
    assert half.shape == (2, 3, 4)
    mean = frame.reshape(2, 2, 3, 2, 4).mean(axis=(1, 3))
    assert np.abs(half - mean).max() <= 0.5
    assert shrink(frame, 1.0) is frame
    assert shrink(frame, 0.01).shape == (1, 1, 4)
    assert shrink(noise(800, 1280), 0.333).shape == (266, 426, 4)


def plain_compose(frame, cursor):
    """The same, one pixel after the other, as Porter and Duff's 'over' says it."""
    out = frame.copy()
    for row in range(cursor.pixels.shape[0]):
        for column in range(cursor.pixels.shape[1]):
            x, y = cursor.x - cursor.hot_x + column, cursor.y - cursor.hot_y + row
            if 0 <= x < frame.shape[1] and 0 <= y < frame.shape[0]:
                pixel = [int(part) for part in cursor.pixels[row, column]]
                for part in range(3):
                    under = int(frame[y, x, part]) * (255 - pixel[3])
                    out[y, x, part] = min(255, pixel[part] + (under + 127) // 255)
    return out


@calm
@given(small_frames, small_frames, *[st.integers(-12, 12)] * 2, *[st.integers(0, 9)] * 2)
def test_the_cursor_lies_over_the_frame_and_is_cut_at_its_edges(frame, picture, x, y, hot_x, hot_y):
    cursor = Cursor(x, y, hot_x, hot_y, picture)
    expected = plain_compose(frame, cursor)
    draw_cursor(frame, cursor)
    assert np.array_equal(frame, expected)


def test_the_hot_spot_is_at_the_pointer():
    frame = np.zeros((5, 5, 4), np.uint8)
    picture = np.zeros((3, 3, 4), np.uint8)
    picture[1, 1] = (9, 8, 7, 255)
    for x, y in [(0, 0), (4, 4), (2, 3)]:
        frame[:] = 0
        draw_cursor(frame, Cursor(x, y, 1, 1, picture))
        assert frame[y, x].tolist() == [9, 8, 7, 0]
        assert frame.any(axis=2).sum() == 1


def test_places_far_outside_and_pictures_without_pixels_draw_nothing():
    frame = noise(4, 4)
    before = frame.copy()
    for cursor in [
        Cursor(2**31 - 1, -(2**31), 65535, 65535, noise(2, 2)),
        Cursor(1, 1, 0, 0, np.empty((0, 5, 4), np.uint8)),
    ]:
        draw_cursor(frame, cursor)
    assert np.array_equal(frame, before)
