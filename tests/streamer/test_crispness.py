"""How soon a screen that stands still is crisp, also when a packet was lost: real encoder and decoder, simulated time.

The network is a table: a frame is there half a round trip after it was made. A packet that was lost is asked for when
one after it arrives, and comes a round trip later (RFC 4585); until then nothing after it can be decoded. Bitrates are
the orders that a lane is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
import pytest

from streamer.bitrate import SHARPEN_BPS, START_BPS
from streamer.desktop import _CALM_BOOST, _REFINE_BOOST
from streamer.lane import Lane, LaneKey
from streamer.picture import Picture
from tests.streamer.peers import luma, luma_psnr
from tests.streamer.test_quality import CRISP_DB, text_page

FPS = 60
CRISP_S, CRISP_AFTER_LOSS_S = 0.3, 0.4
RTT_S = 0.02
WIDTH, HEIGHT = 1280, 800
CALM_BPS = int(START_BPS * _CALM_BOOST)
NEAR_BPS = min(SHARPEN_BPS, int(START_BPS * _REFINE_BOOST))


@dataclass(frozen=True)
class Sent:
    """A frame: when it was made (seconds after the last change), its packets, and how it looks once decoded."""

    at: float
    packets: int
    psnr: float


def scrolled() -> list[np.ndarray]:
    """Half a second of scrolling through a page full of text."""
    page = text_page(WIDTH, HEIGHT + 400)
    return [page[step * 7 : step * 7 + HEIGHT] for step in range(30)]


def typed() -> list[np.ndarray]:
    """One letter typed into a page of text."""
    before = text_page(WIDTH, HEIGHT)
    after = before.copy()
    after[400:416, 600:609] = 0
    return [before] * 40 + [after]


def frames_after_the_last_change(pictures: list[np.ndarray], refine_bps: int) -> list[Sent]:
    """Run a lane through the pictures, one a look, and a second longer."""
    lane = Lane(LaneKey("h264"), FPS)
    lane.orders.bps, lane.orders.refine_bps, lane.orders.ask_key = START_BPS, refine_bps, True
    decoder = av.CodecContext.create("h264", "r")
    last, wanted = len(pictures) - 1, luma(pictures[-1])
    sent = []
    for look in range(last + 1 + FPS):
        pixels, now = pictures[min(look, last)], 1000 + look / FPS
        changed = look == 0 or (look <= last and pixels is not pictures[look - 1])
        frame = lane.step(Picture(pixels, None, now), changed, now)
        if frame is None:
            continue
        shown = decoder.decode(av.Packet(frame.data))[-1]
        if look >= last:
            sent.append(Sent((look - last) / FPS, len(frame.payloads), luma_psnr(shown, wanted)))
    return sent


def crisp_at(sent: list[Sent], lost: int | None = None) -> float:
    """Seconds until a crisp picture is shown, if the last packet of frame `lost` is lost; infinite if never."""
    waits_until = 0.0
    for number, frame in enumerate(sent):
        arrives = frame.at + RTT_S / 2
        if number == lost:
            # what comes next shows the gap; where nothing does, this frame never is whole
            waits_until = sent[number + 1].at + RTT_S / 2 + RTT_S if number + 1 < len(sent) else float("inf")
        if frame.psnr >= CRISP_DB and max(arrives, waits_until) != float("inf"):
            return max(arrives, waits_until)
    return float("inf")


@pytest.mark.parametrize(("pictures", "refine_bps"), [(scrolled, NEAR_BPS), (typed, NEAR_BPS), (typed, START_BPS)])
def test_text_that_stands_still_is_crisp_soon(pictures, refine_bps):
    assert crisp_at(frames_after_the_last_change(pictures(), refine_bps)) <= CRISP_S


@pytest.mark.parametrize("pictures", [scrolled, typed])
@pytest.mark.parametrize("refine_bps", [NEAR_BPS, CALM_BPS])  # one lost packet does not end a path's calm
def test_it_is_so_whichever_packet_is_lost(pictures, refine_bps):
    sent = frames_after_the_last_change(pictures(), refine_bps)
    assert sent[-1].at < 1.0, "it never comes to rest"
    late = {lost: crisp_at(sent, lost) for lost in range(len(sent))}
    assert max(late.values()) <= CRISP_AFTER_LOSS_S, late


def test_a_change_that_is_crisp_at_once_is_repeated_in_case_its_only_packet_is_lost():
    sent = frames_after_the_last_change(typed(), CALM_BPS)
    assert sent[0].psnr >= CRISP_DB
    assert crisp_at(sent[:1], lost=0) == float("inf"), "the simulated loss hides it"
    assert crisp_at(sent, lost=0) <= CRISP_AFTER_LOSS_S
    assert sent[-1].at >= 0.3, "the last repeat comes after a burst of losses"


def test_each_letter_that_is_typed_is_crisp_at_once_and_costs_few_frames():
    picture, lane, decoder = text_page(WIDTH, HEIGHT), Lane(LaneKey("h264"), FPS), av.CodecContext.create("h264", "r")
    lane.orders.bps, lane.orders.refine_bps, lane.orders.ask_key = START_BPS, NEAR_BPS, True
    looks_a_letter, letters, encoded = 5, 24, 0
    for look in range(2 * FPS + looks_a_letter * letters):
        letter, since = divmod(look - 2 * FPS, looks_a_letter)  # the page itself becomes crisp first
        changed = look == 0 or (letter >= 0 and since == 0)
        if changed and look:
            picture = picture.copy()
            picture[400:416, 100 + 9 * letter : 109 + 9 * letter] = 0
        frame = lane.step(Picture(picture, None, 1000 + look / FPS), changed, 1000 + look / FPS)
        if frame is None:
            continue
        shown = decoder.decode(av.Packet(frame.data))[-1]
        if letter >= 0:
            encoded += 1
            assert luma_psnr(shown, luma(picture)) >= CRISP_DB
    assert letters <= encoded <= 2.5 * letters
