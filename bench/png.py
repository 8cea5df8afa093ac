"""Compares ways to encode a desktop picture: milliseconds (median, one thread) and bytes. `python bench/png.py`

Pictures of 1280 x 800: `plain` is windows full of text on smooth wallpaper, `photo` has a noisy photograph in it too;
give XWD files (xwd -root) to measure others. Libraries that are not installed are left out.
"""

from __future__ import annotations

import importlib
import io
import json
import statistics
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from isal import isal_zlib
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from desktop_sandbox.screen.encode import encode  # noqa: E402

WIDTH, HEIGHT = 1280, 800
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "window", "page", "machine", "memory"]
Frame = npt.NDArray[np.uint8]
Encoder = Callable[[Frame], bytes]


def picture(photo: bool) -> Frame:
    """A painted desktop as a BGRX frame, always the same."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    red, green = 30 + 80 * y / HEIGHT + 20 * np.sin(x / 200), 60 + 90 * x / WIDTH + 15 * np.cos(y / 150)
    blue = 120 + 100 * (1 - y / HEIGHT) + 10 * np.sin((x + y) / 170)
    image = Image.fromarray(np.clip(np.stack([red, green, blue], -1), 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    windows = [(60, 50, 760, 560, "white", "#141414"), (620, 300, 560, 400, "#121218", "#c8dcc8")]
    for left, top, width, height, paper, ink in windows:
        draw.rectangle((left, top, left + width, top + 24), fill="#3c4048")
        draw.rectangle((left, top + 24, left + width, top + height), fill=paper)
        for line in range(top + 30, top + height - 16, 17):
            text = " ".join(rng.choice(WORDS, 30))
            draw.text((left + 8, line), text[: (width - 20) // 8], font=font, fill=ink)
    draw.rectangle((0, HEIGHT - 32, WIDTH, HEIGHT), fill="#282a30")
    frame = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    frame[..., :3] = np.asarray(image)[..., ::-1]
    if photo:
        coarse = rng.integers(0, 255, (50, 60, 3), dtype=np.uint8)
        fine = cv2.resize(coarse, (480, 360), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 4, (360, 480, 3))
        frame[120:480, 120:600, :3] = np.clip(fine, 0, 255)
    return frame


def xwd(path: Path) -> Frame:
    """A frame from an XWD file of 32 bits a pixel."""
    data = path.read_bytes()
    words = np.frombuffer(data, ">u4", 25).astype(int)
    start, stride = int(words[0] + 12 * words[19]), int(words[12])
    rows = np.frombuffer(data, np.uint8, stride * words[5], start).reshape(words[5], stride)
    return np.ascontiguousarray(rows[:, : 4 * words[4]].reshape(words[5], words[4], 4))


def filtered(frame: Frame, kind: str) -> Frame:
    """PNG rows with filter none, sub or up."""
    height, width, _ = frame.shape
    rows = cv2.cvtColor(frame, cv2.COLOR_BGRA2RGB).reshape(height, 3 * width)
    out = np.empty((height, 1 + 3 * width), np.uint8)
    out[:, 0] = ("none", "sub", "up").index(kind)
    out[:, 1:] = rows
    if kind == "sub":
        np.subtract(rows[:, 3:], rows[:, :-3], out=out[:, 4:])
    elif kind == "up":
        np.subtract(rows[1:], rows[:-1], out=out[1:, 1:])
    return out


def by_pillow(image_format: str, **options: int) -> Encoder:
    """Pillow's encoder, conversion included."""

    def run(frame: Frame) -> bytes:
        file = io.BytesIO()
        Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGRA2RGB)).save(file, image_format, **options)
        return file.getvalue()

    return run


def by_opencv(extension: str, *options: int) -> Encoder:
    """OpenCV's encoder, conversion included."""
    return lambda frame: cv2.imencode(extension, cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR), options)[1].tobytes()


def deflate(library: Any, kind: str, level: int, frame: Frame) -> bytes:
    """What takes the time in a PNG."""
    data: bytes = library.compress(filtered(frame, kind), level)
    return data


def installed(name: str) -> Any:
    """A module, or None if it is not there."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def encoders() -> Iterator[tuple[str, Encoder]]:
    """All that are installed, ours first in each group."""
    yield "png: ours", lambda frame: encode(frame, "png")
    for kind in ("none", "sub", "up"):
        for level in range(4):
            yield f"png: isal {level} {kind}", partial(deflate, isal_zlib, kind, level)
        yield f"png: zlib 1 {kind}", partial(deflate, zlib, kind, 1)
    if zlib_ng := installed("zlib_ng.zlib_ng"):
        for level in (1, 2):
            yield f"png: zlib-ng {level} sub", partial(deflate, zlib_ng, "sub", level)
    if fpng := installed("fpng_py"):
        encode_fpng = fpng.fpng_encode_image_to_memory
        yield "png: fpng", lambda f: encode_fpng(encode(f, "raw"), f.shape[1], f.shape[0], 3)
    yield "png: OpenCV 1 sub", by_opencv(".png", cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, 16)
    yield "png: Pillow 1", by_pillow("png", compress_level=1)
    yield "png: Pillow", by_pillow("png")
    yield "jpeg: ours (OpenCV)", lambda frame: encode(frame, "jpeg", 80)
    yield "jpeg: Pillow", by_pillow("jpeg", quality=80)
    if simplejpeg := installed("simplejpeg"):
        yield "jpeg: simplejpeg", lambda f: simplejpeg.encode_jpeg(f, 80, "BGRX", "420", True)
    yield "webp: ours (Pillow 0)", lambda frame: encode(frame, "webp", 80)
    yield "webp: Pillow 2", by_pillow("webp", quality=80, method=2)
    yield "webp: OpenCV", by_opencv(".webp", cv2.IMWRITE_WEBP_QUALITY, 80)
    yield "raw: ours", lambda frame: encode(frame, "raw")


def measure(run: Encoder, frame: Frame) -> tuple[float, int]:
    """Median milliseconds and bytes; slow ones get fewer turns."""
    times: list[float] = []
    size = len(run(frame))
    while len(times) < 5 or (len(times) < 41 and sum(times) < 500):
        start = time.perf_counter()
        run(frame)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times), size


def overlap(frame: Frame, image_format: str, turns: int = 40) -> float:
    """How many times as fast two threads are as one: 2 on two free cores if the GIL is not in the way."""

    def work() -> None:
        for _ in range(turns):
            encode(frame, image_format)

    start = time.perf_counter()
    work()
    alone = time.perf_counter() - start
    threads = [threading.Thread(target=work) for _ in range(2)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 2 * alone / (time.perf_counter() - start)


def main(files: list[str]) -> None:
    """Print a table, and the same as JSON as last line."""
    cv2.setNumThreads(1)
    frames = {"plain": picture(False), "photo": picture(True)} | {Path(file).name: xwd(Path(file)) for file in files}
    print(f"{'':24}" + "".join(f"{name:>22}" for name in frames))
    table: dict[str, dict[str, list[float]]] = {}
    for name, run in encoders():
        found = {key: measure(run, frame) for key, frame in frames.items()}
        table[name] = {key: [round(ms, 2), size] for key, (ms, size) in found.items()}
        print(f"{name:24}" + "".join(f"{ms:9.2f} ms {size / 1024:6.0f} KiB" for ms, size in found.values()))
    speed = {image_format: round(overlap(frames["plain"], image_format), 2) for image_format in ("png", "jpeg", "raw")}
    print("two threads against one: " + ", ".join(f"{name} {value}x" for name, value in speed.items()))
    print(json.dumps({"encoders": table, "overlap": speed}))


if __name__ == "__main__":
    main(sys.argv[1:])
