"""How `desktop-sandbox agent` ends: a model that broke off is not done, and a person who drives keeps the desktop."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from desktop_sandbox import Sandbox
from desktop_sandbox.agents.loop.patient import TAKE_OVER_S
from desktop_sandbox.agents.loop.trajectory import Step, Trajectory
from desktop_sandbox.cli import agent
from tests.agents.scripted import claude, gemini, gpt, member, said, scripted
from tests.live_server import Live, serving
from tests.stream.fake_streamer import FakeStreamer, until

TEXT = {"type": "text", "text": "I cannot go on."}
UNKNOWN = {"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}
BROKEN_OFF: list[tuple[str, dict[str, Any], str]] = [
    ("anthropic", claude(TEXT) | {"stop_reason": "max_tokens"}, "stopped: max_tokens"),
    ("anthropic", claude() | {"stop_reason": "refusal"}, "stopped: refusal"),
    (
        "openai",
        gpt(said("I")) | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        "stopped: incomplete: max_output_tokens",
    ),
    ("openai", gpt() | {"status": "failed", "error": {"code": "server_error", "message": "no"}}, "stopped: failed: no"),
    ("gemini", {"candidates": []}, "stopped: no answer"),
    ("gemini", {"promptFeedback": {"blockReason": "SAFETY"}}, "stopped: no answer: SAFETY"),
    ("gemini", {"candidates": [UNKNOWN]}, "stopped: MALFORMED_FUNCTION_CALL"),
    ("gemini", {"candidates": [{**gemini(TEXT)["candidates"][0], "finishReason": "SAFETY"}]}, "stopped: SAFETY"),
]
DONE = [
    ("anthropic", claude(TEXT)),
    ("openai", gpt(said("Done."))),
    ("gemini", gemini({"text": "Done."})),
]


@pytest.fixture
def streamer() -> FakeStreamer:
    return FakeStreamer()


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamer: FakeStreamer) -> Iterator[Live]:
    with serving(tmp_path, launch=streamer.launch) as server:
        monkeypatch.setenv("DESKTOP_SANDBOX_URL", server.url)
        monkeypatch.setenv("DESKTOP_SANDBOX_API_KEY", server.key)
        yield server


def run(monkeypatch: pytest.MonkeyPatch, vendor: str, script: list[Any], folder: Path, sandbox: str | None) -> int:
    with scripted(script) as model:
        monkeypatch.setenv("DESKTOP_SANDBOX_AGENT", vendor)
        for name in ("ANTHROPIC", "OPENAI", "GEMINI"):
            monkeypatch.setenv(f"{name}_API_KEY", "not-a-real-key")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", model.url)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{model.url}/v1")
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", model.url)
        code = agent.run("move there", "minimal", sandbox, steps=9, seconds=1000.0, save=str(folder))
        assert not model.failures
    return code


@pytest.mark.parametrize(("vendor", "answer", "outcome"), BROKEN_OFF)
def test_a_model_that_broke_off_is_not_done(
    live: Live, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vendor: str, answer: dict[str, Any], outcome: str
) -> None:
    with Sandbox.create() as desktop:
        assert run(monkeypatch, vendor, [answer], tmp_path / "kept", desktop.sandbox_id) == 1
    assert f"{outcome}<" in (tmp_path / "kept" / "index.html").read_text()
    (line,) = (tmp_path / "kept" / "trajectory.jsonl").read_text().splitlines()
    assert f"stopped: {json.loads(line)['stopped']}" == outcome


@pytest.mark.parametrize(("vendor", "answer"), DONE)
def test_a_model_that_says_its_last_is_done(
    live: Live, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vendor: str, answer: dict[str, Any]
) -> None:
    with Sandbox.create() as desktop:
        assert run(monkeypatch, vendor, [answer], tmp_path / "kept", desktop.sandbox_id) == 0
    assert "the model is done" in (tmp_path / "kept" / "index.html").read_text()


class Person:
    """Somebody who takes the control of the only desktop, and gives it back."""

    def __init__(self, live: Live, streamer: FakeStreamer) -> None:
        self._live, self._streamer = live, streamer
        self._viewer = 0

    def take(self) -> None:
        (sandbox,) = self._live.node.sandboxes
        with closing(Sandbox.connect(sandbox)) as desktop:
            token = desktop.stream.get_url(name="Ada").partition("#token=")[2]
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
            path = f"{self._live.url}/v1/sandboxes/{sandbox}/stream/whep"
            assert httpx.post(path, content="v=0", headers=headers).status_code == 201
            self._viewer = self._streamer.asked("viewer.offer")[-1]["viewer"]
            self._streamer.emit("viewer.message", viewer=self._viewer, message={"t": "lease", "want": "take"})
            until(lambda: desktop.control.get().holder == "viewer")

    def give(self) -> None:
        self._streamer.emit("viewer.message", viewer=self._viewer, message={"t": "lease", "want": "give"})


def test_a_person_who_drives_keeps_the_desktop(
    live: Live, streamer: FakeStreamer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    person, given = Person(live, streamer), threading.Event()
    given_at_its_end: list[bool] = []
    page = tmp_path / "kept" / "index.html"

    async def killed() -> None:
        given_at_its_end.append(given.is_set())

    live.node.before["kill"] = killed

    def taken(answer: dict[str, Any]) -> Any:
        def answering(_: dict[str, Any]) -> dict[str, Any]:
            person.take()
            return answer

        return answering

    def drives_twice() -> None:
        until(lambda: live.node.calls.count("set_timeout") == 1, "the desktop to live on")
        (box,) = live.node.sandboxes.values()
        assert box.info.expires_at is not None
        assert box.info.expires_at - box.info.created_at > TAKE_OVER_S + 1000
        assert not box.acted
        person.give()
        until(lambda: page.exists() and "the model is done" in page.read_text(), "the model's end")
        until(lambda: live.node.calls.count("set_timeout") == 2, "the desktop to live on once more")
        given.set()
        person.give()

    script = [taken(claude(member(1, "mouse_move", coordinate=[30, 40]))), taken(claude(TEXT))]
    with ThreadPoolExecutor(1) as pool:
        driving = pool.submit(drives_twice)
        code = run(monkeypatch, "anthropic", script, tmp_path / "kept", None)
        driving.result(30)
    assert code == 0
    assert given_at_its_end == [True]


def test_the_time_in_which_a_person_drives_is_not_the_agents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = [0.0]
    monkeypatch.setattr(agent, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Desktop:
        waited_s = 0.0

        def screenshot(self, _: str) -> bytes:
            return b"jpeg"

    class Waits:
        def step(self) -> Step:
            now[0] += 1004.0
            desktop.waited_s += 1000.0
            return Step("", [{"name": "left_click"}], 1.0, 1003.0)

    desktop: Any = Desktop()
    trajectory = Trajectory(tmp_path, "wait")
    outcome, code = agent.work(Waits(), desktop, trajectory, steps=9, seconds=10.0)
    assert (outcome, code) == ("stopped: 10 s are over", 1)
    assert now[0] == 3 * 1004.0, "the third step ended at 12 s of its own"
