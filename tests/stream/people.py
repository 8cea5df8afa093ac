"""What people do in tests of the API: they come with a token, watch, and drive."""

from __future__ import annotations

from typing import Any

import httpx

from tests.live_server import Live
from tests.stream.fake_streamer import FakeStreamer, until

SDP = {"Content-Type": "application/sdp"}


def token(http: httpx.Client, box: str, **wish: Any) -> str:
    answer = http.post(f"{box}/tokens", json=wish)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def offer(live: Live, box: str, key: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{live.url}{box}/stream/whep", content="v=0\r\n", headers={**SDP, **bearer(key), **headers})


def viewer(live: Live, streamer: FakeStreamer, box: str, key: str) -> int:
    """A WebRTC viewer's number."""
    assert offer(live, box, key).status_code == 201
    number: int = streamer.asked("viewer.offer")[-1]["viewer"]
    until(lambda: streamer.told(number, "lease"), "the first lease message")
    return number


def lease(streamer: FakeStreamer, number: int) -> dict[str, Any]:
    return streamer.told(number, "lease")[-1]


def say(streamer: FakeStreamer, number: int, **message: Any) -> None:
    streamer.emit("viewer.message", viewer=number, message=message)


def act(http: httpx.Client, box: str, **more: Any) -> httpx.Response:
    return http.post(f"{box}/actions", json={"actions": [{"type": "move", "x": 1, "y": 2}], **more})


def notes(live: Live, box: str, kind: str) -> list[dict[str, Any]]:
    return [data for found, data in live.node.sandboxes[box.rsplit("/", 1)[1]].notes if found == kind]
