"""Desktops for OpenEnv, by the real package: in this process, and through its own server and client."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import uvicorn

from desktop_sandbox import InvalidRequestError, Sandbox
from desktop_sandbox.gym import Step, Task, Verdict
from desktop_sandbox.openenv import DesktopAction, DesktopClient, DesktopEnvironment, app
from tests.live_server import Live, serving


def judge(desktop: Sandbox, step: Step) -> Verdict:
    there = tuple(step.observation["cursor"].tolist()) == (step.goal["x"], 7)
    return Verdict(float(there), there, {"number": step.number})


POINT = Task("point", judge, "move to {x}, 7", begin=lambda desktop, rng: {"x": int(rng.integers(1000))})
OTHER = Task("other", judge, "to {x}", begin=lambda desktop, rng: {"x": 5})


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    with serving(tmp_path) as server:
        monkeypatch.setenv("DESKTOP_SANDBOX_URL", server.url)
        monkeypatch.setenv("DESKTOP_SANDBOX_API_KEY", server.key)
        yield server


def running(live: Live) -> int:
    return sum(box.info.state == "running" for box in live.node.sandboxes.values())


def test_an_episode(live: Live) -> None:
    env = DesktopEnvironment([POINT, OTHER], scale=0.5, settle_ms=0, max_steps=2)
    seen = env.reset(seed=3, episode_id="mine", task="point")
    goal = seen.info["goal"]["x"]
    assert seen.text == f"move to {goal}, 7"
    assert (seen.done, seen.reward) == (False, None)
    assert (seen.width, seen.height, seen.media_type) == (640, 400, "image/png")
    image = cv2.imdecode(np.frombuffer(base64.b64decode(seen.image), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (400, 640, 3)
    assert (env.state.episode_id, env.state.step_count, env.state.task) == ("mine", 0, "point")
    assert env.state.sandbox in live.node.sandboxes
    seen = env.step(DesktopAction(actions=[{"type": "move", "x": goal, "y": 7}]))
    assert (seen.done, seen.reward, seen.cursor, seen.truncated) == (True, 1.0, (goal, 7), False)
    assert env.state.step_count == 1
    assert env.reset(seed=3, task="point").info["goal"]["x"] == goal
    assert env.reset(task="other").text == "to 5"
    env.step(DesktopAction())
    seen = env.step(DesktopAction(actions=[{"type": "type", "text": "hi"}]))
    assert (seen.done, seen.truncated, seen.reward) == (True, True, 0.0)
    with pytest.raises(InvalidRequestError, match="no task"):
        env.reset(task="none")
    with pytest.raises(InvalidRequestError, match="no image format"):
        DesktopEnvironment(POINT, image_format="bmp")
    env.close()
    assert running(live) == 0


@contextmanager
def openenv_server(tasks: Task) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app(tasks, settle_ms=0, image_format="jpeg"), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


async def test_the_same_over_openenvs_own_server(live: Live) -> None:
    with openenv_server(POINT) as url:
        async with DesktopClient(base_url=url) as env:
            first = await env.reset(seed=3)
            assert first.observation.media_type == "image/jpeg"
            assert base64.b64decode(first.observation.image).startswith(b"\xff\xd8")
            goal = first.observation.info["goal"]["x"]
            result = await env.step(DesktopAction(actions=[{"type": "move", "x": goal, "y": 7}]))
            assert (result.reward, result.done) == (1.0, True)
            assert result.observation.info["number"] == 1
            state = await env.state()
            assert (state.task, state.step_count) == ("point", 1)
            with pytest.raises(RuntimeError, match="x cannot be 99999"):
                await env.step(DesktopAction(actions=[{"type": "move", "x": 99999, "y": 7}]))
        deadline = time.monotonic() + 20
        while running(live):
            assert time.monotonic() < deadline, "the session's desktop is still there"
            time.sleep(0.05)
