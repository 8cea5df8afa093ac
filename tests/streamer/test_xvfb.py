"""A real Xvfb's framebuffer file: what X draws is what the viewer sees."""

from __future__ import annotations

import os
import shutil
import subprocess

import numpy as np
import pytest
from PIL import ImageGrab

from tests.streamer.harness import eventually
from tests.streamer.sockets import SocketPage

pytestmark = pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("xsetroot")), reason="needs Xvfb")


@pytest.fixture
def display(tmp_path):
    read_end, write_end = os.pipe()
    arguments = ["-displayfd", str(write_end), "-screen", "0", "800x600x24", "-fbdir", tmp_path, "-nolisten", "tcp"]
    process = subprocess.Popen(["Xvfb", *arguments, "-noreset"], pass_fds=[write_end], stderr=subprocess.DEVNULL)
    os.close(write_end)
    with os.fdopen(read_end) as number:
        name = ":" + number.readline().strip()
    yield tmp_path / "Xvfb_screen0", name
    process.terminate()
    process.wait(10)


async def test_what_x_draws_is_seen(server, display):
    file, name = display
    fd = os.open(file, os.O_RDONLY)
    await server.ask("desktop.attach", fd, sandbox="x", source={"kind": "xwd", "width": 800, "height": 600})
    os.close(fd)
    page = SocketPage(server, 1)
    await page.join("x")
    await eventually(lambda: page.frames, "a frame")
    for colour in ("#c02040", "#2040c0"):
        subprocess.run(["xsetroot", "-display", name, "-solid", colour], check=True)
        wanted = tuple(int(colour[i : i + 2], 16) for i in (5, 3, 1))
        await eventually(lambda wanted=wanted: page.shows(wanted, 799, 599), f"{colour}")
    seen = np.asarray(ImageGrab.grab(xdisplay=name))[..., ::-1].astype(int)
    assert np.abs(seen - page.picture).mean() < 2
