"""A picture that stands still is crisp soon, also after losses: decoded with PyAV from the streamer's own packets."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter

import numpy as np
from PIL import Image, ImageDraw

from tests.streamer.harness import DEADLINE_S, Screen, eventually
from tests.streamer.peers import Peer, luma, luma_psnr

CRISP_DB = 45.0


def text_page(width: int, height: int, seed: int = 1) -> np.ndarray:
    """Black text on white all over, as hard to encode as a terminal full of text is."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz ABCDEFGHIJ 0123456789"))
    for y in range(0, height, 16):
        draw.text((4, y), "".join(rng.choice(letters, width // 7)), fill=tuple(int(v) for v in rng.integers(0, 140, 3)))
    return np.dstack([np.asarray(image)[..., ::-1], np.zeros((height, width), np.uint8)])


async def crisp(peer: Peer, screen: Screen) -> float:
    """Seconds until the peer's newest frame is crisp. Each frame is judged once: this test shares the peer's loop."""
    began, wanted, judged, seen = time.monotonic(), luma(screen.pixels), -1, 0.0
    while seen < CRISP_DB:
        assert time.monotonic() - began < DEADLINE_S, f"only {seen:.1f} dB"
        if peer.frame is not None and judged != peer.frames:
            judged, seen = peer.frames, luma_psnr(peer.frame, wanted)
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def test_text_is_crisp_after_scrolling_and_then_nothing_is_sent(server, tmp_path):
    screen = Screen(tmp_path / "screen", 1280, 800)
    page = text_page(1280, 1600)
    screen.pixels[:] = page[:800]
    await server.attach("s", screen)
    peer = Peer(server, 1)
    await peer.join("s")
    await crisp(peer, screen)
    for step in range(30):
        screen.pixels[:] = page[step * 7 : step * 7 + 800]
        await asyncio.sleep(1 / 60)
    await crisp(peer, screen)
    sent = await at_rest(server)
    for _ in range(3):  # looks go on, packets do not
        before = len(peer.heard("pong"))
        peer.say(t="ping", at=1)
        await eventually(lambda before=before: len(peer.heard("pong")) > before, "pong")
    stats = await server.viewer_stats("s", 1)
    assert stats["frames"]["sent"] == sent
    # none but the first that nobody asked for; a receiver that could not keep up does ask
    assert stats["keyframes"] <= 1 + peer.pleas + stats["frames"]["dropped"]
    await peer.leave()


async def at_rest(server) -> int:
    """Frames sent, once none was for a second."""
    while True:
        stats = await server.viewer_stats("s", 1)
        if stats["fps"] == 0:
            return stats["frames"]["sent"]
        await asyncio.sleep(0.05)


class Loss:
    """Drops some of what a peer receives, as a bad network does."""

    def __init__(self, peer: Peer) -> None:
        transport = peer.receiver.transport.transport
        self.drop = lambda data: False
        self.dropped = 0
        receive = transport._recv

        async def lossy() -> bytes:
            while True:
                data = await receive()
                is_rtp = data[0] > 127 and not 192 <= data[1] <= 208
                if not (is_rtp and self.drop(data)):
                    return data
                self.dropped += 1

        transport._recv = lossy


async def test_a_lost_last_packet_is_noticed_by_the_repeats(server, screen):
    screen.pixels[:] = text_page(640, 400)
    await server.attach("s", screen)
    peer = Peer(server, 1)
    await peer.join("s")
    loss = Loss(peer)
    await crisp(peer, screen)
    await at_rest(server)
    once = iter([True, True])
    loss.drop = lambda _data: next(once, False)
    screen.pixels[100:116, 100:110] = 0
    await eventually(lambda: loss.dropped == 2, "losses")
    await crisp(peer, screen)
    await peer.leave()


async def test_random_loss_heals(server, screen):
    # drawn before: this loop is the receiver's, too
    texts = [text_page(640, 400, seed=1 + part) for part in range(3)]
    pages = [np.roll(texts[step // 20], 7 * step, axis=0) for step in range(60)]
    screen.pixels[:] = text_page(640, 400)
    await server.attach("s", screen)
    peer = Peer(server, 1)
    await peer.join("s")
    loss = Loss(peer)
    await peer.greeted()
    rng = np.random.default_rng(3)
    loss.drop = lambda _data: bool(rng.random() < 0.05)
    for page in pages:
        screen.pixels[:] = page
        await asyncio.sleep(1 / 60)
    assert loss.dropped > 0
    await crisp(peer, screen)
    await peer.leave()


async def test_where_packets_get_lost_all_come_twice_until_none_does(server, screen):
    text = text_page(640, 400, seed=2)
    screen.pixels[:] = text
    await server.attach("s", screen)
    peer = Peer(server, 1)
    await peer.join("s")
    loss, kinds = Loss(peer), Counter()
    await crisp(peer, screen)

    def count(data: bytes) -> int:
        """How many of these have come; media and retransmissions are different ones."""
        kinds[data[1] & 0x7F] += 1
        return kinds[data[1] & 0x7F]

    async def scroll_until(done) -> None:
        for step in itertools.count():
            if done(await server.viewer_stats("s", 1)):
                return
            assert step < 60 * DEADLINE_S, kinds
            screen.pixels[:] = np.roll(text, 9 * (step % 40), axis=0)
            await asyncio.sleep(1 / 60)

    loss.drop = lambda data: count(data) < 0
    await scroll_until(lambda stats: stats["frames"]["sent"] > 60)
    assert len(kinds) == 1, "nothing is lost, nothing is sent twice"
    loss.drop = lambda data: count(data) % 25 == 0
    await scroll_until(lambda stats: stats["repeated"] > 100)
    kinds.clear()
    before = (await server.viewer_stats("s", 1))["repeated"]
    await scroll_until(lambda stats: stats["repeated"] > before + 300)
    media, again = (seen for _, seen in sorted(kinds.items()))
    assert again > 0.3 * media, kinds  # without it, a twenty-fifth; what sharpens in between goes once
    loss.drop = lambda _data: False
    repeated = [before]
    await scroll_until(lambda stats: repeated.append(stats["repeated"]) or len(set(repeated[-60:])) == 1)
    await crisp(peer, screen)
    await peer.leave()


async def test_everything_lost_for_a_while_heals_by_a_keyframe(server, screen):
    moving, last = text_page(640, 400, seed=2), text_page(640, 400, seed=4)  # drawn before, as above
    screen.pixels[:] = text_page(640, 400)
    await server.attach("s", screen)
    peer = Peer(server, 1)
    await peer.join("s")
    loss = Loss(peer)
    await crisp(peer, screen)
    loss.drop = lambda _data: True
    lost_at = (await server.viewer_stats("s", 1))["frames"]["sent"]
    healed_at = None
    for step in range(2000):
        screen.pixels[:] = np.roll(moving, 9 * (step % 40), axis=0)
        await asyncio.sleep(1 / 60)
        stats = await server.viewer_stats("s", 1)
        if stats["frames"]["sent"] > lost_at + 40:
            loss.drop = lambda _data: False
        if stats["keyframes"] > 1:
            healed_at = peer.frames if healed_at is None else healed_at
            if peer.frames > healed_at + 30:  # this receiver asks only while something comes
                break
    screen.pixels[:] = last
    await crisp(peer, screen)
    await peer.leave()
