"""Recordings over the API, with a media process that is a peer on the control socket."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx

from desktop_sandbox.node.interface import NodeNews
from tests.live_server import Live
from tests.stream.fake_streamer import FakeStreamer, until


def test_a_recording_from_start_to_removal(live: Live, streamer: FakeStreamer, http: httpx.Client, box: str) -> None:
    streamer.answers["record.stop"] = {"frames": 12, "duration_ms": 3400}
    assert http.delete(f"{box}/recording").status_code == 409
    assert http.get(f"{box}/recording").status_code == 404
    begun = http.post(f"{box}/recording", json={"cursor": False})
    assert begun.status_code == 201
    name = begun.json()["id"]
    assert streamer.asked("record.start")[0] == {
        **streamer.asked("record.start")[0],
        "cursor": False,
        "has_fd": True,
        "sandbox": box.rsplit("/", 1)[1],
    }
    assert http.post(f"{box}/recording", json={}).status_code == 409
    assert http.get(f"{box}/recordings").json()["recordings"][0]["state"] == "recording"
    assert http.delete(f"{box}/recordings/{name}").status_code == 409
    done = http.delete(f"{box}/recording").json()
    assert (done["state"], done["frames"], done["duration_ms"], done["size_bytes"]) == ("done", 12, 3400, 6)
    whole = http.get(f"{box}/recording")
    assert (whole.content, whole.headers["content-type"]) == (b"an mp4", "video/mp4")
    part = http.get(f"{box}/recordings/{name}", headers={"Range": "bytes=3-4"})
    assert (part.status_code, part.content) == (206, b"mp")
    assert http.delete(f"{box}/recordings/{name}").status_code == 204
    assert http.get(f"{box}/recordings").json() == {"recordings": []}
    assert http.get(f"{box}/recordings/rec-20200101-000000-abcd").status_code == 404
    assert http.get(f"{box}/recordings/..%2f..%2fapi.db").status_code in (404, 422)


def test_it_goes_on_in_a_new_file_when_the_media_process_dies(
    live: Live, streamer: FakeStreamer, http: httpx.Client, box: str
) -> None:
    first = http.post(f"{box}/recording", json={}).json()["id"]
    streamer.die()
    until(lambda: len(streamer.asked("record.start")) == 2)

    def states() -> list[str]:
        return [found["state"] for found in http.get(f"{box}/recordings").json()["recordings"]]

    until(lambda: sorted(states()) == ["broken", "recording"])
    assert http.delete(f"{box}/recording").json()["id"] != first


def test_it_ends_with_its_sandbox_and_the_file_stays(
    live: Live, streamer: FakeStreamer, http: httpx.Client, box: str
) -> None:
    http.post(f"{box}/recording", json={})
    live.loop.call_soon_threadsafe(live.node.tell, box.rsplit("/", 1)[1], NodeNews.ENDED, "its timeout ran out")
    until(lambda: streamer.asked("desktop.detach"))
    (found,) = http.get(f"{box}/recordings").json()["recordings"]
    assert (found["state"], found["reason"]) == ("done", "its timeout ran out")
    assert http.get(f"{box}/recording").content == b"an mp4"


def test_a_failed_start_leaves_nothing(live: Live, streamer: FakeStreamer, http: httpx.Client, box: str) -> None:
    streamer.answers["record.start"] = {"error": {"code": "failed", "message": "no encoder", "hint": None}}
    assert http.post(f"{box}/recording", json={}).status_code == 503
    assert http.get(f"{box}/recordings").json() == {"recordings": []}


def test_two_who_start_at_once_get_one_recording(
    live: Live, streamer: FakeStreamer, http: httpx.Client, box: str
) -> None:
    waiting: list[asyncio.Event] = []

    async def hold() -> None:
        waiting.append(asyncio.Event())
        await waiting[-1].wait()

    live.node.before["screen_source"] = hold
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(http.post, f"{box}/recording", json={})
        until(lambda: waiting)
        second = threads.submit(http.post, f"{box}/recording", json={})
        assert second.result(20).status_code == 409
        live.loop.call_soon_threadsafe(waiting[0].set)
        assert first.result(20).status_code == 201
    assert len(streamer.asked("record.start")) == 1
    assert len(http.get(f"{box}/recordings").json()["recordings"]) == 1


def test_one_recording_that_cannot_go_on_stops_no_other(
    live: Live, streamer: FakeStreamer, http: httpx.Client, box: str
) -> None:
    other = f"/v1/sandboxes/{http.post('/v1/sandboxes', json={}).json()['id']}"
    assert http.post(f"{box}/recording", json={}).status_code == 201
    assert http.post(f"{other}/recording", json={}).status_code == 201
    # the first is gone before anybody was told
    live.node.sandboxes.pop(box.rsplit("/", 1)[1])
    streamer.die()
    again = other.rsplit("/", 1)[1]
    until(lambda: [asked["sandbox"] for asked in streamer.asked("record.start")].count(again) == 2)
