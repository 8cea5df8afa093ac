"""Actions on a real desktop: they arrive exactly once, where they were sent, or are refused with a reason."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from desktop_sandbox import AsyncSandbox, DeadlineError, InvalidActionError, InvalidRequestError, Sandbox
from tests.conftest import RealServer
from tests.machine.support import eventually

LOG = "/tmp/clicks"
WHERE = (
    "PYTHONPATH=/opt/desktop-sandbox/site python3 -c 'from Xlib.display import Display; "
    "at = Display().screen().root.query_pointer(); print(at.root_x, at.root_y)'"
)
# a window above all others that writes down where each button press hit the screen
RECORDER = """
import sys
sys.path.insert(0, "/opt/desktop-sandbox/site")
from Xlib import X
from Xlib.display import Display
display = Display()
screen = display.screen()
window = screen.root.create_window(0, 0, screen.width_in_pixels, screen.height_in_pixels, 0, screen.root_depth,
                                   event_mask=X.ButtonPressMask, override_redirect=True)
window.map()
display.sync()
with open("/tmp/clicks", "w", buffering=1) as log:
    while True:
        event = display.next_event()
        if event.type == X.ButtonPress:
            print(f"({event.root_x},{event.root_y})", file=log)
"""


@pytest.fixture(scope="module")
def desk(server: object) -> Iterator[Sandbox]:
    """One desktop for all tests of this file, whose whole screen is a window that records every button."""
    with Sandbox.create("minimal", timeout=900) as sandbox:
        sandbox.files.write("/tmp/recorder.py", RECORDER)
        sandbox.launch(["python3", "/tmp/recorder.py"])
        eventually(lambda: sandbox.files.exists(LOG))
        yield sandbox


def presses(desk: Sandbox) -> list[str]:
    """Where buttons were pressed so far, in order."""
    return desk.files.read(LOG).split()


def settled(desk: Sandbox, count: int) -> list[str]:
    eventually(lambda: len(presses(desk)) >= count)
    return presses(desk)


def test_the_first_and_the_last_pixel_can_be_clicked(desk: Sandbox) -> None:
    before = len(presses(desk))
    desk.left_click(0, 0)
    desk.left_click(1279, 799)
    desk.double_click(640, 400)
    assert settled(desk, before + 4)[before:] == ["(0,0)", "(1279,799)", "(640,400)", "(640,400)"]
    desk.move_mouse(0, 799)
    assert desk.get_cursor_position() == (0, 799)


def test_outside_the_screen_is_refused_and_nothing_is_done(desk: Sandbox) -> None:
    before = len(presses(desk))
    for x, y in ((1280, 0), (0, 800), (-1, 5), (5, -1)):
        with pytest.raises(InvalidActionError) as caught:
            desk.act([{"type": "click", "x": 3, "y": 3}, {"type": "click", "x": x, "y": y}])
        bad = next(value for value, low, high in ((x, 0, 1279), (y, 0, 799)) if not low <= value <= high)
        assert str(bad) in str(caught.value)
        assert caught.value.hint
    assert len(presses(desk)) == before


def test_unknown_keys_and_buttons_are_refused_with_what_is_near(desk: Sandbox) -> None:
    with pytest.raises(InvalidActionError) as caught:
        desk.press("entre")
    assert "entre" in str(caught.value)
    assert "enter" in str(caught.value)
    with pytest.raises(InvalidActionError) as caught:
        desk.act([{"type": "click", "button": "primary"}])
    assert "left" in str(caught.value)


def test_a_change_of_the_screens_size_waits_for_the_batch(sandbox: Sandbox) -> None:
    """The places of a batch were checked against the screen as it was: it must not shrink under them."""
    batch = [
        {"type": "move", "x": 10, "y": 10},
        {"type": "wait", "duration_ms": 8000},
        {"type": "move", "x": 1279, "y": 799},
        {"type": "cursor_position"},
    ]
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(sandbox.act, batch)
        eventually(lambda: sandbox.commands.run(WHERE).stdout == "10 10\n")
        sandbox.set_screen_size(800, 600)
        assert acting.result(120).results[3] == {"x": 1279, "y": 799}
    assert sandbox.get_screen_size() == (800, 600)
    with pytest.raises(InvalidActionError):
        sandbox.move_mouse(800, 0)


def test_a_batch_that_takes_longer_than_allowed_stops_there(desk: Sandbox) -> None:
    before = len(presses(desk))
    with pytest.raises(DeadlineError) as caught:
        desk.act(
            [
                {"type": "click", "x": 10, "y": 10},
                {"type": "wait", "duration_ms": 60_000},
                {"type": "click", "x": 20, "y": 20},
            ],
            timeout=3,
        )
    assert (caught.value.evidence["index"], caught.value.evidence["results"]) == (1, [{}])
    desk.left_click(30, 30)
    assert settled(desk, before + 2)[before:] == ["(10,10)", "(30,30)"]


def test_a_deadline_is_that_of_the_whole_batch(desk: Sandbox) -> None:
    wait = {"type": "wait", "duration_ms": 2000}
    began = time.monotonic()
    with pytest.raises(DeadlineError) as caught:
        desk.act([wait, {"type": "screenshot"}, wait, {"type": "screenshot"}, wait], timeout=3)
    assert time.monotonic() - began < 6
    evidence: dict[str, Any] = caught.value.evidence
    assert (evidence["index"], evidence["results"]) == (2, [{}, {}])
    assert evidence["screenshots"][1].width == 1280


def test_typing_that_runs_is_cancelled_and_says_how_far_it_came(desk: Sandbox, server: RealServer) -> None:
    before = len(presses(desk))
    headers = {"Authorization": f"Bearer {server.key}", "Idempotency-Key": "slowly"}
    typing = {"type": "type", "text": "abcdef", "delay_ms": 10_000}
    body = {"actions": [{"type": "click", "x": 40, "y": 41}, typing, {"type": "click", "x": 42, "y": 43}]}
    path = f"/v1/sandboxes/{desk.sandbox_id}/actions"
    with httpx.Client(base_url=server.url, headers=headers, timeout=90) as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, path, json=body)
        assert settled(desk, before + 1)[before:] == ["(40,41)"]
        time.sleep(1)
        began = time.monotonic()
        assert client.delete(f"{path}/slowly").status_code == 204
        assert time.monotonic() - began < 5
        answers = [asked.result(10), client.post(path, json=body)]
    assert [answer.status_code for answer in answers] == [422, 422]
    evidence = answers[0].json()["evidence"]
    assert (evidence["code"], evidence["index"], evidence["results"]) == ("cancelled", 1, [{}])
    assert evidence["partial"] == {"typed": 1}
    assert answers[1].json()["evidence"] == evidence
    desk.left_click(44, 45)
    assert settled(desk, before + 2)[before:] == ["(40,41)", "(44,45)"]


async def test_a_task_that_is_cancelled_types_no_further(sandbox: Sandbox) -> None:
    async with asyncio.timeout(120):
        desktop = await AsyncSandbox.connect(sandbox.sandbox_id)
        typing = asyncio.create_task(desktop.write("x" * 2000, delay_ms=50))
        await asyncio.sleep(3)
        typing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await typing
        began = time.monotonic()
        await desktop.left_click(5, 5)
        assert time.monotonic() - began < 10, "the click waited for the rest of the text"
        await desktop.aclose()


@pytest.mark.parametrize("picture", [{"region": [0, 0, 5000, 5000]}, {"stable": 6000}])
def test_a_picture_that_cannot_be_is_refused_before_anything_is_done(desk: Sandbox, picture: dict[str, Any]) -> None:
    before = len(presses(desk))
    with pytest.raises(InvalidRequestError):
        desk.act([{"type": "click", "x": 50, "y": 51}], screenshot=picture)
    desk.left_click(52, 53)
    assert settled(desk, before + 1)[before:] == ["(52,53)"]


def test_a_picture_may_wait_long_until_the_screen_stands_still(desk: Sandbox) -> None:
    shot = desk.act([{"type": "screenshot", "stable_ms": 5500}]).screenshots[0]
    assert (shot.width, shot.stable) == (1280, True)


def test_the_same_key_twice_is_one_click(desk: Sandbox, server: RealServer) -> None:
    before = len(presses(desk))
    headers = {"Authorization": f"Bearer {server.key}", "Idempotency-Key": "one-click-only"}
    body = {"actions": [{"type": "click", "x": 77, "y": 78}]}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
        answers = [client.post(f"/v1/sandboxes/{desk.sandbox_id}/actions", json=body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.content for answer in answers}) == 1
    desk.left_click(79, 80)
    assert settled(desk, before + 2)[before:] == ["(77,78)", "(79,80)"]


def test_a_batch_returns_the_settled_screen(desk: Sandbox) -> None:
    result = desk.act([{"type": "move", "x": 5, "y": 6}, {"type": "cursor_position"}], screenshot=True)
    assert result.results[1] == {"x": 5, "y": 6}
    assert result.screenshot is not None
    assert (result.screenshot.width, result.screenshot.height) == (1280, 800)


def test_typing_into_a_terminal_is_exact(sandbox: Sandbox) -> None:
    text = "Plain, ASCII: {}[]|\\~`\"' 0123\ttab\nÄöü ß é ñ, Привет, 世界, 🙂 e\u0301 end\n"
    sandbox.left_click(300, 300)
    sandbox.act([{"type": "type", "text": "cat > /tmp/typed\n"}])
    # what is typed before cat runs may be bash's, who reads ahead
    eventually(lambda: sandbox.files.exists("/tmp/typed"))
    sandbox.write(text)
    eventually(lambda: sandbox.files.read("/tmp/typed").count("\n") >= 2)
    sandbox.press("ctrl+d")
    assert sandbox.files.read("/tmp/typed") == text
