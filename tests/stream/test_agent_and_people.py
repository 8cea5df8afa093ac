"""The agent beside people: what it may do while they drive, what is broken off, what it hears when a desktop ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from desktop_sandbox.node.batches import stopped
from desktop_sandbox.node.facts import BatchResult, SandboxState
from desktop_sandbox.node.halt import Halt
from desktop_sandbox.node.interface import NodeNews
from desktop_sandbox.stream import desk, views
from desktop_sandbox.stream import lease as lease_table
from tests.fake_screen import PNG
from tests.live_server import Live
from tests.stream.fake_streamer import FakeStreamer, until
from tests.stream.people import act, lease, notes, say, token, viewer


@pytest.fixture
def threads() -> ThreadPoolExecutor:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def take(live: Live, streamer: FakeStreamer, http: httpx.Client, box: str) -> int:
    """Somebody comes and drives."""
    number = viewer(live, streamer, box, token(http, box, name="Ada"))
    say(streamer, number, t="lease", want="take")
    until(lambda: lease(streamer, number)["holder"] == "you")
    return number


def long_act(live: Live) -> threading.Event:
    """Have the agent's batches take a minute; set once one has begun."""
    entered = threading.Event()

    async def long() -> None:
        entered.set()
        await asyncio.sleep(60)

    live.node.before["act"] = long
    return entered


def broken_off(answer: Future[httpx.Response]) -> bool:
    found = answer.result(10)
    return (found.status_code, found.json()["evidence"]["code"]) == (422, "control-held")


def test_what_the_agent_began_before_anyone_watched_is_broken_off(live, streamer, http, box, threads) -> None:
    entered = long_act(live)
    answer = threads.submit(act, http, box)
    assert entered.wait(10)
    began = time.monotonic()
    take(live, streamer, http, box)
    assert broken_off(answer)
    assert time.monotonic() - began < 5


def test_a_batch_that_is_broken_off_says_how_far_it_came(live, streamer, http, box, threads, monkeypatch) -> None:
    begun = threading.Event()

    async def typing(sandbox_id: str, actions: Any, *, halt: Halt, **more: Any) -> BatchResult:
        begun.set()
        try:
            async with halt.block():
                await asyncio.sleep(60)
        except TimeoutError:
            failed = stopped(1, "cancelled", "typing was cancelled after 7 characters", None)
        return BatchResult([{}], {**failed, "partial": {"typed": 7}}, {})

    monkeypatch.setattr(live.node, "act", typing)
    answer = threads.submit(act, http, box)
    assert begun.wait(10)
    take(live, streamer, http, box)
    assert broken_off(answer)
    problem = answer.result().json()
    told = {name: problem["evidence"][name] for name in ("index", "results", "partial", "holder", "name")}
    assert told == {"index": 1, "results": [{}], "partial": {"typed": 7}, "holder": "viewer", "name": "Ada"}
    assert problem["detail"] == "action 1 failed: a person took control: typing was cancelled after 7 characters"


def test_a_batch_that_does_not_stop_is_broken_off_all_the_same(live, streamer, http, box, threads, monkeypatch) -> None:
    begun = threading.Event()

    async def deaf(sandbox_id: str, actions: Any, **more: Any) -> BatchResult:
        begun.set()
        await asyncio.sleep(60)
        return BatchResult([{}], None, {})

    monkeypatch.setattr(live.node, "act", deaf)
    monkeypatch.setattr(desk, "STOPS_S", 0.2)
    answer = threads.submit(act, http, box)
    assert begun.wait(10)
    take(live, streamer, http, box)
    assert broken_off(answer)
    assert answer.result().json()["evidence"]["results"] == []


def test_a_desktop_where_the_agent_works_is_kept(live, streamer, http, box, threads, monkeypatch) -> None:
    monkeypatch.setattr(views, "UNWATCHED_S", 0.1)
    entered = long_act(live)
    answer = threads.submit(act, http, box)
    assert entered.wait(10)
    time.sleep(1.5)
    take(live, streamer, http, box)
    assert broken_off(answer)


def test_a_desktop_without_people_and_work_is_dropped(live, http, box, monkeypatch) -> None:
    monkeypatch.setattr(views, "UNWATCHED_S", 0.1)
    assert act(http, box).status_code == 200
    until(lambda: not live.app.state.services.views.desks, "the desk to be dropped")


@pytest.mark.parametrize("news", [NodeNews.ENDED, NodeNews.PAUSED])
def test_an_agent_that_waits_hears_of_the_end(live, streamer, http, box, threads, news, monkeypatch) -> None:
    monkeypatch.setattr(lease_table, "GRACE_S", 60.0)  # it is not by this that it hears of it
    take(live, streamer, http, box)
    answer = threads.submit(act, http, box, wait_for_control=60)
    with pytest.raises(TimeoutError):
        answer.result(0.3)
    name = box.rsplit("/", 1)[1]

    def end() -> None:
        state = SandboxState.DEAD if news is NodeNews.ENDED else SandboxState.PAUSED
        live.node._replace(name, state=state)
        live.node.tell(name, news, "its timeout ran out")

    live.loop.call_soon_threadsafe(end)
    found = answer.result(10)
    assert found.status_code == 409
    assert found.json()["evidence"]["state"] in ("dead", "paused")


# each changes the desktop, by the API key: a request, and what it does to the sandbox if it is let through
ASKS: dict[str, Callable[[httpx.Client, str, float], httpx.Response]] = {
    "launch": lambda http, box, wait: http.post(f"{box}/launch", json={"app": "xterm", "wait_for_control": wait}),
    "open": lambda http, box, wait: http.post(f"{box}/open", json={"target": "/tmp/a", "wait_for_control": wait}),
    "launch_window": lambda http, box, wait: http.post(
        f"{box}/launch/window", json={"app": "xterm", "wait_for_control": wait}
    ),
    "change_window": lambda http, box, wait: http.post(
        f"{box}/windows", json={"window": "files", "do": "activate", "wait_for_control": wait}
    ),
    "set_resolution": lambda http, box, wait: http.put(
        f"{box}/resolution", json={"width": 800, "height": 600, "wait_for_control": wait}
    ),
    "set_clipboard": lambda http, box, wait: http.put(f"{box}/clipboard", json={"text": "x", "wait_for_control": wait}),
    "set_clipboard_picture": lambda http, box, wait: http.put(
        f"{box}/clipboard/picture?wait_for_control={wait}", content=PNG, headers={"Content-Type": "image/png"}
    ),
}


@pytest.mark.parametrize("name", ASKS)
def test_what_changes_the_desktop_waits_for_who_drives(live, streamer, http, box, threads, name) -> None:
    number = take(live, streamer, http, box)
    refused = ASKS[name](http, box, 0)
    assert (refused.status_code, refused.json()["type"].endswith(":control-held")) == (409, True), refused.text
    called = {"launch_window": "launch", "change_window": "window activate"}.get(name, name)
    assert called not in live.node.calls
    answer = threads.submit(ASKS[name], http, box, 20)
    with pytest.raises(TimeoutError):
        answer.result(0.2)
    say(streamer, number, t="lease", want="give")
    assert answer.result(10).status_code in (200, 204), answer.result().text
    assert called in live.node.calls


def test_the_clipboard_is_the_persons_while_they_drive(live, streamer, http, box) -> None:
    take(live, streamer, http, box)
    link = {"Authorization": f"Bearer {token(http, box)}"}
    assert httpx.put(f"{live.url}{box}/clipboard", json={"text": "mine"}, headers=link).status_code == 204
    assert http.get(f"{box}/clipboard").json() == {"text": "mine"}


def test_text_that_is_too_long_is_not_passed_over_in_silence(live, streamer, http, box) -> None:
    number = take(live, streamer, http, box)
    name = box.rsplit("/", 1)[1]
    until(lambda: "clipboard_change" in live.node.calls)

    def copy(text: str) -> None:
        live.loop.call_soon_threadsafe(live.node.copy, name, text)

    for text in ("ä" * 140_000, "\n" * 140_000):  # short enough as characters, too long as what is sent
        before = len(streamer.told(number, "error"))
        copy(text)
        until(lambda before=before: len(streamer.told(number, "error")) > before, "the notice")
        assert streamer.told(number, "error")[-1]["code"] == "clipboard-too-long"
    assert not streamer.told(number, "clipboard")
    copy("short")
    until(lambda: streamer.told(number, "clipboard"))
    assert streamer.told(number, "clipboard") == [{"t": "clipboard", "text": "short"}]


def test_each_text_that_is_not_set_is_answered(live, streamer, http, box) -> None:
    from desktop_sandbox.errors import DeadlineError

    number = viewer(live, streamer, box, token(http, box))
    for n in (1, 2, 3):
        say(streamer, number, t="clipboard", text="not yet", n=n)
    until(lambda: len(streamer.told(number, "error")) == 3, "three refusals")
    assert [(told["n"], told["code"]) for told in streamer.told(number, "error")] == [
        (n, "not-in-control") for n in (1, 2, 3)
    ]
    say(streamer, number, t="lease", want="take")
    live.node.fail["set_clipboard"] = DeadlineError("no answer", hint="x")
    say(streamer, number, t="clipboard", text="now", n=4)
    until(lambda: len(streamer.told(number, "error")) == 4)
    assert (streamer.told(number, "error")[-1]["n"], streamer.told(number, "error")[-1]["code"]) == (4, "deadline")


def test_a_screen_that_cannot_be_read_is_shown_as_frozen(live, streamer, http, box) -> None:
    from desktop_sandbox.errors import DeadlineError

    number = viewer(live, streamer, box, live.key)

    def states(number: int) -> list[str]:
        return [told["state"] for told in streamer.told(number, "state")]

    live.node.fail["screen_source"] = DeadlineError("no answer", hint="x")
    streamer.emit("desktop.stale", sandbox=box.rsplit("/", 1)[1])
    until(lambda: states(number) == ["live", "frozen"])
    assert streamer.told(number, "state")[-1]["reason"]
    other = viewer(live, streamer, box, live.key)
    until(lambda: states(other) == ["frozen"])
    del live.node.fail["screen_source"]
    until(lambda: (states(number), states(other)) == (["live", "frozen", "live"], ["frozen", "live"]))


def test_a_recording_that_fails_by_itself_is_told(live, streamer, http, box) -> None:
    name: dict[str, Any] = http.post(f"{box}/recording", json={}).json()
    streamer.emit("recording.failed", sandbox=box.rsplit("/", 1)[1], reason="OSError: no space")
    until(lambda: http.get(f"{box}/recordings").json()["recordings"][0]["state"] == "broken")
    assert http.get(f"{box}/recordings").json()["recordings"][0]["reason"] == "OSError: no space"
    assert http.delete(f"{box}/recording").status_code == 409, "nothing is being recorded any more"
    until(lambda: len(notes(live, box, "recording")) == 2)
    ended = notes(live, box, "recording")[-1]
    assert (ended["did"], ended["recording"], ended["state"]) == ("ended", name["id"], "broken")
    assert http.post(f"{box}/recording", json={}).status_code == 201


def test_what_a_dead_media_process_recorded_is_noted_as_ended(live, streamer, http, box) -> None:
    first = http.post(f"{box}/recording", json={}).json()["id"]
    streamer.die()
    until(lambda: len(streamer.asked("record.start")) == 2)
    until(lambda: len(notes(live, box, "recording")) == 3)
    assert [(note["did"], note["recording"] == first) for note in notes(live, box, "recording")] == [
        ("started", True),
        ("ended", True),
        ("started", False),
    ]


def test_one_that_is_stopped_without_a_media_process_is_noted_as_ended(live, http, box, monkeypatch) -> None:
    http.post(f"{box}/recording", json={})
    monkeypatch.setattr(live.app.state.services.views.supervisor, "link_now", lambda: None)
    assert http.delete(f"{box}/recording").json()["state"] == "broken"
    until(lambda: len(notes(live, box, "recording")) == 2)
    assert notes(live, box, "recording")[-1]["did"] == "ended"
