"""The pictures of the bench's desktop: background, a long page of text, a short film. Pure, and the same in every run.

All are BGRX, uint8, shape (height, width, 4), as an X server of 24 bits' depth keeps them.
"""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]

CONTENTS = ("still", "typing", "scrolling", "film")
INTERVAL_S = {"typing": 0.08, "scrolling": 1 / 30, "film": 1 / 60}
"""From one change to the next: a quick typist, a wheel that is turned steadily, a film of 60 frames a second."""
LINE_PX = 20
FILM_SIZE = (640, 360)
PAGE_SIZE = (800, 560)
_TEXT = (
    "the desktop is copied by snapshot and an agent acts on it while people watch each pixel takes its way through "
    "capture damage encoder packets network decoder canvas eye lorem ipsum window cursor return value import def class"
)
_WORDS = _TEXT.split()


def background(width: int, height: int) -> Picture:
    """A smooth wallpaper with a window of text at its left and a panel at its foot."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = np.empty((height, width, 4), np.uint8)
    for channel, (across, down) in enumerate(((60, 90), (40, 70), (30, 40))):
        picture[..., channel] = 60 + across * x / width + down * y / height
    picture[..., 3] = 0
    window = text_page(180, height - 200, seed=7)
    picture[120 : 120 + window.shape[0], 32 : 32 + window.shape[1]] = window
    picture[height - 32 :] = (45, 40, 38, 0)
    return picture


def text_page(width: int, height: int, *, seed: int = 1) -> Picture:
    """Black words on white, antialiased, in lines of LINE_PX."""
    words = random.Random(seed)
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=14)
    for top in range(0, height - LINE_PX + 1, LINE_PX):
        line = ""
        while draw.textlength(line, font=font) < width - 90:
            line += words.choice(_WORDS) + " "
        draw.text((6, top + 2), line, fill="black", font=font)
    return _bgrx(image)


def film(frames: int) -> list[Picture]:
    """A camera pans over a textured scene in which things move, with a little noise: like a video, hard to encode."""
    width, height = FILM_SIZE
    noise = np.random.default_rng(3)
    scene = _scene(width + 8 * frames, height, noise)
    return [_film_frame(scene[:, 8 * at : 8 * at + width], at, noise) for at in range(frames)]


def _scene(width: int, height: int, noise: np.random.Generator) -> npt.NDArray[np.float32]:
    """Soft clouds of several sizes in three colours, shape (height, width, 3), 0 to 255."""
    scene = np.zeros((height, width, 3), np.float32)
    for size, weight in ((96, 90.0), (24, 50.0), (6, 25.0)):
        small = noise.random((height // size + 2, width // size + 2, 3))
        image = Image.fromarray((small * 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
        scene += np.asarray(image, np.float32) * (weight / 165.0)
    return scene


def _film_frame(view: npt.NDArray[np.float32], at: int, noise: np.random.Generator) -> Picture:
    height, width = view.shape[:2]
    image = Image.fromarray(np.clip(view, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for ball in range(4):
        x, y = (97 * ball + 13 * at) % width, (61 * ball + (7 + ball) * at) % height
        draw.ellipse((x - 30, y - 30, x + 30, y + 30), fill=(60 * ball, 200 - 40 * ball, 90))
    grain = noise.normal(0.0, 4.0, (height, width, 1))
    return _bgrx(Image.fromarray(np.clip(np.asarray(image, np.float32) + grain, 0, 255).astype(np.uint8)))


def _bgrx(image: Image.Image) -> Picture:
    rgb = np.asarray(image, np.uint8)
    picture = np.zeros((*rgb.shape[:2], 4), np.uint8)
    picture[..., :3] = rgb[..., ::-1]
    return picture
