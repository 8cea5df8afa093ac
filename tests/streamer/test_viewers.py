"""What viewers may do and are told, over real data channels."""

from __future__ import annotations

import json

import pytest

from tests.streamer.harness import eventually
from tests.streamer.peers import Peer


@pytest.fixture
async def peer(server, screen):
    await server.attach("s", screen)
    peer = Peer(server, 1)
    await peer.join("s")
    await peer.greeted()
    yield peer
    await peer.leave()


async def test_input_is_checked_and_passed_on_in_order(server, peer):
    peer.say(t="button", button="left", down=True, x=0, y=0)
    peer.say(t="button", button="left", down=True, x=640, y=0)
    peer.say(t="text", text="héllo 世界 🙂")
    peer.say(t="wheel", dx=0, dy=-120, x=639, y=399)
    peer.say(t="button", button="left", down=False, x=5, y=6)
    await eventually(lambda: len(server.inputs(1)) == 4, "input")
    assert [event["t"] for event in server.inputs(1)] == ["button", "text", "wheel", "button"]
    refused = await eventually(lambda: peer.heard("error"), "the refusal, which takes another way")
    assert refused[0]["code"] == "out-of-range"


async def test_pointers_come_over_the_unordered_channel(server, peer):
    await eventually(lambda: peer.pointer.readyState == "open", "the pointer channel")
    peer.point(5, 100, 200)
    await eventually(lambda: server.inputs(1), "a pointer")
    peer.point(4, 1, 1)
    peer.point(6, 101, 201)
    await eventually(lambda: len(server.inputs(1)) == 2, "two pointers")
    assert server.inputs(1) == [{"t": "pointer", "x": 100, "y": 200}, {"t": "pointer", "x": 101, "y": 201}]


async def test_an_input_counts_once_whichever_of_its_two_channels_is_sooner(server, peer):
    def type_in(number: int, *, copy: bool) -> None:
        message = {"t": "text", "text": str(number), "i": number}
        (peer.pointer if copy else peer.input).send(json.dumps(message))

    async def said(count: int) -> None:
        await eventually(lambda: len(server.inputs(1)) == count, f"{count} inputs, {server.inputs(1)}")

    await eventually(lambda: peer.pointer.readyState == "open", "the pointer channel")
    type_in(1, copy=True)  # the first is late
    await said(1)
    type_in(3, copy=True)  # its time has not come
    type_in(1, copy=False)
    type_in(2, copy=False)
    await said(2)
    type_in(2, copy=True)
    type_in(3, copy=False)
    await said(3)
    peer.pointer.send(json.dumps({"t": "text", "text": "without a number"}))
    peer.pointer.send(json.dumps({"t": "key", "down": False, "code": "KeyA", "keysym": 97, "i": 0}))
    assert await eventually(lambda: peer.heard("error"), "the refusal of number 0")
    assert [event["text"] for event in server.inputs(1)] == ["1", "2", "3"]


async def test_silence_releases_what_is_held(server, peer):
    peer.say(t="key", down=True, code="ShiftLeft", keysym=0xFFE1)
    await eventually(lambda: len(server.inputs(1)) == 2, "the release")
    assert server.inputs(1)[1] == {"t": "key", "down": False, "code": "ShiftLeft", "keysym": 0xFFE1}


async def test_leaving_releases_what_is_held(server, screen):
    await server.attach("s", screen)
    peer = Peer(server, 1)
    await peer.join("s")
    await peer.greeted()
    peer.say(t="button", button="left", down=True, x=3, y=4)
    await eventually(lambda: server.inputs(1), "the press")
    await server.ask("viewer.close", viewer=1, reason="revoked")
    assert server.inputs(1)[1] == {"t": "button", "button": "left", "down": False, "x": 3, "y": 4}
    assert server.of("viewer.state", viewer=1, state="closed")[0]["reason"] == "revoked"
    await eventually(lambda: peer.pc.connectionState == "closed", "the page noticing")
    await peer.leave()


async def test_who_may_only_view_is_refused(server, screen):
    await server.attach("s", screen)
    peer = Peer(server, 1)
    await peer.join("s", rights="view")
    assert (await peer.greeted())["rights"] == "view"
    await eventually(lambda: peer.pointer.readyState == "open", "the pointer channel")
    peer.say(t="key", down=True, code="KeyA", keysym=97)
    peer.say(t="clipboard", text="x", n=1)
    peer.say(t="lease", want="take")
    peer.say(t="resize", width=800, height=600)
    peer.point(1, 1, 1)
    await eventually(lambda: len(peer.heard("error")) == 5, "five refusals")
    assert {error["code"] for error in peer.heard("error")} == {"view-only"}
    peer.say(t="ping", at=17.5)
    await eventually(lambda: peer.heard("pong"), "pong")
    assert peer.heard("pong")[0]["at"] == 17.5
    assert server.inputs(1) == []
    assert server.of("viewer.message") == []
    await peer.leave()


async def test_other_messages_are_the_servers(server, peer):
    peer.say(t="clipboard", text="a", n=3)
    peer.say(t="lease", want="request")
    await eventually(lambda: len(server.of("viewer.message", viewer=1)) == 2, "messages")
    assert server.of("viewer.message", viewer=1)[0]["message"] == {"t": "clipboard", "text": "a", "n": 3}


async def test_what_is_too_long_for_a_page_is_not_passed_over_in_silence(server, peer):
    await server.ask("tell", viewer=1, message={"t": "clipboard", "text": "a" * 262_145})
    assert (await eventually(lambda: peer.heard("error"), "an error"))[0]["code"] == "too-long"
    assert not peer.heard("clipboard")
    await server.ask("tell", viewer=1, message={"t": "clipboard", "text": "a"})
    await eventually(lambda: peer.heard("clipboard"), "a text")


async def test_the_server_speaks_to_one_or_to_all(server, peer):
    other = Peer(server, 2)
    await other.join("s", rights="view")
    await server.ask("tell", viewer=2, message={"t": "lease", "holder": "agent", "name": "agent", "wanted_by": None})
    await server.ask("tell", sandbox="s", message={"t": "state", "state": "frozen", "reason": "idle"})
    await eventually(lambda: other.heard("state"), "state")
    assert other.messages[0]["t"] == "hello"  # what came before the channel was open has waited
    assert other.heard("lease")[0]["holder"] == "agent"
    await eventually(lambda: peer.heard("state"), "state")
    assert peer.heard("lease") == []
    await other.leave()


async def test_a_hidden_page_gets_no_video_until_it_is_back(server, screen, peer):
    await peer.sees((0, 0, 0), 0, 0)
    peer.say(t="visible", visible=False)
    peer.say(t="ping", at=1)
    await eventually(lambda: peer.heard("pong"), "pong")
    screen.pixels[..., :3] = (220, 40, 30)
    stats = await server.viewer_stats("s", 1)
    assert stats["codec"] is None
    peer.say(t="visible", visible=True)
    await peer.sees((220, 40, 30), 0, 0)


async def test_stats_come_each_second_to_who_asked(server, peer):
    peer.say(t="stats", on=True)
    stats = (await eventually(lambda: peer.heard("stats"), "stats"))[0]
    assert set(stats["frames"]) == {"captured", "encoded", "sent", "dropped"}
    assert stats["transport"] == "webrtc"
    assert stats["codec"] == "h264"
    assert stats["viewers"] == 1
    later = await eventually(lambda: [s for s in peer.heard("stats") if s["rtt_ms"] is not None], "a round trip")
    assert 0 <= later[0]["rtt_ms"] < 1000
    assert set(later[0]["clock"]) == {"rtp", "captured"}


async def test_a_detached_desktop_tells_its_viewers_why(server, peer):
    await server.ask("desktop.detach", sandbox="s", reason="its time was up")
    await eventually(lambda: "closed" in server.states(1), "closed")
    assert server.of("viewer.state", viewer=1, state="closed")[0]["reason"] == "its time was up"
    await eventually(lambda: peer.heard("state"), "state")
    assert peer.heard("state")[0] == {"t": "state", "state": "ended", "reason": "its time was up"}
