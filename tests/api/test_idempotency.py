from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from desktop_sandbox import errors
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.key_store import KeyStore
from desktop_sandbox.node.facts import SandboxState
from tests.fake_node import FakeNode
from tests.live_server import Live, serving

CLICK = {"actions": [{"type": "click", "x": 4, "y": 5}]}


def acted(live: Live, box: str) -> int:
    return len(live.node.sandboxes[box.rsplit("/", maxsplit=1)[-1]].acted)


def send_and_cut(live: Live, method: str, path: str, body: dict[str, object], key: str, *, when) -> None:
    """Send a request, wait until the node is at work on it, and reset the connection before any answer."""
    parts = urlsplit(live.url)
    data = json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {live.key}\r\nIdempotency-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    link = socket.create_connection((parts.hostname, parts.port))
    link.sendall(head.encode() + data)
    when()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close sends a reset
    link.close()


class Hold:
    """Stops the node inside a method until `go`, seen from the test's thread."""

    def __init__(self, live: Live, method: str) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()

        async def before() -> None:
            self.entered.set()
            await asyncio.get_running_loop().run_in_executor(None, self.go.wait, 10)

        live.node.before[method] = before

    def wait(self) -> None:
        assert self.entered.wait(10)


@pytest.mark.parametrize("repeat_while_running", [True, False])
@pytest.mark.parametrize(("method", "path", "body"), [
    ("act", "{box}/actions", CLICK),
    ("create", "/v1/sandboxes", {"metadata": {"cut": "yes"}}),
    ("launch", "{box}/launch", {"app": "xterm"}),
    ("run_command", "{box}/commands", {"command": "echo once"}),
])  # fmt: skip
def test_a_connection_cut_between_doing_and_answering_does_it_once(
    live: Live,
    http: httpx.Client,
    box: str,
    method: str,
    path: str,
    body: dict[str, object],
    repeat_while_running: bool,
) -> None:
    path = path.format(box=box)
    hold = Hold(live, method)
    before = live.node.calls.count(method)
    send_and_cut(live, "POST", path, body, "one-key", when=hold.wait)
    headers = {"Idempotency-Key": "one-key"}
    if repeat_while_running:
        threading.Timer(0.2, hold.go.set).start()
    else:
        hold.go.set()
        time.sleep(0.3)
    headers["Content-Type"] = "application/json"
    answers = [http.post(path, content=json.dumps(body).encode(), headers=headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert len({answer.content for answer in answers}) == 1
    assert answers[-1].headers["idempotency-replayed"] == "true"
    assert live.node.calls.count(method) - before == 1
    if method == "act":
        assert acted(live, box) == 1
    if method == "create":
        assert len(http.get("/v1/sandboxes", params={"metadata": "cut=yes"}).json()["sandboxes"]) == 1


def test_repeats_at_the_same_time_join(live: Live, http: httpx.Client, box: str) -> None:
    hold = Hold(live, "act")
    answers: list[httpx.Response] = []

    def click() -> None:
        headers = {**live.headers, "Idempotency-Key": "k"}
        answers.append(httpx.post(live.url + box + "/actions", json=CLICK, headers=headers, verify=False))

    threads = [threading.Thread(target=click) for _ in range(6)]
    for thread in threads:
        thread.start()
    hold.wait()
    time.sleep(0.1)
    other = http.post(
        f"{box}/actions", json={"actions": [{"type": "wait", "duration_ms": 1}]}, headers={"Idempotency-Key": "k"}
    )
    assert other.status_code == 422
    hold.go.set()
    for thread in threads:
        thread.join(10)
    assert [answer.status_code for answer in answers] == [200] * 6
    assert acted(live, box) == 1


def test_the_same_key_for_something_else_is_refused(live: Live, http: httpx.Client, box: str) -> None:
    headers = {"Idempotency-Key": "k"}
    assert http.post(f"{box}/actions", json=CLICK, headers=headers).status_code == 200
    for answer in (
        http.post(f"{box}/actions", json={"actions": [{"type": "click", "x": 4, "y": 6}]}, headers=headers),
        http.post("/v1/sandboxes", json={}, headers=headers),
        http.delete(box, headers=headers),
        http.put(f"{box}/files", params={"path": "/tmp/x"}, content=b"x", headers=headers),
    ):
        assert answer.status_code == 422
        assert "was used for another request" in answer.json()["detail"]
    assert acted(live, box) == 1
    for bad in ("", "x" * 256, "a b"):
        assert http.post(f"{box}/actions", json=CLICK, headers={"Idempotency-Key": bad}).status_code == 422


def test_what_did_nothing_may_be_tried_again(live: Live, http: httpx.Client, box: str) -> None:
    headers = {"Idempotency-Key": "k"}
    live.node.fail["create"] = errors.CapacityError("full")
    assert http.post("/v1/sandboxes", json={}, headers=headers).status_code == 503
    del live.node.fail["create"]
    assert http.post("/v1/sandboxes", json={}, headers=headers).status_code == 201


@pytest.mark.parametrize("error", [errors.ChannelError("broke"), RuntimeError("boom")])
def test_an_unclear_outcome_is_told_again_and_never_tried_again(
    live: Live, http: httpx.Client, box: str, error: Exception
) -> None:
    headers = {"Idempotency-Key": "k"}
    live.node.fail["launch"] = error
    first = http.post(f"{box}/launch", json={"app": "xterm"}, headers=headers)
    del live.node.fail["launch"]
    second = http.post(f"{box}/launch", json={"app": "xterm"}, headers=headers)
    assert first.status_code == second.status_code >= 500
    assert first.content == second.content
    assert live.node.calls.count("launch") == 1


def test_a_sandbox_that_died_while_it_was_made_is_made_anew(live: Live, http: httpx.Client) -> None:
    first = http.post("/v1/sandboxes", json={}).json()["id"]
    live.node.keys["k"] = first
    live.node.sandboxes[first].info = replace(live.node.sandboxes[first].info, state=SandboxState.DEAD)
    answers = [http.post("/v1/sandboxes", json={}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json()["state"] == "running"
    assert answers[0].json() == answers[1].json()
    for key in ("d", "d#1", "d#2", "d#3"):
        live.node.keys[key] = first
    assert http.post("/v1/sandboxes", json={}, headers={"Idempotency-Key": "d"}).status_code == 409


def test_a_failed_batch_is_answered_the_same_again(live: Live, http: httpx.Client, box: str) -> None:
    body = {"actions": [{"type": "click", "x": 1, "y": 1}, {"type": "type", "text": "unmappable"}]}
    answers = [http.post(f"{box}/actions", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].content == answers[1].content
    assert acted(live, box) == 1


def test_an_upload_is_repeated_safely(live: Live, http: httpx.Client, box: str) -> None:
    put = lambda data: http.put(  # noqa: E731
        f"{box}/files", params={"path": "/tmp/x"}, content=data, headers={"Idempotency-Key": "k"}
    )
    first, second = put(b"abc" * 9999), put(b"abc" * 9999)
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert live.node.calls.count("write_file") == 1
    assert put(b"other").status_code == 422


def test_a_streamed_command_never_runs_twice(live: Live, http: httpx.Client, box: str) -> None:
    body = {"command": "echo hi", "stream": True}
    headers = {"Idempotency-Key": "k"}
    assert http.post(f"{box}/commands", json=body, headers=headers).status_code == 200
    again = http.post(f"{box}/commands", json=body, headers=headers)
    assert again.status_code == 409
    assert '"exit_code": 0' in again.json()["evidence"]["outcome"]
    assert live.node.calls.count("run_command") == 1


def test_answers_outlive_the_server(tmp_path: Path) -> None:
    node = FakeNode()
    headers = {"Idempotency-Key": "k"}
    answers = []
    for _ in range(2):
        with serving(tmp_path, node) as live:
            answers.append(
                httpx.post(live.url + "/v1/sandboxes", json={}, headers={**live.headers, **headers}, verify=False)
            )
            box = live.url + f"/v1/sandboxes/{answers[0].json()['id']}"
            shot = httpx.post(
                f"{box}/actions",
                json={**CLICK, "screenshot": True},
                headers={**live.headers, "Idempotency-Key": "a"},
                verify=False,
            ).json()
    assert answers[0].content == answers[1].content
    assert node.calls.count("create") == 1
    assert node.calls.count("act") == 1
    assert shot == {"results": [{}], "screenshots": {}, "screenshot": None}  # pictures are not kept on the disk


async def test_a_key_whose_server_died_in_the_middle_says_so_and_old_keys_expire(tmp_path: Path) -> None:
    store = await KeyStore.open(tmp_path / "k.db", seconds=100.0)
    assert await store.begin("k", b"d", 1000.0) is None
    for call in (lambda: store.begin("k", b"d", 1050.0), lambda: asyncio.to_thread(store.lookup, "k", b"d", 1050.0)):
        with pytest.raises(errors.ConflictError, match="is not known"):
            await call()
    assert await store.begin("k", b"other", 1101.0) is None
    await store.save("k", b"other", Answer(200, b"full", kept=b"small"), 1101.0)
    assert store.lookup("k", b"other", 1102.0) == Answer(200, b"small")
    with pytest.raises(errors.InvalidRequestError):
        store.lookup("k", b"d", 1102.0)
    await store.purge(1300.0)
    assert not store.knows("k", 1102.0)
    await store.close()


def test_shutdown_lets_running_work_end(tmp_path: Path) -> None:
    node = FakeNode()
    results: list[int] = []
    with serving(tmp_path, node) as live:
        hold = Hold(live, "create")

        def create() -> None:
            results.append(
                httpx.post(live.url + "/v1/sandboxes", json={}, headers=live.headers, verify=False).status_code
            )

        thread = threading.Thread(target=create)
        thread.start()
        hold.wait()
        threading.Timer(0.3, hold.go.set).start()
    thread.join(10)
    assert results == [201]
