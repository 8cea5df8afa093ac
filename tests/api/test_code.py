"""Code that keeps its state, over HTTP: contexts, what code says whole and streamed, interrupts, restarts, deaths."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.api.test_routes import problem, wait_for
from tests.fake_code import PICTURE
from tests.live_server import Live


def run(http: httpx.Client, box: str, code: str, **more: Any) -> dict[str, Any]:
    answer = http.post(f"{box}/code/run", json={"code": code, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@contextmanager
def running(http: httpx.Client, box: str, code: str, **more: Any) -> Iterator[list[dict[str, Any]]]:
    """Run code in a thread: what it ended as is in the list afterwards."""
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(run(http, box, code, **more)))
    thread.start()
    yield found
    thread.join(20)
    assert found


def waits(live: Live, context: str) -> bool:
    return any(job.info.id == context and job.waiting for job in live.node.fake_jobs.values())  # type: ignore[attr-defined]


def test_state_is_kept_and_contexts_are_apart(http: httpx.Client, box: str) -> None:
    first = run(http, box, "set 42")
    assert first == {
        "status": "ok", "results": [], "stdout": "", "stderr": "", "error": None, "count": 1,
        "context": first["context"],
    }  # fmt: skip
    assert run(http, box, "get")["results"] == [{"data": {"text/plain": "42"}, "main": True}]
    other = http.post(f"{box}/code/contexts", json={"language": "python", "env": {"A": "b"}, "cwd": "/tmp"})
    assert other.status_code == 201
    assert run(http, box, "get", context=other.json()["id"])["results"][0]["data"] == {"text/plain": ""}
    assert run(http, box, "get", language="bash")["context"] not in (first["context"], other.json()["id"])
    listed = http.get(f"{box}/code/contexts").json()["contexts"]
    assert [(each["language"], each["running"]) for each in listed] == [
        ("python", True), ("python", True), ("bash", True),
    ]  # fmt: skip
    assert http.get(f"{box}/jobs").json() == {"jobs": []}, "contexts are no background commands"


def test_all_that_code_says(http: httpx.Client, box: str) -> None:
    assert run(http, box, "say héllo")["stdout"] == "héllo"
    assert run(http, box, "warn oh")["stderr"] == "oh"
    (shown,) = run(http, box, "show")["results"]
    assert base64.b64decode(shown["data"]["image/png"]) == PICTURE
    assert shown["data"]["application/vnd.dataresource+json"] == {"data": [{"a": 1}]}
    raised = run(http, box, "raise")
    assert (raised["status"], raised["error"]) == (
        "error", {"name": "ValueError", "value": "no", "traceback": "one\ntwo"},
    )  # fmt: skip
    assert run(http, box, "wait", timeout=1)["status"] == "timeout"
    assert run(http, box, "die")["status"] == "died"


def test_a_stream_says_it_line_by_line(http: httpx.Client, box: str) -> None:
    with http.stream("POST", f"{box}/code/run", json={"code": "flood 3", "stream": True}) as answer:
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in answer.iter_lines()]
    assert [line.get("stream") for line in lines] == ["stdout"] * 3 + [None]
    assert lines[-1]["status"] == "ok"


def test_too_much_for_a_whole_answer(http: httpx.Client, box: str) -> None:
    problem(http.post(f"{box}/code/run", json={"code": "flood 17000"}, timeout=60), 502, "guest")
    assert run(http, box, "say on")["stdout"] == "on"


def test_interrupt_and_restart(http: httpx.Client, live: Live, box: str) -> None:
    context = run(http, box, "set 1")["context"]
    place = f"{box}/code/contexts/{context}"
    assert http.post(f"{place}/interrupt").status_code == 204
    with running(http, box, "wait") as found:
        wait_for(lambda: waits(live, context))
        assert http.post(f"{place}/interrupt").status_code == 204
    assert found[0]["status"] == "interrupted"
    assert run(http, box, "get")["results"][0]["data"] == {"text/plain": "1"}
    with running(http, box, "wait") as found:
        wait_for(lambda: waits(live, context))
        assert http.post(f"{place}/restart").status_code == 204
    assert found[0]["status"] == "restarted"
    assert run(http, box, "get")["results"][0]["data"] == {"text/plain": ""}
    assert http.post(f"{place}/restart").status_code == 204


def test_a_context_that_ended_is_replaced_where_it_was_the_languages_own(http: httpx.Client, box: str) -> None:
    context = run(http, box, "set 1")["context"]
    assert http.delete(f"{box}/code/contexts/{context}").status_code == 204
    problem(http.post(f"{box}/code/run", json={"code": "get", "context": context}), 409, "conflict")
    again = run(http, box, "get")
    assert again["context"] != context
    assert again["results"][0]["data"] == {"text/plain": ""}


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"code": ""}, 422, "invalid-request"),
        ({"code": "x", "langauge": "python"}, 422, "invalid-request"),
        ({"code": "x", "language": "../etc"}, 422, "invalid-request"),
        ({"code": "x", "context": "job-0123456789ab"}, 422, "invalid-request"),
        ({"code": "x", "context": "code-0123456789ab"}, 404, "not-found"),
        ({"code": "x", "language": "cobol"}, 422, "invalid-request"),
    ],
)
def test_what_cannot_be_run(http: httpx.Client, box: str, body: dict[str, Any], status: int, slug: str) -> None:
    problem(http.post(f"{box}/code/run", json=body), status, slug)


def test_the_same_key_runs_once(http: httpx.Client, box: str) -> None:
    key = {"Idempotency-Key": "0123456789abcdef"}
    first = http.post(f"{box}/code/run", json={"code": "say a"}, headers=key)
    assert http.post(f"{box}/code/run", json={"code": "say a"}, headers=key).json() == first.json()
    assert run(http, box, "say b")["count"] == 2
