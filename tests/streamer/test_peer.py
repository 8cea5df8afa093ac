"""A real streamer, a real aiortc peer: pixels, input, loss, joining and leaving."""

from __future__ import annotations

import re

from aiortc import RTCSessionDescription

from tests.streamer.harness import eventually
from tests.streamer.peers import Peer


async def test_a_peer_sees_the_pixels_and_their_changes(server, screen):
    screen.pixels[:] = (200, 120, 40, 0)
    await server.attach("s", screen)
    peer = Peer(server, 1)
    answer = await peer.join("s")
    assert "H264" in answer
    hello = await peer.greeted()
    assert (hello["width"], hello["height"], hello["rights"], hello["version"]) == (640, 400, "control", 1)
    await peer.sees((200, 120, 40), 0, 0)
    screen.pixels[100:200, 100:200] = (20, 30, 220, 0)
    await peer.sees((20, 30, 220), 150, 150)
    await peer.sees((200, 120, 40), 639, 399)
    assert server.states(1) == ["connecting", "live"]
    await peer.leave()
    await eventually(lambda: "closed" in server.states(1), "closed")
    assert [event["watched"] for event in server.of("desktop.watched")] == [True, False]


async def test_a_player_that_gives_only_names_of_mdns_is_found_by_its_own_checks(server, screen):
    screen.pixels[:] = (200, 120, 40, 0)
    await server.attach("s", screen)
    peer = Peer(server, 1)
    await peer.pc.setLocalDescription(await peer.pc.createOffer())
    plain = peer.pc.localDescription.sdp
    hidden = re.sub(r"(a=candidate:\S+ \d+ udp \d+ )\S+", r"\g<1>0b1c-2d.local", plain)
    assert "a=end-of-candidates" in hidden
    assert hidden.count(".local ") == plain.count("a=candidate:")
    reply = await server.ask("viewer.offer", viewer=1, sandbox="s", rights="view", sdp=hidden)
    await peer.pc.setRemoteDescription(RTCSessionDescription(reply["sdp"], "answer"))
    await peer.sees((200, 120, 40), 320, 200)
    await peer.leave()
