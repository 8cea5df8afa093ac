"""Terminals for who has a viewer's link: with control, of that desktop, as its user, while the link is good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from desktop_sandbox import errors
from desktop_sandbox.api import pages
from tests.api.test_jobs import refused, said, socket
from tests.api.test_routes import wait_for
from tests.live_server import Live


def link(http: httpx.Client, box: str, rights: str = "control", ttl: float = 600) -> dict[str, Any]:
    made = http.post(f"{box}/tokens", json={"rights": rights, "ttl": ttl})
    assert made.status_code == 201, made.text
    return dict(made.json())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def start(http: httpx.Client, box: str, token: str, **body: object) -> httpx.Response:
    return http.post(f"{box}/terminals", json=body, headers=bearer(token))


@pytest.fixture
def token(http: httpx.Client, box: str) -> str:
    return str(link(http, box)["token"])


@pytest.fixture
def path(http: httpx.Client, box: str, token: str) -> str:
    """The socket of a terminal that the link started."""
    made = start(http, box, token)
    assert (made.status_code, made.json()["user"]) == (201, "user")
    return f"{box}/terminals/{made.json()['id']}/connect"


def test_a_control_link_has_a_terminal(live: Live, path: str, token: str) -> None:
    with socket(live, path, additional_headers={}) as ws:
        ws.send(json.dumps({"t": "auth", "token": token}))
        assert said(ws)["t"] == "attached"
        assert ws.recv(timeout=20) == b"ready\n"
        ws.send(b"ls\n")
        assert ws.recv(timeout=20) == b"ls\n"
        ws.send(json.dumps({"t": "resize", "rows": 9, "columns": 40}))
        ws.send(b"exit 7")
        ended: Any = said(ws)
        assert (ended["t"], ended["job"]["exit_code"], ended["job"]["columns"]) == ("ended", 7, 40)


def test_who_may_only_watch_is_refused(live: Live, http: httpx.Client, box: str, path: str) -> None:
    watching = link(http, box, "view")["token"]
    answer = start(http, box, watching)
    assert (answer.status_code, answer.json()["detail"]) == (403, "the token is for watching only")
    with socket(live, path, additional_headers=bearer(watching)) as ws:
        refused(ws, 4403, "not-allowed")
    with socket(live, path + "?input=0", additional_headers=bearer(watching)) as ws:
        refused(ws, 4403, "not-allowed")
    assert len(live.node.fake_jobs) == 1


def test_a_link_of_another_desktop_is_refused(live: Live, http: httpx.Client, box: str, path: str) -> None:
    other = f"/v1/sandboxes/{http.post('/v1/sandboxes', json={}).json()['id']}"
    foreign = link(http, other)["token"]
    assert start(http, box, foreign).status_code == 403
    with socket(live, path, additional_headers=bearer(foreign)) as ws:
        refused(ws, 4403, "not-allowed")
    with socket(live, path.replace(box, other), additional_headers=bearer(foreign)) as ws:
        refused(ws, 4404, "not-found")


def test_a_revoked_link_is_refused_and_its_terminal_cut_off(live: Live, http: httpx.Client, box: str) -> None:
    made = link(http, box)
    path = f"{box}/terminals/{start(http, box, made['token']).json()['id']}/connect"
    with socket(live, path, additional_headers=bearer(made["token"])) as ws, socket(live, path) as owner:
        for each in (ws, owner):
            said(each)
            each.recv(timeout=20)
        assert http.delete(f"{box}/tokens/{made['id']}").status_code == 204
        refused(ws, 4401, "authentication")
        owner.send(b"still there")
        assert owner.recv(timeout=20) == b"still there"
    assert start(http, box, made["token"]).status_code == 401
    with socket(live, path, additional_headers=bearer(made["token"])) as ws:
        refused(ws, 4401, "authentication")


def test_an_expired_link_is_refused_and_its_terminal_cut_off(
    live: Live, http: httpx.Client, box: str, path: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = live.app.state.services.tokens
    with socket(live, path, additional_headers=bearer(token)) as ws:
        said(ws)
        ws.recv(timeout=20)
        now = tokens._clock()
        monkeypatch.setattr(tokens, "_clock", lambda: now + 601)
        refused(ws, 4401, "authentication")
    assert start(http, box, token).status_code == 401
    with socket(live, path, additional_headers=bearer(token)) as ws:
        refused(ws, 4401, "authentication")


def test_a_link_is_not_root(live: Live, http: httpx.Client, box: str, token: str) -> None:
    answer = start(http, box, token, user="root")
    assert (answer.status_code, "root" in answer.json()["detail"]) == (403, True)
    owners = http.post(f"{box}/terminals", json={"user": "root"}).json()["id"]
    with socket(live, f"{box}/terminals/{owners}/connect", additional_headers=bearer(token)) as ws:
        refused(ws, 4403, "not-allowed")


def test_nothing_else_of_what_runs_is_open_to_a_link(live: Live, http: httpx.Client, box: str, token: str) -> None:
    mine = f"{box}/terminals/{start(http, box, token).json()['id']}"
    job = http.post(f"{box}/jobs", json={"command": "x"}).json()["id"]
    calls = (
        ("GET", f"{box}/terminals"),
        ("GET", mine),
        ("DELETE", mine),
        ("PUT", f"{mine}/size"),
        ("GET", f"{box}/jobs"),
        ("POST", f"{box}/jobs"),
        ("DELETE", f"{box}/jobs/{job}"),
        ("POST", f"{box}/commands"),
    )
    for method, path in calls:
        body = {"json": {}} if method in ("POST", "PUT") else {}
        assert http.request(method, path, headers=bearer(token), **body).status_code == 403, (method, path)  # type: ignore[arg-type]
    for path in (f"{box}/jobs/{job}/connect", f"{box}/ports/8080/connect"):
        with socket(live, path, additional_headers=bearer(token)) as ws:
            refused(ws, 4403, "not-allowed")


def test_a_link_does_not_come_to_the_owners_terminal_by_a_guessed_key(http: httpx.Client, box: str, token: str) -> None:
    key = {"Idempotency-Key": "one"}
    owners = http.post(f"{box}/terminals", json={"rows": 30}, headers=key).json()["id"]
    answer = http.post(f"{box}/terminals", json={"rows": 31}, headers={**bearer(token), **key})
    assert answer.json().get("id") != owners


def test_the_library_of_the_panel_is_served_with_its_type(http: httpx.Client) -> None:
    for name in pages.LIBRARY:
        answer = http.get(f"/viewer/{name}", headers={"Authorization": ""})
        assert answer.status_code == 200, f"{answer.text}: make setup"
        assert answer.headers["content-type"].startswith("text/css" if name.endswith(".css") else "text/javascript")
    for name in ("node_modules/@xterm/xterm/lib/xterm.mjs", "node_modules/typescript/bin/tsc", "xterm/../package.json"):
        assert http.get(f"/viewer/{name}").status_code == 404


def test_where_the_library_is_missing_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "view.html").write_text("x")
    found = pages.Pages(tmp_path)
    assert found.get("view.html").data == b"x"
    with pytest.raises(errors.NotFoundError, match="not installed") as caught:
        found.get("xterm/xterm.mjs")
    assert "npm ci" in str(caught.value.hint)


def test_who_leaves_lets_go(live: Live, path: str, token: str) -> None:
    with socket(live, path, additional_headers=bearer(token)) as ws:
        said(ws)
        ws.recv(timeout=20)
        assert live.node.attached == 1
    wait_for(lambda: live.node.attached == 0)
