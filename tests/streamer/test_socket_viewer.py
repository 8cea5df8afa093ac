"""Viewers over a WebSocket that the server relays: H.264 for WebCodecs, JPEG, and pages that do not keep up."""

from __future__ import annotations

import asyncio

import pytest

from streamer.messages import MAX_CLIPBOARD
from streamer.socket_viewer import MOST_ALONE, MOST_SHARED, Window
from tests.streamer.harness import eventually
from tests.streamer.peers import Peer
from tests.streamer.sockets import SocketPage

BLUE, RED, GREEN = (220, 40, 30), (20, 30, 220), (40, 200, 30)


async def test_h264_in_frames_that_begin_with_a_keyframe(server, screen):
    screen.pixels[..., :3] = BLUE
    await server.attach("s", screen)
    page = SocketPage(server, 1)
    await page.join("s")
    await eventually(lambda: page.shows(BLUE, 639, 399), "blue")
    screen.pixels[..., :3] = RED
    await eventually(lambda: page.shows(RED, 0, 0), "red")
    assert page.messages[0]["t"] == "hello"
    assert page.frames[0].key
    assert not any(frame.key for frame in page.frames[1:])
    assert [frame.seq for frame in page.frames] == list(range(1, len(page.frames) + 1))
    assert all((frame.kind, frame.width, frame.height) == (2, 640, 400) for frame in page.frames)
    assert page.frames[0].payload[:4] == b"\0\0\0\1"
    times = [frame.captured_ms for frame in page.frames]
    assert times == sorted(times)


async def test_jpeg_is_the_last_resort(server, screen):
    screen.pixels[..., :3] = BLUE
    await server.attach("s", screen)
    page = SocketPage(server, 1)
    await page.join("s", codecs=("jpeg",))
    await eventually(lambda: page.shows(BLUE, 10, 10), "blue")
    screen.pixels[..., :3] = RED
    await eventually(lambda: page.shows(RED, 10, 10), "red")
    assert {frame.kind for frame in page.frames} == {3}


async def test_a_page_that_asks_gets_a_keyframe(server, screen):
    await server.attach("s", screen)
    page = SocketPage(server, 1)
    await page.join("s")
    await eventually(lambda: page.frames, "a frame")
    page.say(t="keyframe")
    await eventually(lambda: sum(frame.key for frame in page.frames) == 2, "a second keyframe")


async def test_a_page_that_does_not_acknowledge_is_held_back_and_the_others_are_not(server, screen):
    await server.attach("s", screen)
    quick, slow = SocketPage(server, 1), SocketPage(server, 2, acks=False)
    await quick.join("s")
    await slow.join("s")
    for number in range(60):
        count = len(quick.frames)
        screen.pixels[..., 1] = 40 + 3 * number
        await eventually(lambda count=count: len(quick.frames) > count, "the next frame")
    assert len(slow.frames) <= MOST_SHARED + MOST_ALONE + 2
    keys = sum(frame.key for frame in quick.frames)
    screen.pixels[..., :3] = GREEN
    await eventually(lambda: quick.shows(GREEN, 5, 5), "green")
    slow.acks = True
    slow.ack()
    await eventually(lambda: slow.shows(GREEN, 5, 5), "green, once it acknowledges")
    assert sum(frame.key for frame in quick.frames) == keys  # its trouble cost the others nothing


async def test_input_comes_over_the_same_socket(server, screen):
    await server.attach("s", screen)
    page = SocketPage(server, 1)
    await page.join("s")
    page.say(t="key", down=True, code="KeyA", keysym=97)
    server.control.send_binary(1, bytes.fromhex("010000000000000000"))
    await eventually(lambda: len(server.inputs(1)) == 2, "input")
    assert server.inputs(1)[1] == {"t": "pointer", "x": 0, "y": 0}


async def test_each_clipboard_that_is_refused_is_answered(server, screen):
    await server.attach("s", screen)
    page = SocketPage(server, 1)
    await page.join("s")
    for n in range(1, 9):
        page.say(t="clipboard", text="a" * (MAX_CLIPBOARD + 1), n=n)
    page.say(t="clipboard", text=5, n=9)

    def refused() -> list[tuple[int, str]]:
        return [(said["n"], said["code"]) for said in page.messages if said["t"] == "error"]

    await eventually(lambda: len(refused()) == 9, f"nine answers, {page.messages}")
    assert refused() == [*((n, "clipboard-too-long") for n in range(1, 9)), (9, "bad-message")]
    watcher = SocketPage(server, 2)
    await watcher.join("s", rights="view")
    watcher.say(t="clipboard", text="x", n=7)
    await eventually(lambda: [said for said in watcher.messages if said.get("n") == 7], "a refusal")


async def test_webrtc_and_websocket_share_one_encoder(server, screen):
    screen.pixels[..., :3] = BLUE
    await server.attach("s", screen)
    peer, page = Peer(server, 1), SocketPage(server, 2)
    await peer.join("s")
    await page.join("s")
    await peer.sees(BLUE, 5, 5)
    await eventually(lambda: page.shows(BLUE, 5, 5), "blue")
    before = (await server.ask("stats"))["desktops"]["s"]
    screen.pixels[..., :3] = RED
    await peer.sees(RED, 5, 5)
    await eventually(lambda: page.shows(RED, 5, 5), "red")
    await asyncio.gather(peer.leave())
    after = (await server.ask("stats"))["desktops"]["s"]
    assert after["encoded"] - before["encoded"] < 60
    assert len({viewer["codec"] for viewer in before["viewers"].values()}) == 1


def test_the_window_counts_what_is_not_acknowledged():
    window = Window()
    for number in range(5):
        window.sent(number, float(number))
    assert window.count == 5
    assert window.age_s(10.0) == 10.0
    assert window.acknowledged(2, 5.0) == pytest.approx(3.0)
    assert window.count == 2
    assert window.acknowledged(2, 6.0) is None
    assert window.acknowledged(99, 6.0) is None
    assert window.count == 2
    window.clear()
    assert window.age_s(10.0) == 0.0
