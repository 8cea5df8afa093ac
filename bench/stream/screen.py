"""A plain Xvfb of this host whose framebuffer is a file, and the load program on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from xvfbwrapper import Xvfb

from bench.stream.lines import Child, child

WIDTH, HEIGHT = 1280, 800


@dataclass(frozen=True)
class NativeScreen:
    """The screen that all candidates show."""

    name: str
    framebuffer: Path
    width: int
    height: int
    load: Child


@contextlib.asynccontextmanager
async def native_screen() -> AsyncIterator[NativeScreen]:
    """An Xvfb with the load running on it."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="stream-bench-", dir=shared) as folder,
        Xvfb(WIDTH, HEIGHT, 24, display=_free_display(), extra_args=["-fbdir", folder, "-noreset"]) as xvfb,
    ):
        name = f":{xvfb.new_display}"
        async with child("the load", "bench.stream.load", name) as load:
            await load.ready()
            yield NativeScreen(name, Path(folder) / "Xvfb_screen0", WIDTH, HEIGHT, load)


def _free_display() -> int:
    """A display's number; a small one, since not every program takes others."""
    return next(number for number in range(90, 1000) if not Path(f"/tmp/.X11-unix/X{number}").exists())


def chromium() -> str:
    """The browser's path. RuntimeError if there is none."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise RuntimeError("no Chromium on this host: apt install chromium")
    return found
