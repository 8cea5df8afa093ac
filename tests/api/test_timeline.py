"""A desktop's timeline over HTTP: who may look, who may go back or fork, and never at another desktop's past."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from desktop_sandbox.api.snapshots import TOKEN_CHECKPOINTS
from tests.live_server import Live


@pytest.fixture
def saved(http: httpx.Client, box: str) -> str:
    return str(http.post(f"{box}/checkpoint", json={"name": "first"}).json()["id"])


@pytest.fixture
def foreign(http: httpx.Client) -> str:
    """A snapshot of another sandbox."""
    other = http.post("/v1/sandboxes", json={}).json()["id"]
    return str(http.post(f"/v1/sandboxes/{other}/checkpoint", json={}).json()["id"])


def person(live: Live, http: httpx.Client, box: str, rights: str) -> httpx.Client:
    made = http.post(f"{box}/tokens", json={"rights": rights, "name": "Ada"}).json()
    return httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {made['token']}"}, timeout=20)


def test_a_thumbnail_is_a_jpeg_that_is_not_sent_twice(http: httpx.Client, saved: str) -> None:
    answer = http.get(f"/v1/snapshots/{saved}/thumbnail", params={"width": 200})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content.startswith(b"\xff\xd8")
    again = http.get(
        f"/v1/snapshots/{saved}/thumbnail", params={"width": 200}, headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert http.get("/v1/snapshots/ss-00/thumbnail").status_code == 404
    assert http.get(f"/v1/snapshots/{saved}/thumbnail", params={"width": 5}).status_code == 422


def test_a_watching_token_looks_and_no_more(live: Live, http: httpx.Client, box: str, saved: str) -> None:
    with person(live, http, box, "view") as ada:
        found = ada.get(f"{box}/snapshots").json()
        assert (found["at"], [one["id"] for one in found["snapshots"]]) == (saved, [saved])
        assert ada.get(f"{box}/snapshots/{saved}/thumbnail").status_code == 200
        assert ada.get(f"/v1/snapshots/{saved}/thumbnail").status_code == 403
        for path, body in (("checkpoint", {}), ("rollback", {"snapshot": saved}), (f"snapshots/{saved}/fork", {})):
            answer = ada.post(f"{box}/{path}", json=body)
            assert (answer.status_code, answer.json()["detail"]) == (403, "the token is for watching only"), path
    assert len(http.get("/v1/snapshots").json()["snapshots"]) == 1
    assert len(http.get("/v1/sandboxes").json()["sandboxes"]) == 1


def test_a_driving_token_goes_back_and_forks(live: Live, http: httpx.Client, box: str, saved: str) -> None:
    with person(live, http, box, "control") as ada:
        made = ada.post(f"{box}/checkpoint", json={"name": "second"})
        assert made.status_code == 201
        http.post(f"{box}/control", json={"want": "release"})
        assert ada.post(f"{box}/rollback", json={"snapshot": saved}).json()["snapshot"] == saved
        answer = ada.post(f"{box}/snapshots/{saved}/fork", json={"timeout": 90_000})
        assert answer.status_code == 201
        forked: dict[str, Any] = answer.json()
    child = forked["sandbox"]
    assert child["snapshot"] == saved
    assert f"/v1/sandboxes/{child['id']}" != box
    lives = datetime.fromisoformat(child["expires_at"]) - datetime.fromisoformat(child["created_at"])
    assert lives.total_seconds() == pytest.approx(3600, abs=5)
    token = forked["url"].partition("#token=")[2]
    link = httpx.get(
        f"{live.url}/v1/sandboxes/{child['id']}/stream", headers={"Authorization": f"Bearer {token}"}
    ).json()
    assert (link["rights"], link["state"]) == ("control", "running")


def test_no_token_reaches_another_desktops_past(
    live: Live, http: httpx.Client, box: str, saved: str, foreign: str
) -> None:
    with person(live, http, box, "control") as ada:
        assert ada.get(f"{box}/snapshots/{foreign}/thumbnail").status_code == 404
        assert ada.post(f"{box}/snapshots/{foreign}/fork", json={}).status_code == 404
        answer = ada.post(f"{box}/rollback", json={"snapshot": foreign})
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "not-allowed")
    assert http.get(box).json()["snapshot"] == saved
    # with the key, anything may be rolled back to
    assert http.post(f"{box}/rollback", json={"snapshot": foreign}).json()["snapshot"] == foreign


def test_a_fork_with_the_key_lives_as_long_as_it_is_told(http: httpx.Client, saved: str) -> None:
    named = http.post("/v1/sandboxes", json={"metadata": {"name": "run", "a": "b"}}).json()["id"]
    own = http.post(f"/v1/sandboxes/{named}/checkpoint", json={}).json()["id"]
    made = http.post(f"/v1/sandboxes/{named}/snapshots/{own}/fork", json={"timeout": 90_000}).json()["sandbox"]
    assert made["metadata"] == {"name": "run (fork)", "a": "b"}


def test_a_link_takes_nothing_back_while_the_agent_drives(live: Live, http: httpx.Client, box: str, saved: str) -> None:
    later = http.post(f"{box}/checkpoint", json={}).json()["id"]
    with person(live, http, box, "control") as ada:
        refused = ada.post(f"{box}/rollback", json={"snapshot": saved})
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "control-held")
        assert refused.json()["hint"] == "take the control first"
        assert http.get(box).json()["snapshot"] == later
        assert "rollback" not in live.node.calls
        http.post(f"{box}/control", json={"want": "release"})
        assert ada.post(f"{box}/rollback", json={"snapshot": saved}).status_code == 200


def test_a_link_saves_up_to_a_number_of_checkpoints(live: Live, http: httpx.Client, box: str) -> None:
    with person(live, http, box, "control") as ada:
        for _ in range(TOKEN_CHECKPOINTS):
            assert ada.post(f"{box}/checkpoint", json={}).status_code == 201
        refused = ada.post(f"{box}/checkpoint", json={})
        assert refused.json()["type"].rpartition(":")[2] == "capacity"
        assert len(http.get("/v1/snapshots").json()["snapshots"]) == TOKEN_CHECKPOINTS
        # the key may go on
        assert http.post(f"{box}/checkpoint", json={}).status_code == 201


def test_a_fork_and_its_link_end_with_the_link_that_made_them(
    live: Live, http: httpx.Client, box: str, saved: str
) -> None:
    made = http.post(f"{box}/tokens", json={"rights": "control", "ttl": 600}).json()
    given, root = made["token"], box
    for _ in range(2):  # a fork, and a fork by the fork's link
        path = f"{live.url}{box}/snapshots/{saved}/fork"
        answer = httpx.post(path, json={"timeout": 3000}, headers=bearer(given), timeout=20)
        assert answer.status_code == 201
        child = answer.json()["sandbox"]
        given = answer.json()["url"].partition("#token=")[2]
        box = f"/v1/sandboxes/{child['id']}"
        saved = http.post(f"{box}/checkpoint", json={}).json()["id"]
        assert when(child["expires_at"]) <= when(made["expires_at"]) + timedelta(seconds=1)
        (link,) = http.get(f"{box}/tokens").json()["tokens"]
        assert when(link["expires_at"]) <= when(made["expires_at"])
    assert httpx.get(f"{live.url}{box}/control", headers=bearer(given)).status_code == 200
    assert http.delete(f"{root}/tokens/{made['id']}").status_code == 204
    refused = httpx.get(f"{live.url}{box}/control", headers=bearer(given))
    assert (refused.status_code, refused.json()["detail"]) == (401, "the link was revoked")


def test_a_fork_by_a_link_that_is_revoked_meanwhile_is_ended(
    live: Live, http: httpx.Client, box: str, saved: str
) -> None:
    made = http.post(f"{box}/tokens", json={"rights": "control"}).json()
    tokens = live.app.state.services.tokens
    live.node.before["create"] = lambda: tokens.revoke(box.rpartition("/")[2], made["id"])
    path = f"{live.url}{box}/snapshots/{saved}/fork"
    assert httpx.post(path, json={}, headers=bearer(made["token"]), timeout=20).status_code == 401
    states = [str(each.info.state) for each in live.node.sandboxes.values()]
    assert states == ["running", "dead"]


def test_a_fork_may_live_longer_than_any_link(http: httpx.Client, box: str, saved: str) -> None:
    answer = http.post(f"{box}/snapshots/{saved}/fork", json={"timeout": 60 * 86_400})
    assert answer.status_code == 201
    child = answer.json()["sandbox"]
    made = when(child["created_at"])
    assert when(child["expires_at"]) > made + timedelta(days=59)
    (link,) = http.get(f"/v1/sandboxes/{child['id']}/tokens").json()["tokens"]
    assert when(link["expires_at"]) < made + timedelta(days=31)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def when(moment: str) -> datetime:
    return datetime.fromisoformat(moment)
