"""Links, control, clipboard and recordings through the SDK and the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from desktop_sandbox import AsyncSandbox, ConflictError, ControlHeldError, DeadlineError, NotFoundError, Sandbox
from desktop_sandbox.cli.app import app
from tests.live_server import Live, serving
from tests.stream.fake_streamer import FakeStreamer, until


@pytest.fixture
def streamer() -> FakeStreamer:
    return FakeStreamer()


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamer: FakeStreamer) -> Iterator[Live]:
    with serving(tmp_path, launch=streamer.launch) as server:
        monkeypatch.setenv("DESKTOP_SANDBOX_URL", server.url)
        monkeypatch.setenv("DESKTOP_SANDBOX_API_KEY", server.key)
        yield server


def drive(live: Live, streamer: FakeStreamer, desktop: Sandbox, url: str) -> int:
    """Somebody opens the link and takes control."""
    token = url.partition("#token=")[2]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    path = f"{live.url}/v1/sandboxes/{desktop.sandbox_id}/stream/whep"
    assert httpx.post(path, content="v=0", headers=headers).status_code == 201
    number: int = streamer.asked("viewer.offer")[-1]["viewer"]
    streamer.emit("viewer.message", viewer=number, message={"t": "lease", "want": "take"})
    until(lambda: desktop.control.get().holder == "viewer")
    return number


def test_links_are_made_and_revoked(live: Live, streamer: FakeStreamer) -> None:
    with Sandbox.create() as desktop:
        assert desktop.stream.get_url(view_only=True).startswith(f"{live.url}/view/{desktop.sandbox_id}#token=dst_")
        token = desktop.stream.create_token(name="Ada", ttl=60)
        assert (token.rights, token.name) == ("control", "Ada")
        assert token.token not in repr(token)
        desktop.stream.revoke(token)
        with pytest.raises(NotFoundError):
            desktop.stream.revoke("0" * 16)


def test_an_agent_meets_a_person(live: Live, streamer: FakeStreamer) -> None:
    with Sandbox.create() as desktop:
        assert desktop.control.get().holder == "agent"
        number = drive(live, streamer, desktop, desktop.stream.get_url(name="Ada"))
        with pytest.raises(ControlHeldError, match="Ada drives") as caught:
            desktop.left_click(1, 2)
        assert caught.value.evidence["name"] == "Ada"
        with pytest.raises(DeadlineError):
            desktop.control.wait(timeout=0.2)
        with pytest.raises(ConflictError):
            desktop.control.give()
        forbidden: list[Callable[[], object]] = [
            lambda: desktop.launch("xterm"),
            lambda: desktop.open("https://example.org"),
            lambda: desktop.set_screen_size(800, 600),
            lambda: desktop.clipboard.set("x"),
        ]
        for call in forbidden:
            with pytest.raises(ControlHeldError):
                call()
        desktop.wait_for_control = 20
        with ThreadPoolExecutor() as threads:
            waiting = [threads.submit(call) for call in forbidden]
            time.sleep(0.3)
            assert not any(each.done() for each in waiting)
            streamer.emit("viewer.message", viewer=number, message={"t": "lease", "want": "give"})
            for each in waiting:
                each.result(20)
        assert desktop.control.wait(timeout=10).holder == "agent"
        desktop.left_click(1, 2)
        assert desktop.control.give().holder == "none"
        desktop.left_click(1, 2)
        assert desktop.control.get().holder == "agent"
        drive(live, streamer, desktop, desktop.stream.get_url())
        assert desktop.control.take().holder == "agent"


async def test_the_clipboard_and_recordings(live: Live, streamer: FakeStreamer) -> None:
    streamer.answers["record.stop"] = {"frames": 3, "duration_ms": 1500}
    async with await AsyncSandbox.create() as desktop:
        await desktop.clipboard.set("héllo")
        assert await desktop.clipboard.get() == "héllo"
        begun = await desktop.recordings.start(cursor=False)
        done = await desktop.recordings.stop()
        assert (begun.id, begun.state, done.state, done.duration_ms) == (done.id, "recording", "done", 1500)
        assert await desktop.recordings.list() == [done]
        assert await desktop.recordings.read(done) == b"an mp4"
        assert b"".join([chunk async for chunk in await desktop.recordings.read(done.id, "stream")]) == b"an mp4"
        await desktop.recordings.remove(done)
        assert await desktop.recordings.list() == []


def test_the_command_line(live: Live, streamer: FakeStreamer, tmp_path: Path) -> None:
    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == code, result.output
        return result.output

    with Sandbox.create() as desktop:
        box = desktop.sandbox_id
        assert f"{live.url}/view/{box}#token=" in run("view", box, "--view-only")
        token = json.loads(run("view", box, "--name", "Ada", "--json"))
        assert token["rights"] == "control"
        drive(live, streamer, desktop, token["url"])
        assert run("control", box).startswith("Ada drives")
        assert run("control", box, "take").startswith("the agent drives")
        assert json.loads(run("control", box, "give", "--json"))["holder"] == "none"
        run("control", box, "grab", code=2)
        run("view", box, "--revoke", token["id"])
        path = tmp_path / "out.mp4"
        run("record", box, str(path), "--seconds", "0")
        assert path.read_bytes() == b"an mp4"
        name = run("record", box, "--start").strip()
        assert json.loads(run("record", box, str(path), "--stop", "--json"))["id"] == name
        run("record", box, "--start", "--stop", code=2)
