from __future__ import annotations

import base64
import json
import logging
import threading
import time

import httpx
import pytest

from desktop_sandbox import errors
from desktop_sandbox.problem import MEDIA_TYPE
from tests.fake_node import FakeNode
from tests.fake_screen import PNG
from tests.live_server import KEY, Live


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    found = answer.json()
    assert found["type"] == f"urn:desktop-sandbox:problem:{slug}"
    assert found["status"] == status
    assert found["title"]
    assert found["detail"]
    assert found["instance"] == answer.request.url.path
    return found


def test_key_is_needed_and_compared(live: Live) -> None:
    with httpx.Client(base_url=live.url, verify=False) as http:
        found = problem(http.get("/v1/sandboxes"), 401, "authentication")
        assert "needs an API key" in str(found["detail"])
        assert http.get("/v1/sandboxes").headers["www-authenticate"].startswith("Bearer")
        for headers in (
            {"Authorization": "Bearer nope"}, {"Authorization": f"Basic {KEY}"}, {"X-API-Key": KEY + "x"},
            {"X-API-Key": ""}, {"Authorization": "Bearer"}, {"X-API-Key": "ä".encode("latin-1").decode("latin-1")},
        ):  # fmt: skip
            encoded = {name: value.encode("latin-1") for name, value in headers.items()}
            problem(http.get("/v1/sandboxes", headers=encoded), 401, "authentication")
        for headers in ({"Authorization": f"bearer {KEY}"}, {"X-API-Key": KEY}):
            assert http.get("/v1/sandboxes", headers=headers).status_code == 200
        assert http.get("/healthz").json()["status"] == "ok"
        assert http.get("/openapi.json").status_code == 200
        problem(http.get("/metrics"), 401, "authentication")


def test_the_frameworks_own_errors_are_problems(http: httpx.Client) -> None:
    problem(http.get("/nowhere"), 404, "not-found")
    answer = http.patch("/v1/sandboxes", json={})
    problem(answer, 405, "invalid-request")
    assert answer.headers["allow"]
    problem(
        http.post("/v1/sandboxes", content=b"{", headers={"content-type": "application/json"}), 422, "invalid-request"
    )
    problem(http.post("/v1/sandboxes", content=b"{}"), 415, "media-type")
    problem(http.post("/v1/sandboxes", data={"a": "b"}), 415, "media-type")
    found = problem(http.post("/v1/sandboxes", json={"resolution": {"width": 1}, "nope": 1}), 422, "invalid-request")
    assert len(found["evidence"]["errors"]) == 2  # type: ignore[index]
    bad = b'{"template": "\xff"}'
    assert http.post("/v1/sandboxes", content=bad, headers={"content-type": "application/json"}).status_code in (
        400,
        422,
    )


@pytest.mark.parametrize(
    "kind",
    [
        errors.CapacityError,
        errors.MachineError,
        errors.SnapshotMismatchError,
        errors.ChannelError,
        errors.DeadlineError,
    ],
)
def test_errors_of_the_node_are_told(http: httpx.Client, live: Live, kind: type[errors.DesktopSandboxError]) -> None:
    live.node.fail["create"] = kind("the machine is on fire", hint="put it out", serial=b"\xff\x00tail")
    answer = http.post("/v1/sandboxes", json={})
    assert answer.status_code == kind.status
    assert answer.json()["hint"] == "put it out"
    assert answer.json()["evidence"] == {"serial": base64.b64encode(b"\xff\x00tail").decode()}
    assert ("retry-after" in answer.headers) == (kind is errors.CapacityError)


@pytest.mark.parametrize("method", ["list", "create"])
def test_the_unexpected_tells_nothing_but_an_id_that_is_in_the_log(
    http: httpx.Client, live: Live, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    live.node.fail[method] = RuntimeError("secret inside")
    with caplog.at_level(logging.ERROR):
        answer = http.get("/v1/sandboxes") if method == "list" else http.post("/v1/sandboxes", json={})
    assert answer.status_code == 500
    assert answer.json()["type"].endswith(":server")
    assert "secret" not in answer.text
    assert answer.json()["evidence"]["reference"] in caplog.text
    assert "secret inside" in caplog.text


def test_body_limits_hold_while_reading(live: Live, http: httpx.Client, box: str) -> None:
    limit = live.config.max_body_bytes
    problem(http.post("/v1/sandboxes", json={"template": "x" * limit}), 413, "body-too-large")

    def endless():
        for _ in range(1000):
            yield b" " * 65536

    try:
        answer = http.post("/v1/sandboxes", content=endless(), headers={"content-type": "application/json"})
        problem(answer, 413, "body-too-large")
    except httpx.WriteError:
        pass  # the server answered and closed while we were still sending
    assert http.get("/v1/sandboxes").status_code == 200
    big = bytes(limit + 5)
    assert http.put(f"{box}/files", params={"path": "/tmp/big"}, content=big).json()["size_bytes"] == limit + 5


def test_life_of_a_sandbox(http: httpx.Client) -> None:
    made = http.post(
        "/v1/sandboxes", json={"resolution": {"width": 640, "height": 480}, "timeout": None, "metadata": {"a": "b"}}
    ).json()
    assert made["resolution"] == {"width": 640, "height": 480}
    assert made["expires_at"] is None
    where = f"/v1/sandboxes/{made['id']}"
    assert http.get(where).json() == made
    assert http.put(f"{where}/timeout", json={"timeout": 60}).json()["expires_at"].endswith("Z")
    sized = http.put(f"{where}/resolution", json={"width": 800, "height": 600}).json()
    assert sized["resolution"] == {"width": 800, "height": 600}
    problem(http.put(f"{where}/resolution", json={"width": 9999, "height": 600}), 422, "invalid-request")
    assert http.get(f"{where}/why").json()["serial"] == "login:"
    assert http.delete(where).status_code == 204
    problem(http.post(f"{where}/open", json={"target": "x"}), 409, "conflict")
    problem(http.get("/v1/sandboxes/none"), 404, "not-found")
    problem(http.put(f"{where}/timeout", json={}), 422, "invalid-request")


def test_list_filters_and_pages(http: httpx.Client) -> None:
    for number in range(7):
        body = {"metadata": {"n": str(number % 2), "x": "a=b"}, "template": "minimal" if number == 3 else "desktop"}
        http.post("/v1/sandboxes", json=body)
    ids = [item["id"] for item in http.get("/v1/sandboxes").json()["sandboxes"]]
    assert ids == sorted(ids, reverse=True)
    http.delete(f"/v1/sandboxes/{ids[0]}")

    def listed(**params: object) -> list[str]:
        return [item["id"] for item in http.get("/v1/sandboxes", params=params).json()["sandboxes"]]  # type: ignore[arg-type]

    assert listed(metadata=["n=1", "x=a=b"]) == [ids[1], ids[3], ids[5]]
    assert listed(metadata="n=1", template="minimal") == [ids[3]]
    assert listed(state=["dead", "paused"]) == [ids[0]]
    pages, cursor = [], None
    while True:
        page = http.get("/v1/sandboxes", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        pages.append([item["id"] for item in page["sandboxes"]])
        http.post("/v1/sandboxes", json={})
        cursor = page["cursor"]
        if cursor is None:
            break
    assert [one for page in pages for one in page] == ids
    problem(http.get("/v1/sandboxes", params={"metadata": "x"}), 422, "invalid-request")
    problem(http.get("/v1/sandboxes", params={"limit": 0}), 422, "invalid-request")
    problem(http.get("/v1/sandboxes", params={"state": "flying"}), 422, "invalid-request")


def test_actions(http: httpx.Client, live: Live, box: str) -> None:
    batch = {
        "actions": [{"type": "move", "x": 0, "y": 0}, {"type": "screenshot"}, {"type": "cursor_position"}],
        "screenshot": {"format": "jpeg"},
    }
    done = http.post(f"{box}/actions", json=batch).json()
    assert done["results"] == [{}, {}, {"x": 0, "y": 0}]
    assert base64.b64decode(done["screenshots"]["1"]["data"]) == PNG
    assert done["screenshot"]["media_type"] == "image/jpeg"
    assert done["screenshot"]["stable"] is True
    found = problem(
        http.post(f"{box}/actions", json={"actions": [{"type": "wait", "duration_ms": 1}, {"type": "clik"}]}),
        422, "invalid-action",
    )  # fmt: skip
    assert found["evidence"]["index"] == 1  # type: ignore[index]
    problem(http.post(f"{box}/actions", json={"actions": [{"type": "move", "x": 1280, "y": 0}]}), 422, "invalid-action")
    assert len(live.node.sandboxes[box.rsplit("/", maxsplit=1)[-1]].acted) == 3
    halted = http.post(
        f"{box}/actions",
        json={"actions": [{"type": "screenshot"}, {"type": "type", "text": "unmappable"}], "screenshot": True},
    )
    evidence = problem(halted, 422, "action-failed")["evidence"]
    assert evidence["index"] == 1  # type: ignore[index]
    assert evidence["partial"] == {"typed": 2}  # type: ignore[index]
    assert list(evidence["screenshots"]) == ["0"]  # type: ignore[index]
    for body in ({"actions": []}, {"actions": ["x"]}, {"actions": [{"type": "wait", "duration_ms": 1}] * 1001}, {}):
        assert http.post(f"{box}/actions", json=body).status_code == 422


def test_screenshots(http: httpx.Client, box: str) -> None:
    png = http.get(f"{box}/screenshot")
    assert (png.content, png.headers["content-type"]) == (PNG, "image/png")
    raw = http.get(f"{box}/screenshot", params={"format": "raw", "region": "0,0,64,32", "scale": 0.5, "stable": 10})
    assert len(raw.content) == 32 * 16 * 3
    assert (raw.headers["x-screen-width"], raw.headers["x-screen-height"]) == ("32", "16")
    assert raw.headers["x-screen-stable"] == "true"
    wrong = [{"format": "gif"}, {"scale": 0}, {"scale": "nan"}, {"quality": 101}, {"region": "1,2,3"}]
    for params in (*wrong, {"keep": True, "resume": False}):
        problem(http.get(f"{box}/screenshot", params=params), 422, "invalid-request")


def test_a_screenshot_that_resumes_nobody(
    live: Live, http: httpx.Client, box: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(
        live.node, "screenshot", lambda *args, resume: asked.append(resume) or FakeNode.screenshot(live.node, *args)
    )
    for query in ("", "?resume=false", "?resume=true"):
        assert http.get(f"{box}/screenshot{query}").status_code == 200
    assert asked == [True, False, True]


def test_commands_whole(http: httpx.Client, live: Live, box: str) -> None:
    run = lambda **body: http.post(f"{box}/commands", json=body)  # noqa: E731
    assert run(command="echo hi").json() == {
        "stdout": "hi\n", "stderr": "", "exit_code": 0, "signal": None, "timed_out": False
    }  # fmt: skip
    assert run(command=["false"]).json()["exit_code"] == 1
    assert run(command="cat", stdin="ä").json()["stdout"] == "ä"
    data = base64.b64encode(b"\xff\x00").decode()
    assert run(command="cat", stdin=data, encoding="base64").json()["stdout"] == data
    problem(run(command="cat", stdin="*", encoding="base64"), 422, "invalid-request")
    found = problem(run(command="flood 600"), 502, "guest")
    assert "stream" in str(found["hint"])
    problem(run(command="break"), 502, "channel")
    problem(run(command=""), 422, "invalid-request")
    assert live.node.commands_ended == 6


def test_commands_streamed(http: httpx.Client, live: Live, box: str) -> None:
    def lines(**body: object) -> list[dict[str, object]]:
        with http.stream("POST", f"{box}/commands", json={**body, "stream": True}) as answer:
            assert answer.headers["content-type"] == "application/x-ndjson"
            return [json.loads(line) for line in answer.iter_lines()]

    exit_line = {"exit_code": 0, "signal": None, "timed_out": False}
    assert lines(command="echo hi") == [{"stream": "stdout", "data": "hi\n"}, exit_line]
    split = lines(command="split")
    assert [line["data"] for line in split[:-1]] == ["ä", "€", "🙂"]
    assert base64.b64decode(str(lines(command="split", encoding="base64")[0]["data"])) == "ä".encode()[:1]
    broken = lines(command="break")
    assert broken[0]["data"] == "begun\n"
    assert broken[1]["problem"]["type"].endswith(":channel")  # type: ignore[index]
    live.node.fail["run_command"] = errors.ConflictError("paused")
    problem(http.post(f"{box}/commands", json={"command": "x", "stream": True}), 409, "conflict")


def test_leaving_a_streamed_command_ends_it(http: httpx.Client, live: Live, box: str) -> None:
    with http.stream("POST", f"{box}/commands", json={"command": "tick", "stream": True}) as answer:
        next(answer.iter_lines())
    wait_for(lambda: live.node.commands_ended == 1)


def test_files(http: httpx.Client, box: str) -> None:
    where = {"path": "/home/user/ä b.txt"}
    info = http.put(f"{box}/files", params={**where, "mode": "0600"}, content=b"abc" * 50_000).json()
    assert (info["path"], info["size_bytes"], info["type"]) == ("/home/user/ä b.txt", 150_000, "file")
    assert http.get(f"{box}/files", params=where).content == b"abc" * 50_000
    assert http.get(f"{box}/files/stat", params=where).json() == info
    http.put(f"{box}/files", params={"path": "/tmp/empty"}, content=b"")
    assert http.get(f"{box}/files", params={"path": "/tmp/empty"}).content == b""
    assert http.post(f"{box}/files/mkdir", json={"path": "/tmp/d"}).json()["type"] == "directory"
    assert [f["path"] for f in http.get(f"{box}/files/list", params={"path": "/tmp"}).json()["files"]] == [
        "/tmp/d", "/tmp/empty"
    ]  # fmt: skip
    assert http.post(f"{box}/files/move", json={"source": "/tmp/empty", "target": "/tmp/x"}).status_code == 204
    assert http.delete(f"{box}/files", params={"path": "/tmp/x"}).status_code == 204
    problem(http.get(f"{box}/files", params={"path": "/tmp/x"}), 404, "not-found")
    problem(http.get(f"{box}/files"), 422, "invalid-request")
    problem(http.put(f"{box}/files", params={**where, "mode": "888"}, content=b""), 422, "invalid-request")
    problem(http.get(f"{box}/files", params={**where, "user": "../x"}), 422, "invalid-request")


def test_windows_apps_and_usage(http: httpx.Client, live: Live, box: str) -> None:
    assert http.post(f"{box}/launch", json={"app": ["xterm", "-e", "top"]}).json() == {"pid": 1001}
    assert http.post(f"{box}/open", json={"target": "https://example.org"}).status_code == 204
    windows = http.get(f"{box}/windows").json()["windows"]
    assert windows[0]["id"] == str(0x200001)
    assert windows[0]["class"] == "Thunar"
    assert http.get("/v1/usage").json()["sandboxes"] == 1


def test_templates_build_for_many_at_once_and_go_on_without_anybody(http: httpx.Client, live: Live) -> None:
    states = {t["name"]: t["state"] for t in http.get("/v1/templates").json()["templates"]}
    assert states == {"desktop": "ready", "minimal": "missing"}
    results: list[list[dict[str, object]]] = []

    def build() -> None:
        with httpx.stream(
            "POST", f"{live.url}/v1/templates/minimal/build", headers=live.headers, verify=False
        ) as answer:
            results.append([json.loads(line) for line in answer.iter_lines()])

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [lines[-1] for lines in results] == [{"template": "minimal"}] * 3
    assert len(live.node.built) <= 2  # one that came after the end may build again, which is then a no-op
    with http.stream("POST", "/v1/templates/desktop/build", params={"rebuild": True}) as answer:
        next(answer.iter_lines())
    wait_for(lambda: live.node.built[-1] == ("desktop", True))
    with http.stream("POST", "/v1/templates/none/build") as answer:
        last = [json.loads(line) for line in answer.iter_lines()][-1]
    assert last["problem"]["type"].endswith(":not-found")
    assert http.delete("/v1/templates/minimal").status_code == 204
    problem(http.delete("/v1/templates/none"), 404, "not-found")


def test_metrics(http: httpx.Client, box: str) -> None:
    http.get("/v1/nothing/here")
    http.get(box)
    text = http.get("/metrics").text
    assert 'desktop_sandbox_sandboxes{state="running"} 1.0' in text
    assert 'route="/v1/sandboxes/{sandbox_id}",status="200"' in text
    assert 'route="none",status="404"' in text
    assert "desktop_sandbox_create_seconds_count 1.0" in text
    assert box not in text


def wait_for(condition, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
