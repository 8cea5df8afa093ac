"""A batch over HTTP: cancelled by the key of its request, stopped by its deadline, and told about however it ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from actions.model import Action, Click
from desktop_sandbox import errors
from desktop_sandbox.api import keys
from desktop_sandbox.api.acting import Acting
from desktop_sandbox.api.desktop_models import RunActions
from desktop_sandbox.node.batches import stopped
from desktop_sandbox.node.facts import BatchResult, Screenshot, ScreenshotSpec
from desktop_sandbox.node.halt import Halt
from tests.live_server import Live

CLICK = {"actions": [{"type": "click", "x": 4, "y": 5}]}
TYPE = {"actions": [{"type": "click", "x": 4, "y": 5}, {"type": "type", "text": "x" * 500}]}
PICTURE = Screenshot(b"p", "image/png", 1, 1, True)


class Typing:
    """A node's `act` that types a character each 10 ms until it is halted."""

    def __init__(self, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Event()
        self.calls = 0
        monkeypatch.setattr(live.node, "act", self.act)

    async def act(self, sandbox_id: str, actions: Sequence[Action], *, halt: Halt, **more: Any) -> BatchResult:
        self.calls += 1
        self.begun.set()
        typed = 0
        try:
            async with halt.block():
                while typed < 500:
                    await asyncio.sleep(0.01)
                    typed += 1
        except TimeoutError:
            failed = stopped(1, "cancelled", f"typing was cancelled after {typed} characters", None)
            return BatchResult([{}], {**failed, "partial": {"typed": typed}}, {})
        return BatchResult([{}, {"typed": typed}], None, {})


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def post(live: Live, path: str, body: dict[str, Any], key: str) -> httpx.Response:
    headers = {**live.headers, "Idempotency-Key": key}
    return httpx.post(live.url + path, json=body, headers=headers, verify=False, timeout=20)


def evidence(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert document["type"].endswith(slug)
    found: dict[str, Any] = document["evidence"]
    return found


@pytest.mark.parametrize("key", ["k", "a/b%c?d#e"])
def test_a_batch_is_cancelled_by_its_key_and_says_how_far_it_came(
    live: Live, http: httpx.Client, box: str, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    typing = Typing(live, monkeypatch)
    asked: Future[httpx.Response] = pool.submit(post, live, f"{box}/actions", TYPE, key)
    joined = pool.submit(post, live, f"{box}/actions", TYPE, key)
    assert typing.begun.wait(10)
    time.sleep(0.1)
    begun = time.monotonic()
    quoted = httpx.URL("/", params={"k": key}).query.decode().removeprefix("k=").replace("+", "%20")
    gone = http.delete(f"{box}/actions/{quoted}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert time.monotonic() - begun < 2
    told = evidence(asked.result(), 422, "action-failed")
    assert (told["code"], told["index"], told["results"]) == ("cancelled", 1, [{}])
    assert 0 < told["partial"]["typed"] < 500
    assert joined.result().content == asked.result().content
    again = post(live, f"{box}/actions", TYPE, key)
    assert again.content == asked.result().content
    assert again.headers["idempotency-replayed"] == "true"
    assert typing.calls == 1
    assert http.delete(f"{box}/actions/{quoted}").status_code == 404  # it is over


def test_only_a_batch_of_that_sandbox_is_cancelled(
    live: Live, http: httpx.Client, box: str, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    typing = Typing(live, monkeypatch)
    asked = pool.submit(post, live, f"{box}/actions", TYPE, "k")
    assert typing.begun.wait(10)
    other = http.post("/v1/sandboxes", json={}).json()["id"]
    evidence(http.delete(f"/v1/sandboxes/{other}/actions/k"), 404, "not-found")
    hold, entered = threading.Event(), threading.Event()

    async def before() -> None:
        entered.set()
        await asyncio.get_running_loop().run_in_executor(None, hold.wait, 10)

    live.node.before["launch"] = before
    launch = pool.submit(post, live, f"{box}/launch", {"app": "xterm"}, "l")
    assert entered.wait(10)
    evidence(http.delete(f"{box}/actions/l"), 404, "not-found")
    hold.set()
    assert launch.result().status_code == 200
    assert asked.result().json()["results"] == [{}, {"typed": 500}]


def test_a_cancel_that_overtakes_its_batch_counts(live: Live, http: httpx.Client, box: str) -> None:
    evidence(http.delete(f"{box}/actions/k"), 404, "not-found")
    told = evidence(post(live, f"{box}/actions", CLICK, "k"), 422, "action-failed")
    assert (told["code"], told["results"]) == ("cancelled", [])
    evidence(post(live, f"{box}/actions", CLICK, "k"), 422, "action-failed")
    assert live.node.calls.count("act") == 0
    assert post(live, f"{box}/actions", CLICK, "another").status_code == 200


def test_so_many_overtaken_are_kept_and_no_more(
    live: Live, http: httpx.Client, box: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MOST_UNWANTED", 2)
    for key in ("k1", "k2", "k3"):
        http.delete(f"{box}/actions/{key}")
    assert [post(live, f"{box}/actions", CLICK, key).status_code for key in ("k1", "k2", "k3")] == [200, 422, 422]


def test_a_batch_that_does_not_stop_is_said_to_be_running(
    live: Live, http: httpx.Client, box: str, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "STOP_SECONDS", 0.2)
    hold, entered = threading.Event(), threading.Event()

    async def act(sandbox_id: str, actions: Any, **more: Any) -> BatchResult:
        entered.set()
        await asyncio.get_running_loop().run_in_executor(None, hold.wait, 10)
        return BatchResult([{}], None, {})

    monkeypatch.setattr(live.node, "act", act)
    asked = pool.submit(post, live, f"{box}/actions", CLICK, "k")
    assert entered.wait(10)
    evidence(http.delete(f"{box}/actions/k"), 504, "deadline")
    hold.set()
    assert asked.result().json()["results"] == [{}]


def acting(views: Any, node: Any, eyes: Any = None, **body: Any) -> Acting:
    the: Any = SimpleNamespace(views=views, node=node, eyes=eyes)
    return Acting(the, "sb", [Click(1, 1)], "b", RunActions(actions=[{"type": "click"}], **body))


async def test_who_waits_for_a_person_to_give_back_control_can_be_cancelled() -> None:
    class Held:
        async def as_agent(self, sandbox_id: str, work: Any, wait_s: float, stop: Any) -> Any:
            await asyncio.sleep(wait_s)

    job = acting(Held(), None, wait_for_control=60)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(caught(job))
        await asyncio.sleep(0.05)
        job.halt.ask()
    assert (asked.result().evidence["code"], asked.result().evidence["results"]) == ("cancelled", [])


async def caught(job: Acting) -> errors.ActionFailedError:
    with pytest.raises(errors.ActionFailedError) as caught:
        await job.work()
    return caught.value


class Driving:
    """Nobody else drives; all is done at once."""

    def __init__(self) -> None:
        self.looks = 0
        self.fails: Exception | None = None

    async def as_agent(self, sandbox_id: str, work: Any, wait_s: float, stop: Any) -> Any:
        return await work()

    async def act(self, sandbox_id: str, actions: Any, **more: Any) -> BatchResult:
        return BatchResult([{}], None, {})


async def test_a_cancel_while_it_looks_for_changes_does_not_hide_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watch:
        def __init__(self, *_: Any) -> None: ...

        async def begin(self) -> None: ...

        async def end(self) -> Any:
            await asyncio.sleep(60)

    monkeypatch.setattr("desktop_sandbox.api.acting.ActWatch", Watch)
    job = acting(Driving(), Driving(), changes=True)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(caught(job))
        await asyncio.sleep(0.05)
        job.halt.ask()
    told = asked.result().evidence
    assert (told["code"], told["index"], told["results"]) == ("cancelled", None, [{}])


def test_changes_that_cannot_be_looked_at_do_not_hide_what_was_done(live: Live, http: httpx.Client, box: str) -> None:
    async def gone() -> None:
        if live.node.calls.count("frame") > 1:
            raise errors.ConflictError("it was ended", hint="make a new one")

    live.node.before["frame"] = gone
    answer = http.post(f"{box}/actions", json={**CLICK, "changes": True})
    told = evidence(answer, 422, "action-failed")
    assert (told["code"], told["index"], told["results"]) == ("conflict", None, [{}])
    assert answer.json()["detail"].startswith("all of it was done")


@pytest.mark.parametrize("changes", [False, True])
def test_a_picture_that_cannot_be_is_refused_before_anything_is_done(
    live: Live, http: httpx.Client, box: str, changes: bool
) -> None:
    body = {**CLICK, "screenshot": {"stable": 6000}, "changes": changes}
    evidence(http.post(f"{box}/actions", json=body), 422, "invalid-request")
    assert live.node.sandboxes[box.rpartition("/")[2]].acted == []


def test_a_deadline_is_told_with_what_was_done_and_told_again(
    live: Live, box: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[ScreenshotSpec | None] = []

    async def act(sandbox_id: str, actions: Any, *, screenshot: ScreenshotSpec | None, **more: Any) -> BatchResult:
        calls.append(screenshot)
        raise errors.DeadlineError(
            "the batch took longer than 2 s",
            index=2,
            code="deadline",
            partial={"typed": 3},
            results=[{}, {}],
            screenshots={1: PICTURE},
            screenshot=None,
        )

    monkeypatch.setattr(live.node, "act", act)
    first = post(live, f"{box}/actions", CLICK, "k")
    told = evidence(first, 504, "deadline")
    assert (told["index"], told["partial"], told["results"]) == (2, {"typed": 3}, [{}, {}])
    assert told["screenshots"]["1"]["data"] == "cA=="
    assert post(live, f"{box}/actions", CLICK, "k").content == first.content
    assert len(calls) == 1
