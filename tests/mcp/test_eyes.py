"""MCP's eyes on a server without machines: places are the screenshot's pixels, and what did nothing says so."""

from __future__ import annotations

import base64
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mcp import Client
from mcp.types import CallToolResult

from desktop_sandbox import AsyncSandbox
from desktop_sandbox.mcp.server import build
from tests.fake_base import FakeSandbox
from tests.live_server import Live, serving


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    with serving(tmp_path) as server:
        monkeypatch.setenv("DESKTOP_SANDBOX_URL", server.url)
        monkeypatch.setenv("DESKTOP_SANDBOX_API_KEY", server.key)
        yield server


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Client, AsyncSandbox]]:
    """A client, and a desktop as large as models take."""
    async with Client(build()) as client, await AsyncSandbox.create() as sandbox:
        yield client, sandbox


async def call(client: Client, name: str, /, **arguments: Any) -> CallToolResult:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content
    return result


def words(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if block.type == "text")


def frame(width: int, height: int, *rects: tuple[int, int, int, int]) -> np.ndarray:
    made = np.full((height, width, 4), 128, np.uint8)
    for x, y, wide, high in rects:
        made[y : y + high, x : x + wide, :3] = 255
        made[y + high // 4 : y + high // 2, x : x + wide // 2, :3] = (20, 90, 160)
    return made


def box_of(live: Live, sandbox: AsyncSandbox) -> FakeSandbox:
    return live.node.sandboxes[sandbox.sandbox_id]


async def test_what_does_nothing_says_so(live: Live) -> None:
    async with connected() as (client, sandbox):
        fake = box_of(live, sandbox)
        assert "nothing changed on the screen" in words(await call(client, "computer_click", x=5, y=5))
        timer = threading.Timer(0.2, lambda: setattr(fake, "frame", frame(1280, 800, (4, 4, 9, 9))))
        timer.start()
        assert words(await call(client, "computer_click", x=5, y=5)) == "Done."
        assert words(await call(client, "computer_click", x=5, y=5, screenshot=False)) == "Done."
        assert words(await call(client, "computer_wait", duration_ms=1)) == "Done."
        assert words(await call(client, "computer_screenshot")) == ""


async def test_waits_find_and_marks_speak_in_pixels_of_the_screenshot(live: Live) -> None:
    async with Client(build()) as client, await AsyncSandbox.create(resolution=(1920, 1200)) as sandbox:
        fake = box_of(live, sandbox)
        fake.frame = frame(1920, 1200, (300, 600, 90, 60), (1500, 900, 90, 60))
        # 1920 × 1200 is shown smaller
        picture = base64.b64encode(cv2.imencode(".png", fake.frame[600:660, 300:390, :3])[1].tobytes()).decode()
        found = (await call(client, "computer_find_picture", picture=picture)).structured_content
        assert found is not None
        places = [place["box"] for place in found["found"]]
        assert len(places) == 2
        assert abs(places[0][0] / places[1][0] - 300 / 1500) < 0.01
        assert places[0][2] < 90
        x, y = found["found"][0]["click"]
        assert places[0][0] < x < places[0][0] + places[0][2]
        await call(client, "computer_click", x=x, y=y, screenshot=False)
        clicked = fake.acted[-1]
        assert abs(clicked.x - 345) <= 1  # type: ignore[union-attr]
        assert abs(clicked.y - 630) <= 1  # type: ignore[union-attr]
        stable = await call(client, "computer_wait_until_stable", quiet_ms=50, screenshot=False)
        assert stable.structured_content == {"stable": True, "moving": []}
        nothing = await call(client, "computer_wait_for_change", timeout=0.1, screenshot=False)
        assert "Nothing changed" in words(nothing)


async def test_errors_say_what_was_there_instead(live: Live) -> None:
    async with connected() as (client, _):
        result = await client.call_tool("computer_wait_for_window", {"title": "Firefox", "timeout": 0.1})
        assert result.is_error
        assert "open windows: 'files'" in words(result)
        opened = await call(client, "computer_wait_for_window", title="files", screenshot=False)
        assert opened.structured_content["window"]["title"] == "files"
        for name, arguments in (
            ("computer_wait_for_change", {"region": [0, 0, 5000, 10]}),
            ("computer_find_picture", {"picture": "?"}),
            ("computer_find_picture", {}),
            ("computer_mark_elements", {"boxes": [[-1, 0, 5, 5]]}),
        ):
            result = await client.call_tool(name, arguments)
            assert result.is_error, name
            assert result.structured_content["hint"], name


async def test_the_cursor_and_a_copied_picture_are_shown(live: Live) -> None:
    async with connected() as (client, sandbox):
        shape = await call(client, "computer_cursor_shape")
        assert shape.structured_content == {"x": 0, "y": 0, "shape": "left_ptr"}
        assert [block.type for block in shape.content] == ["text", "image"]
        assert "no picture" in words(await call(client, "computer_get_clipboard_picture"))
        drawn = cv2.imencode(".png", frame(60, 40, (5, 5, 20, 20))[..., :3])[1].tobytes()
        await sandbox.clipboard.set_picture(drawn)
        copied = await call(client, "computer_get_clipboard_picture")
        [block] = copied.content
        assert block.type == "image"
        assert cv2.imdecode(np.frombuffer(base64.b64decode(block.data), np.uint8), cv2.IMREAD_COLOR).shape == (
            40,
            60,
            3,
        )
        box_of(live, sandbox).picture = b"\x89PNG\r\n\x1a\n" + b"not a picture at all"
        result = await client.call_tool("computer_get_clipboard_picture", {})
        assert result.is_error
