"""Terminals, background commands and ports over HTTP and WebSocket."""

from __future__ import annotations

import json

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from desktop_sandbox import errors
from desktop_sandbox.api import sockets
from tests.api.test_routes import problem, wait_for
from tests.live_server import Live


def socket(live: Live, path: str, **more: object) -> ClientConnection:
    options = {"additional_headers": live.headers, **more}
    return connect(live.url.replace("http", "ws", 1) + path, proxy=None, open_timeout=20, **options)


def said(ws: ClientConnection) -> dict[str, object]:
    message = ws.recv(timeout=20)
    assert isinstance(message, str), message
    return json.loads(message)


def refused(ws: ClientConnection, code: int, slug: str) -> None:
    message = said(ws)
    assert (message["t"], message["problem"]["type"]) == ("problem", f"urn:desktop-sandbox:problem:{slug}")
    with pytest.raises(ConnectionClosed):
        ws.recv(timeout=20)
    assert ws.close_code == code


@pytest.fixture
def terminal(http: httpx.Client, box: str) -> str:
    answer = http.post(f"{box}/terminals", json={"rows": 30, "columns": 100, "user": "root"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_life_of_a_terminal(http: httpx.Client, live: Live, box: str, terminal: str) -> None:
    info = http.get(f"{box}/terminals/{terminal}").json()
    assert (info["rows"], info["columns"], info["running"], info["user"]) == (30, 100, True, "root")
    assert http.get(f"{box}/terminals").json() == {"jobs": [info]}
    assert http.get(f"{box}/jobs").json() == {"jobs": []}
    problem(http.get(f"{box}/jobs/{terminal}"), 404, "not-found")
    assert http.put(f"{box}/terminals/{terminal}/size", json={"rows": 5, "columns": 6}).status_code == 204
    assert http.get(f"{box}/terminals/{terminal}").json()["columns"] == 6
    problem(http.put(f"{box}/terminals/{terminal}/size", json={"rows": 0, "columns": 6}), 422, "invalid-request")
    assert http.delete(f"{box}/terminals/{terminal}").status_code == 204
    info = http.get(f"{box}/terminals/{terminal}").json()
    assert (info["running"], info["exit_code"], info["signal"]) == (False, 143, 15)
    problem(http.delete(f"{box}/terminals/term-000000000000"), 404, "not-found")
    problem(http.get(f"{box}/terminals/x"), 422, "invalid-request")


def test_life_of_a_background_command(http: httpx.Client, live: Live, box: str) -> None:
    made = http.post(f"{box}/jobs", json={"command": "make", "cwd": "/tmp", "timeout": 60}).json()
    assert (made["command"], made["rows"]) == (["/bin/bash", "-c", "make"], None)
    assert http.get(f"{box}/jobs").json()["jobs"] == [made]
    assert http.get(f"{box}/terminals").json()["jobs"] == []
    assert http.post(f"{box}/jobs/{made['id']}/signal", json={"signal": 2}).status_code == 204
    job = next(iter(live.node.fake_jobs.values()))
    assert job.signals == [2]
    assert (job.spec.timeout_s, job.spec.stdin, job.spec.cwd) == (60, False, "/tmp")
    assert http.delete(f"{box}/jobs/{made['id']}").status_code == 204
    problem(http.post(f"{box}/jobs", json={"command": ["/no/such"]}), 404, "not-found")
    problem(http.post(f"{box}/jobs", json={}), 422, "invalid-request")
    problem(http.post(f"{box}/jobs/{made['id']}/signal", json={"signal": 99}), 422, "invalid-request")


def test_a_repeated_start_starts_one(http: httpx.Client, live: Live, box: str) -> None:
    made = [
        http.post(f"{box}/jobs", json={"command": "x"}, headers={"Idempotency-Key": "one"}).json() for _ in range(2)
    ]
    assert made[0]["id"] == made[1]["id"]
    assert len(live.node.fake_jobs) == 1


def test_typing_and_coming_back(http: httpx.Client, live: Live, box: str, terminal: str) -> None:
    path = f"{box}/terminals/{terminal}/connect"
    with socket(live, path) as ws:
        attached = said(ws)
        assert (attached["t"], attached["offset"], attached["job"]["id"]) == ("attached", 0, terminal)
        assert ws.recv(timeout=20) == b"ready\n"
        ws.send(b"ls\n")
        assert ws.recv(timeout=20) == b"ls\n"
        ws.send(json.dumps({"t": "resize", "rows": 50, "columns": 132}))
        ws.send(json.dumps({"t": "signal", "signal": 10}))
        job = live.node.fake_jobs[box.rpartition("/")[2], terminal]
        wait_for(lambda: (job.sizes, job.signals) == ([(50, 132)], [10]))
    wait_for(lambda: live.node.attached == 0)
    with socket(live, path) as one, socket(live, f"{path}?after=6&input=0") as other:
        assert (said(one)["offset"], said(other)["offset"]) == (0, 6)
        assert one.recv(timeout=20) == b"ready\nls\n"
        assert other.recv(timeout=20) == b"ls\n"
        one.send(b"exit 3")
        for each in (one, other):
            ended = said(each)
            assert (ended["t"], ended["job"]["exit_code"], ended["job"]["running"]) == ("ended", 3, False)
            with pytest.raises(ConnectionClosed):
                each.recv(timeout=20)
            assert each.close_code == 1000


def test_streams_of_a_background_command(http: httpx.Client, live: Live, box: str) -> None:
    made = http.post(f"{box}/jobs", json={"command": "cat", "stdin": True}).json()
    with socket(live, f"{box}/jobs/{made['id']}/connect") as ws:
        said(ws)
        assert ws.recv(timeout=20) == b"\1ready\n"
        ws.send(json.dumps({"t": "eof"}))
        assert ws.recv(timeout=20) == b"\1end of input\n"
        ws.send(b"too late")


def test_what_is_refused(http: httpx.Client, live: Live, box: str, terminal: str) -> None:
    path = f"{box}/terminals/{terminal}/connect"
    for query in ("after=x", "after=-1", "after=" + "9" * 30):
        with socket(live, f"{path}?{query}") as ws:
            refused(ws, 4422, "invalid-request")
    for message in ("no json", "[]", '{"t": "resize", "rows": 0, "columns": 1}', '{"t": "dance"}', "{}"):
        with socket(live, path) as ws:
            said(ws)
            ws.recv(timeout=20)
            ws.send(message)
            refused(ws, 4422, "invalid-request")
    with socket(live, f"{box}/terminals/term-000000000000/connect") as ws:
        refused(ws, 4404, "not-found")
    with socket(live, path, additional_headers={"Authorization": "Bearer wrong"}) as ws:
        refused(ws, 4401, "authentication")
    with socket(live, path, additional_headers={**live.headers, "Origin": "http://evil.example"}) as ws:
        refused(ws, 4403, "not-allowed")
    with socket(live, path, additional_headers={}) as ws:
        ws.send("hello")
        refused(ws, 4401, "authentication")
    with socket(live, path, additional_headers={}) as ws:
        ws.send(json.dumps({"t": "auth", "token": live.key}))
        assert said(ws)["t"] == "attached"
    token = http.post(f"{box}/tokens", json={"rights": "control", "ttl": 60}).json()["token"]
    with socket(live, path, additional_headers={"Authorization": f"Bearer {token}"}) as ws:
        refused(ws, 4403, "not-allowed")


def test_a_machine_that_goes_away_is_told(http: httpx.Client, live: Live, box: str, terminal: str) -> None:
    live.node.fail["attach_job"] = errors.ChannelError("the machine is gone", hint="resume it")
    with socket(live, f"{box}/terminals/{terminal}/connect") as ws:
        refused(ws, 4000 + errors.ChannelError.status, "channel")


def test_ports(http: httpx.Client, live: Live, box: str) -> None:
    with socket(live, f"{box}/ports/8080/connect") as ws:
        assert said(ws) == {"t": "connected"}
        assert ws.recv(timeout=20) == b"hello "
        ws.send(b"you")
        assert ws.recv(timeout=20) == b"you"
        ws.send(json.dumps({"t": "eof"}))
        assert said(ws) == {"t": "eof"}
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=20)
        assert ws.close_code == 1000
    with socket(live, f"{box}/ports/81/connect") as ws:
        refused(ws, 4404, "not-found")
    for port in ("0", "70000", "x"):
        with socket(live, f"{box}/ports/{port}/connect") as ws:
            refused(ws, 4422, "invalid-request")


async def test_who_sends_to_what_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        async def receive(self) -> dict[str, object]:
            return {"type": "websocket.receive", "bytes": b"x"}

    monkeypatch.setattr(sockets, "STALL_S", 0.05)
    with pytest.raises(errors.DeadlineError, match="not read"):
        await sockets.Inward().receive(Client(), None)  # type: ignore[arg-type]
