"""A WHEP player that is neither ours nor aiortc nor a browser plays the stream over the real API: GStreamer's."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from desktop_sandbox.microvm.jail import media_uid
from desktop_sandbox.microvm.wall import find_wall
from desktop_sandbox.node.facts import ScreenSource
from desktop_sandbox.stream.launch import launcher
from tests.fake_node import FakeNode
from tests.live_server import Live, serving
from tests.streamer.harness import Screen

PYTHON = "/usr/bin/python3"  # Debian's, whose packages GStreamer's are
SCRIPT = Path(__file__).with_name("gstreamer_whep.py")
WITHIN_S = 60.0
BLUE, RED = (40, 120, 200), (220, 30, 20)


class ScreenNode(FakeNode):
    """All its sandboxes show one screen."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self.screen = screen

    async def screen_source(self, sandbox_id: str, *, fresh: bool = False) -> ScreenSource:
        return ScreenSource(self.screen.source, os.open(self.screen.path, os.O_RDONLY))


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    return Screen(tmp_path / "screen.xwd", 1280, 800)


@pytest.fixture
def live(tmp_path: Path, screen: Screen) -> Iterator[Live]:
    launch = launcher(find_wall(media_uid("0000beef")), tmp_path / "streamer.log", file_limit_bytes=1 << 30)
    with serving(tmp_path, ScreenNode(screen), launch=launch) as running:
        yield running


class Player:
    """The script's process, and what it says."""

    def __init__(self, url: str, token: str, x: int, y: int) -> None:
        environment = {**os.environ, "WHEP_TOKEN": token, "GST_REGISTRY_FORK": "no"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [PYTHON, str(SCRIPT), url, str(x), str(y)],
            stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment,
        )  # fmt: skip
        self._said: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(json.loads(line))
        self._said.put(None)

    def until(self, fits: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
        """What it said that fits."""
        deadline, last = time.monotonic() + WITHIN_S, None
        while True:
            try:
                said = self._said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"in {WITHIN_S} s not: {what}; last: {last}") from None
            assert said is not None, f"the player ended: {self.words()}"
            if fits(said):
                return said
            last = said

    def words(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def leave(self) -> int:
        """Let it end its session; its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(30)


@pytest.fixture
def play() -> Iterator[Callable[..., Player]]:
    players: list[Player] = []

    def start(*arguments: Any) -> Player:
        players.append(Player(*arguments))
        return players[-1]

    yield start
    for player in players:
        player.process.kill()
        player.process.wait()


def near(colour: tuple[int, int, int]) -> Callable[[dict[str, Any]], bool]:
    return lambda said: "pixel" in said and all(abs(a - b) <= 12 for a, b in zip(said["pixel"], colour, strict=True))


def test_gstreamer_plays_the_stream_by_whep(live: Live, screen: Screen, play: Callable[..., Player]) -> None:
    screen.pixels[:] = (*BLUE[::-1], 0)
    with httpx.Client(base_url=live.url, headers=live.headers, timeout=30, trust_env=False) as http:
        box = f"/v1/sandboxes/{http.post('/v1/sandboxes', json={}).json()['id']}"
        token = http.post(f"{box}/tokens", json={"rights": "view"}).json()["token"]
        player = play(f"{live.url}{box}/stream/whep", token, 1200, 700)
        player.until(lambda said: "elements" in said, "GStreamer's elements (scripts/debian-packages)")
        assert player.until(lambda said: "answered" in said, "an answer")["answered"] == 201
        first = player.until(near(BLUE), "the screen's colour")
        assert (first["width"], first["height"]) == (1280, 800)
        screen.pixels[600:, 1000:] = (*RED[::-1], 0)
        later = player.until(near(RED), "the changed colour")
        assert later["frames"] > first["frames"]
        assert http.get(f"{box}/control").json()["viewers"] == 1
        assert player.leave() == 0, player.words()
        assert http.get(f"{box}/control").json()["viewers"] == 0


def test_a_player_without_a_token_is_refused(live: Live, play: Callable[..., Player]) -> None:
    with httpx.Client(base_url=live.url, headers=live.headers, timeout=30, trust_env=False) as http:
        box = f"/v1/sandboxes/{http.post('/v1/sandboxes', json={}).json()['id']}"
    player = play(f"{live.url}{box}/stream/whep", "dst_e30.e30", 0, 0)
    assert player.process.wait(WITHIN_S) == 1
    assert "401" in player.words()
