"""The screen as the host reads it is the screen as the guest has it, in every size and state of the machine."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from desktop_sandbox import InvalidRequestError, Sandbox
from desktop_sandbox.config import ServerConfig
from desktop_sandbox.node.facts import SandboxSpec, ScreenshotSpec
from desktop_sandbox.node.local import LocalNode
from tests.conftest import make_home
from tests.machine.support import eventually

CAPTURE = "xwd -root -silent -out /tmp/shot.xwd"
STILL = {"stable_ms": 400, "deadline_ms": 20_000}


@pytest.fixture(scope="module")
def desk(server: object) -> Iterator[Sandbox]:
    """One desktop for all tests of this file: each puts the size it needs."""
    with Sandbox.create("minimal", timeout=900) as sandbox:
        sandbox.commands.run("pkill xclock; xsetroot -bitmap /usr/include/X11/bitmaps/escherknot; true", check=False)
        yield sandbox


def in_guest(desk: Sandbox) -> np.ndarray:
    """The guest's own capture (XWD), rows × columns × RGB."""
    desk.commands.run(CAPTURE, timeout=120)
    data = desk.files.read("/tmp/shot.xwd", "bytes")
    words = np.frombuffer(data, ">u4", 25)
    header, width, height, stride, colours = (int(words[i]) for i in (0, 4, 5, 12, 19))
    start = header + 12 * colours
    rows = np.frombuffer(data, np.uint8, stride * height, start).reshape(height, stride)
    return rows[:, : width * 4].reshape(height, width, 4)[:, :, 2::-1]


def from_host(desk: Sandbox) -> np.ndarray:
    shot = desk.capture("raw", cursor=False, **STILL)
    return np.frombuffer(shot.data, np.uint8).reshape(shot.height, shot.width, 3)


def at_one_time(desk: Sandbox) -> tuple[np.ndarray, np.ndarray]:
    """What the host and the guest see of one and the same screen: none is compared that changed in between."""
    before = from_host(desk)
    for _ in range(5):
        guests, after = in_guest(desk), from_host(desk)
        if np.array_equal(before, after):
            return before, guests
        before = after
    pytest.fail("the screen changed during each of five captures")


# odd ones, the smallest, the largest, and back to the usual
@pytest.mark.parametrize("size", [(1280, 800), (1023, 767), (641, 481), (64, 64), (1920, 1200), (1280, 720)])
def test_every_pixel_is_the_guests_in_every_size(desk: Sandbox, size: tuple[int, int]) -> None:
    desk.set_screen_size(*size)
    assert desk.get_screen_size() == size
    assert f"{size[0]}x{size[1]}" in desk.commands.run("xdpyinfo | grep dimensions").stdout
    mine, guests = at_one_time(desk)
    assert mine.shape == (size[1], size[0], 3)
    rows, columns = np.nonzero((mine != guests).any(axis=2))
    assert not len(rows), f"{len(rows)} differ, at {columns.min()}-{columns.max()}, {rows.min()}-{rows.max()}"


def test_a_size_beyond_the_largest_is_refused(desk: Sandbox) -> None:
    before = desk.get_screen_size()
    for size in ((1921, 1200), (1920, 1201), (63, 64), (0, 0)):
        with pytest.raises(InvalidRequestError) as caught:
            desk.set_screen_size(*size)
        assert caught.value.hint
    assert desk.get_screen_size() == before


def test_formats_regions_and_scale(desk: Sandbox) -> None:
    desk.set_screen_size(800, 600)
    whole = from_host(desk)
    png = Image.open(io.BytesIO(desk.screenshot("png", cursor=False)))
    assert np.array_equal(np.asarray(png.convert("RGB")), whole)
    part = desk.screenshot("raw", region=(101, 53, 257, 129), cursor=False)
    assert np.array_equal(np.frombuffer(part, np.uint8).reshape(129, 257, 3), whole[53:182, 101:358])
    last = desk.screenshot("raw", region=(799, 599, 1, 1), cursor=False)
    assert last == whole[599, 799].tobytes()
    for name in ("jpeg", "webp"):
        picture = Image.open(io.BytesIO(desk.screenshot(name, quality=90, cursor=False)))  # type: ignore[call-overload]
        assert picture.size == (800, 600)
        assert picture.format == name.upper()
        error = np.abs(np.asarray(picture.convert("RGB")).astype(int) - whole).mean()
        assert error < 12, f"{name} shows something else"
    half = desk.capture("jpeg", scale=0.5)
    assert (half.width, half.height) == (400, 300)
    with pytest.raises(InvalidRequestError):
        desk.screenshot(region=(700, 0, 200, 100))


def drawn_at(desk: Sandbox, x: int, y: int) -> bool:
    without, with_cursor = (
        np.frombuffer(desk.screenshot("raw", cursor=shown), np.uint8).reshape(600, 800, 3).astype(int)
        for shown in (False, True)
    )
    rows, columns = np.nonzero(np.abs(with_cursor - without).sum(axis=2))
    # an arrow: its tip is the hot spot, within the shadow's width
    return bool(
        len(rows)
        and x - 12 <= columns.min() <= columns.max() <= x + 32
        and y - 12 <= rows.min() <= rows.max() <= y + 32
    )


def test_the_cursor_is_drawn_where_the_pointer_is(desk: Sandbox) -> None:
    desk.set_screen_size(800, 600)
    for x, y in ((400, 580), (0, 0), (799, 599), (20, 590)):
        desk.move_mouse(x, y)
        assert desk.get_cursor_position() == (x, y)
        eventually(functools.partial(drawn_at, desk, x, y))  # the session tells of the pointer a little later


def test_it_is_seen_while_the_guest_is_wholly_busy(desk: Sandbox) -> None:
    desk.set_screen_size(800, 600)
    before = from_host(desk)
    busy = desk.commands.stream("echo go; timeout 20 sh -c 'while :; do :; done & while :; do :; done'")
    next(busy)
    for _ in range(10):
        assert desk.screenshot("raw", cursor=False) == before.tobytes()
    busy.close()  # type: ignore[attr-defined]


async def test_it_is_seen_while_the_machine_is_stopped(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = make_home(tmp_path_factory.mktemp("stopped") / "home")
    node = await LocalNode.start(ServerConfig(home=home, api_key="unused"))
    try:
        made = await node.create(SandboxSpec(template="minimal", timeout_s=120))
        live = await node.live(made.id)
        spec = ScreenshotSpec(format="raw", cursor=False, stable_ms=300, deadline_ms=10_000)
        running = await live.screenshot(spec)
        await live.machine.stop()
        stopped = await live.screenshot(spec)
        assert stopped.stable
        assert stopped.data == running.data
        assert len(set(stopped.data)) > 2, "an empty screen proves nothing"
        await live.machine.resume()
        assert (await live.size()) == (1280, 800)
    finally:
        await node.kill_all()
        await node.aclose()
