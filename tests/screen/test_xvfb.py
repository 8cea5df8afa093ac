"""A real Xvfb whose framebuffer file, torn into shuffled pages, is another process's memory."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import subprocess
import time

import cv2
import numpy as np
import pytest
from PIL import Image, ImageGrab
from screen_fakes import start_vm

from desktop_sandbox.node.facts import ScreenshotSpec
from desktop_sandbox.screen.machine_screen import MachineScreen
from desktop_sandbox.screen.screenshot import take
from guest_image.agent.state_page import FILE_BYTES, HEADER_BYTES, ScreenState, pack

pytestmark = pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("xterm")), reason="needs Xvfb and xterm")
STATE = ScreenState(2, 1280, 800, 1920, 1200, 7680, 1, 1279, 799, 1, 8, 8, 4, 4, 1)


@pytest.fixture(scope="module")
def display(tmp_path_factory):
    """Folder and name of a display with a terminal on it."""
    folder = tmp_path_factory.mktemp("fb")
    read_end, write_end = os.pipe()
    arguments = ["-displayfd", str(write_end), "-screen", "0", "1920x1200x24", "-fbdir", folder, "-nolisten", "tcp"]
    server = subprocess.Popen(["Xvfb", *arguments, "-noreset"], pass_fds=[write_end], stderr=subprocess.DEVNULL)
    os.close(write_end)
    with os.fdopen(read_end) as number:
        name = ":" + number.readline().strip()  # up to the newline: without a reader for it the server would die
    script = "ls -l /usr/bin | head -40; sleep 100"
    terminal = subprocess.Popen(
        ["xterm", "-bg", "#204060", "-fg", "#e0d090", "-geometry", "100x45+20+10", "-e", "sh", "-c", script],
        env={**os.environ, "DISPLAY": name},
    )
    deadline = time.monotonic() + 10
    while np.unique(np.asarray(ImageGrab.grab(xdisplay=name))).size < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    yield folder, name
    terminal.terminate()
    server.terminate()
    terminal.wait(10)
    server.wait(10)


@pytest.fixture(params=[False, True], ids=["descriptor", "trace"])
def machine(request, display, tmp_path):
    folder, name = display
    page = tmp_path / "state"
    page.write_bytes(pack(STATE).ljust(HEADER_BYTES, b"\0") + b"\xff" * 256 + bytes(FILE_BYTES - HEADER_BYTES - 256))
    vm = start_vm([folder / "Xvfb_screen0", page], ram_bytes=5 << 30, seed=3, trace=request.param)
    wire = {"max_width": 1920, "max_height": 1200, "stride_bytes": 7680, "framebuffer": vm.wire[0], "state": vm.wire[1]}
    yield vm, MachineScreen.from_wire(vm.memory, wire), name
    vm.close()


def grab(name: str) -> np.ndarray:
    """The screen as the X server itself hands it out (without its cursor, which the framebuffer lacks or has)."""
    return np.asarray(ImageGrab.grab(xdisplay=name).convert("RGB"))[:800, :1280]


async def settled(screen: MachineScreen) -> np.ndarray:
    """The screen once the terminal has drawn everything."""
    shot = await take(screen, ScreenshotSpec(format="raw", cursor=False, stable_ms=300))
    assert shot.stable
    return np.frombuffer(shot.data, np.uint8).reshape(shot.height, shot.width, 3)


async def test_the_screen_equals_what_the_x_server_says(machine):
    _, screen, name = machine
    assert screen.framebuffer._file.run_count > 2000
    pixels = await settled(screen)
    assert pixels.shape == (800, 1280, 3)
    assert np.unique(pixels).size > 2
    assert np.array_equal(pixels, grab(name))


async def test_png_of_the_screen_is_exact_and_other_formats_close(machine):
    _, screen, _ = machine
    truth = (await settled(screen)).astype(int)
    png = await take(screen, ScreenshotSpec(cursor=False))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png.data))), truth)
    assert np.array_equal(cv2.imdecode(np.frombuffer(png.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1], truth)
    for image_format in ("jpeg", "webp"):
        shot = await take(screen, ScreenshotSpec(format=image_format, cursor=False))
        assert np.abs(np.asarray(Image.open(io.BytesIO(shot.data))) - truth).mean() < 5


async def test_the_cursor_is_laid_over_the_last_pixel(machine):
    _, screen, _ = machine
    without = await settled(screen)
    shot = await take(screen, ScreenshotSpec(format="raw"))
    pixels = np.frombuffer(shot.data, np.uint8).reshape(800, 1280, 3)
    assert (pixels[795:, 1275:] == 255).all()
    assert (pixels != without).any(axis=2).sum() <= 25


async def test_a_stopped_machine_still_shows_its_screen(machine):
    vm, screen, name = machine
    vm.process.send_signal(signal.SIGSTOP)
    try:
        assert np.array_equal(await settled(screen), grab(name))
    finally:
        vm.process.send_signal(signal.SIGCONT)


async def test_a_change_is_seen_at_once(machine):
    _, screen, name = machine
    before = await asyncio.to_thread(screen.read)
    window = subprocess.Popen(["xterm", "-geometry", "20x5+900+600"], env={**os.environ, "DISPLAY": name})
    try:
        deadline = time.monotonic() + 10
        phase = 0
        height, width = before.shape[:2]
        while screen.framebuffer.watch_rows(width, height, range(phase % 32, height, 32)).same(before):
            assert time.monotonic() < deadline, "the new window was not seen"
            phase += 1
            await asyncio.sleep(0.02)
    finally:
        window.terminate()
        window.wait(10)
