"""The API of the live view with a media process that is a peer on the control socket, over real HTTP and WebSockets."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from desktop_sandbox.node.interface import NodeNews
from tests.live_server import Live
from tests.stream.fake_streamer import FakeStreamer, until
from tests.stream.people import SDP, act, bearer, notes, offer, say, token, viewer


def test_whep_offers_are_answered_and_sessions_left(live: Live, streamer: FakeStreamer, http, box) -> None:
    view = token(http, box, rights="view", name="Ada")
    answer = offer(live, box, view)
    assert (answer.status_code, answer.text) == (201, "v=0\r\nanswer")
    assert answer.headers["content-type"].startswith("application/sdp")
    place = answer.headers["location"]
    assert [request["op"] for request in streamer.requests[:3]] == ["configure", "desktop.attach", "viewer.offer"]
    assert streamer.asked("desktop.attach")[0]["has_fd"]
    assert streamer.asked("viewer.offer")[0]["rights"] == "view"
    number = streamer.asked("viewer.offer")[0]["viewer"]
    until(lambda: notes(live, box, "viewer"))
    assert notes(live, box, "viewer")[0]["name"] == "Ada"
    assert httpx.patch(live.url + place, headers=bearer(view)).status_code == 405
    assert httpx.delete(live.url + place, headers=bearer(view)).status_code == 204
    assert streamer.asked("viewer.close")[-1]["viewer"] == number
    assert httpx.delete(live.url + place, headers=bearer(view)).status_code == 404


def test_an_offer_repeated_with_its_key_is_one_viewer(live: Live, streamer: FakeStreamer, http, box) -> None:
    first = offer(live, box, live.key, **{"Idempotency-Key": "one"})
    again = offer(live, box, live.key, **{"Idempotency-Key": "one"})
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert len(streamer.asked("viewer.offer")) == 1


def test_what_is_no_offer_is_refused(live: Live, streamer: FakeStreamer, http, box) -> None:
    assert http.post(f"{box}/stream/whep", content="v=0", headers={"Content-Type": "text/plain"}).status_code == 415
    assert http.post(f"{box}/stream/whep", content="hello", headers=SDP).status_code == 422
    assert http.post(f"{box}/stream/whep", content="v=0" + "x" * 300_000, headers=SDP).status_code == 413
    streamer.answers["viewer.offer"] = {"error": {"code": "bad-offer", "message": "no video in it", "hint": None}}
    answer = offer(live, box, live.key)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "no video in it"
    assert http.post("/v1/sandboxes/sb-none/stream/whep", content="v=0", headers=SDP).status_code == 404


def test_a_token_opens_what_it_is_for_and_nothing_else(live: Live, streamer: FakeStreamer, http, box) -> None:
    other = f"/v1/sandboxes/{http.post('/v1/sandboxes', json={}).json()['id']}"
    view, control = token(http, box, rights="view"), token(http, box, rights="control")

    def status(method: str, path: str, key: str, **more: Any) -> int:
        return httpx.request(method, live.url + path, headers=bearer(key), **more).status_code

    for key in (view, control):
        assert status("GET", f"{box}/stream", key) == 200
        assert status("GET", f"{box}/screenshot", key) == 200
        assert status("GET", f"{box}/control", key) == 200
        assert status("GET", f"{other}/stream", key) == 403
        for method, path in (("GET", "/v1/sandboxes"), ("GET", box), ("DELETE", box), ("GET", "/metrics")):
            assert status(method, path, key) == 403
        assert status("POST", f"{box}/commands", key, json={"command": "id"}) == 403
        assert status("POST", f"{box}/tokens", key, json={}) == 403
        assert status("POST", f"{box}/control", key, json={"want": "take"}) == 403
        assert status("GET", f"{box}/files?path=/etc/passwd", key) == 403
        assert status("POST", f"{box}/actions", key, json={"actions": []}) == 403
    assert http.get(f"{box}/stream").json()["rights"] == "control"
    assert httpx.get(f"{live.url}{box}/stream", headers=bearer(view)).json()["rights"] == "view"
    upload = f"{box}/files?path=/home/user/Downloads/a"
    assert status("PUT", upload, view, content=b"x") == 403
    assert status("PUT", f"{upload}&user=root", control, content=b"x") == 403
    assert status("PUT", upload, control, content=b"x") == 200
    assert status("PUT", f"{box}/clipboard", view, json={"text": "x"}) == 403
    assert status("PUT", f"{box}/clipboard", control, json={"text": "x"}) == 204
    forged = view[:-3] + ("aaa" if not view.endswith("aaa") else "bbb")
    assert status("GET", f"{box}/stream", forged) == 401
    assert status("GET", f"{box}/stream", "dst_e30.e30") == 401


def test_the_clipboard_goes_both_ways_for_who_drives(live: Live, streamer: FakeStreamer, http, box) -> None:
    ada = viewer(live, streamer, box, token(http, box))
    bob = viewer(live, streamer, box, token(http, box))
    sandbox_id = box.rsplit("/", 1)[1]
    say(streamer, ada, t="clipboard", text="not yet", n=1)
    until(lambda: streamer.told(ada, "error"))
    say(streamer, ada, t="lease", want="take")
    until(lambda: "clipboard_change" in live.node.calls)
    say(streamer, ada, t="clipboard", text="pasted", n=2)
    until(lambda: streamer.told(ada, "clipboard-set"))
    assert streamer.told(ada, "clipboard-set") == [{"t": "clipboard-set", "n": 2}]
    assert http.get(f"{box}/clipboard").json() == {"text": "pasted"}
    live.loop.call_soon_threadsafe(live.node.copy, sandbox_id, "copied")
    until(lambda: streamer.told(ada, "clipboard"))
    assert streamer.told(ada, "clipboard") == [{"t": "clipboard", "text": "copied"}]
    assert not streamer.told(bob, "clipboard")


def test_a_viewer_resizes_the_desktop(live: Live, streamer: FakeStreamer, http, box) -> None:
    number = viewer(live, streamer, box, token(http, box))
    say(streamer, number, t="lease", want="take")
    say(streamer, number, t="resize", width=1001, height=700)
    until(lambda: http.get(box).json()["resolution"] == {"width": 1000, "height": 700})
    say(streamer, number, t="resize", width=9000, height=700)
    until(lambda: streamer.told(number, "error"))
    assert http.put(f"{box}/resolution", json={"width": 800, "height": 600}).status_code == 409


def test_a_stale_screen_is_attached_again(live: Live, streamer: FakeStreamer, http, box) -> None:
    viewer(live, streamer, box, live.key)
    sandbox_id = box.rsplit("/", 1)[1]
    streamer.emit("desktop.stale", sandbox=sandbox_id)
    until(lambda: len(streamer.asked("desktop.attach")) == 2)
    assert live.node.sources == [False, True]
    live.loop.call_soon_threadsafe(live.node.tell, sandbox_id, NodeNews.RESIZED)
    until(lambda: len(streamer.asked("desktop.attach")) == 3)


def test_a_machine_that_is_replaced_while_its_screen_is_looked_for_is_no_end(
    live: Live, streamer: FakeStreamer, http, box
) -> None:
    number = viewer(live, streamer, box, live.key)
    live.node.replaced = 1
    streamer.emit("desktop.stale", sandbox=box.rsplit("/", 1)[1])
    until(lambda: len(streamer.asked("desktop.attach")) == 2)
    assert live.node.replaced == 0
    assert not any(told["state"] == "ended" for told in streamer.told(number, "state"))


def test_the_end_of_a_sandbox_is_told(live: Live, streamer: FakeStreamer, http, box) -> None:
    number = viewer(live, streamer, box, live.key)
    live.loop.call_soon_threadsafe(live.node.tell, box.rsplit("/", 1)[1], NodeNews.ENDED, "its timeout ran out")
    until(lambda: streamer.asked("desktop.detach"))
    assert streamer.told(number, "state")[-1] == {"t": "state", "state": "ended", "reason": "its timeout ran out"}


def test_a_revoked_token_ends_its_view(live: Live, streamer: FakeStreamer, http, box) -> None:
    made = http.post(f"{box}/tokens", json={}).json()
    assert made["url"].startswith(f"{live.url}/view/")
    assert made["url"].endswith("#token=" + made["token"])
    number = viewer(live, streamer, box, made["token"])
    assert [found["id"] for found in http.get(f"{box}/tokens").json()["tokens"]] == [made["id"]]
    assert http.delete(f"{box}/tokens/{made['id']}").status_code == 204
    assert streamer.asked("viewer.close")[-1]["viewer"] == number
    assert offer(live, box, made["token"]).status_code == 401
    assert http.get(f"{box}/tokens").json()["tokens"] == []
    assert http.delete(f"{box}/tokens/{'0' * 16}").status_code == 404


def test_an_expired_token_ends_its_view(live: Live, streamer: FakeStreamer, http, box) -> None:
    number = viewer(live, streamer, box, token(http, box, ttl=1.5))
    until(lambda: [each for each in streamer.asked("viewer.close") if each["viewer"] == number])
    assert "expired" in streamer.asked("viewer.close")[-1]["reason"]


# --- WebSocket


def open_socket(live: Live, box: str, key: str | None, **more: Any) -> ClientConnection:
    address = f"{live.url.replace('http', 'ws')}{box}/stream/ws"
    link = connect(address, open_timeout=10, proxy=None, **more)
    if key is not None:
        link.send(json.dumps({"t": "auth", "token": key, "codecs": ["avc1.42e028", "jpeg"]}))
    return link


def test_a_websocket_is_relayed_both_ways(live: Live, streamer: FakeStreamer, http, box) -> None:
    with open_socket(live, box, token(http, box, rights="view")) as link:
        until(lambda: streamer.asked("viewer.socket"))
        asked = streamer.asked("viewer.socket")[0]
        assert (asked["rights"], asked["codecs"]) == ("view", ["avc1.42e028", "jpeg"])
        streamer.say(asked["viewer"], b'{"t": "hello"}')
        streamer.say(asked["viewer"], b"\x02binary")
        assert link.recv(10) == '{"t": "hello"}'
        assert link.recv(10) == b"\x02binary"
        link.send('{"t": "ack", "seq": 1}')
        link.send(b"\x01pointer")
        until(lambda: len(streamer.binaries) == 2)
        assert [data for _, data in streamer.binaries] == [b'{"t": "ack", "seq": 1}', b"\x01pointer"]
    until(lambda: streamer.asked("viewer.close"))


def test_a_websocket_needs_a_token_and_a_page_of_ours(live: Live, streamer: FakeStreamer, http, box) -> None:
    with open_socket(live, box, "nonsense") as link:
        assert json.loads(link.recv(10))["code"] == "authentication"
        with pytest.raises(ConnectionClosed):
            link.recv(10)
        assert link.close_code == 4401
    other = http.post("/v1/sandboxes", json={}).json()["id"]
    with open_socket(live, box, token(http, f"/v1/sandboxes/{other}")) as link:
        assert json.loads(link.recv(10))["code"] == "not-allowed"
    with open_socket(live, box, None) as link:
        link.send("hello")
        assert json.loads(link.recv(10))["code"] == "invalid-request"
    with pytest.raises(InvalidStatus):
        open_socket(live, box, None, origin="https://evil.example")
    with pytest.raises(InvalidStatus):
        connect(f"{live.url.replace('http', 'ws')}/v1/elsewhere", proxy=None)
    with open_socket(live, box, live.key, origin=live.url):
        until(lambda: streamer.asked("viewer.socket"))


def test_a_viewer_that_does_not_read_is_cut_off(live: Live, streamer: FakeStreamer, http, box) -> None:
    with open_socket(live, box, live.key, max_queue=1):
        until(lambda: streamer.asked("viewer.socket"))
        number = streamer.asked("viewer.socket")[0]["viewer"]
        for _ in range(100):
            streamer.say(number, b"\x02" + bytes(500_000))
        until(lambda: streamer.asked("viewer.close"), timeout_s=20)
        assert streamer.asked("viewer.close")[0]["reason"] == "too slow"


# --- the media process dies


def test_a_dead_media_process_is_started_again_and_nothing_else_ends(live, streamer: FakeStreamer, http, box) -> None:
    with open_socket(live, box, live.key) as link:
        until(lambda: streamer.asked("viewer.socket"))
        streamer.die()
        assert list(link) == [], "it ends"
        assert link.close_reason == "the media process ended"
    assert act(http, box).status_code == 200
    streamer.refuse_starts = 1
    assert offer(live, box, live.key).status_code == 503
    assert offer(live, box, live.key).status_code == 201
    assert streamer.starts == 3
    assert len(streamer.asked("desktop.attach")) == 2
    text = http.get("/metrics").text
    assert "desktop_sandbox_streamer_restarts_total 1.0" in text
    assert 'desktop_sandbox_viewers{transport="webrtc"} 1.0' in text


def test_the_node_is_told_what_people_watch(live: Live, streamer: FakeStreamer, http: httpx.Client, box: str) -> None:
    name = box.rsplit("/", 1)[1]
    assert live.node.watched_now == frozenset()
    begun = http.post(f"{box}/stream/whep", content="v=0\r\n", headers={"Content-Type": "application/sdp"})
    assert begun.status_code == 201
    until(lambda: live.node.watched_now == {name})
    assert http.delete(begun.headers["location"]).status_code in (200, 204)
    until(lambda: live.node.watched_now == frozenset())
    assert http.post(f"{box}/recording", json={}).status_code == 201
    until(lambda: live.node.watched_now == {name})
