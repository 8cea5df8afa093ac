"""Who shares an encoder with whom, until when, and that the figures of encoders that are gone stay in the totals."""

from __future__ import annotations

import json

import pytest

from streamer import desktop as desktop_module
from streamer.capture import CaptureFigures
from streamer.desktop import Desktop
from streamer.parting import LONGEST_RETURN_S, RELAPSE_S, RETURN_S, Parting, is_near
from streamer.viewer import Viewer
from tests.streamer.harness import eventually
from tests.streamer.sockets import SocketPage


class StandingStill:
    """A capture that looks at nothing."""

    def __init__(self, *_: object) -> None:
        self.figures = CaptureFigures()
        self.lanes = ()

    def set_lanes(self, lanes) -> None:
        self.lanes = tuple(lanes)

    def wake(self, **_: object) -> None:
        pass


class Screen:
    def size(self) -> tuple[int, int]:
        return 640, 400


class Server:
    """What desktops and viewers tell."""

    def __init__(self) -> None:
        self.failed: list[tuple[str, str]] = []

    def recording_failed(self, sandbox: str, why: str) -> None:
        self.failed.append((sandbox, why))

    def __getattr__(self, _name: str):
        return lambda *_: None


class Watcher(Viewer):
    transport = "webrtc"

    def send_text(self, text: str) -> None:
        json.loads(text)

    def shut(self) -> None:
        pass


@pytest.fixture
def desktop(monkeypatch) -> Desktop:
    monkeypatch.setattr(desktop_module, "Capture", StandingStill)
    return Desktop("s", Screen(), 60, Server())


def join(desktop: Desktop, *numbers: int) -> list[Watcher]:
    viewers = [Watcher(number, "view", desktop, Server(), "h264") for number in numbers]
    for viewer in viewers:
        desktop.add(viewer)
        bears(desktop, viewer, 10e6)
    return viewers


def bears(desktop: Desktop, viewer: Viewer, bps: float) -> None:
    desktop.rate(viewer).path(viewer.number, 0.0).bps = bps


def shared(desktop: Desktop) -> list[bool]:
    """Of each encoder, whether it is nobody's own."""
    return [lane.key.owner is None for lane in desktop.capture.lanes]


def test_a_slow_viewer_shares_again_once_it_has_been_near_the_others(desktop):
    *_, slow = join(desktop, 1, 2, 3)
    assert shared(desktop) == [True]
    bears(desktop, slow, 1e6)
    desktop.tick(100.0)
    assert shared(desktop) == [True, False]
    bears(desktop, slow, 5e6)  # no outlier any more, and not near yet
    for second in range(101, 140):
        desktop.tick(float(second))
    assert shared(desktop) == [True, False]
    bears(desktop, slow, 8e6)
    desktop.tick(140.0)
    desktop.tick(140.0 + RETURN_S - 0.1)
    assert shared(desktop) == [True, False]
    desktop.tick(140.0 + RETURN_S)
    assert shared(desktop) == [True]


def test_one_who_has_nobody_to_share_with_stays_as_it_is(desktop):
    one, slow = join(desktop, 1, 2)
    bears(desktop, slow, 1e6)
    desktop.tick(0.0)
    one.close("left")
    bears(desktop, slow, 10e6)
    for second in range(60):
        desktop.tick(float(second))
    assert shared(desktop) == [False]


def test_who_comes_back_too_early_waits_twice_as_long_the_next_time():
    parting, now = Parting(), 0.0
    waited = []
    for _ in range(8):
        parting.part(now)
        began = now
        while not parting.returns(True, now):
            now += 1.0
        waited.append(now - began)
        assert not parting.alone
        now += 5.0
    assert waited == [RETURN_S, 20, 40, 80, 160, LONGEST_RETURN_S, LONGEST_RETURN_S, LONGEST_RETURN_S]
    now += RELAPSE_S
    parting.part(now)
    assert not parting.returns(True, now)
    assert parting.returns(True, now + RETURN_S)


def test_a_moment_of_trouble_begins_the_wait_anew():
    parting = Parting()
    parting.part(0.0)
    assert not parting.returns(True, 1.0)
    assert not parting.returns(False, 9.0)
    assert not parting.returns(True, 11.5)
    assert not parting.returns(True, 21.0)
    assert parting.returns(True, 21.5)


def test_pictures_by_themselves_are_never_shared():
    parting = Parting(always=True)
    parting.part(0.0)
    assert parting.alone
    assert not parting.returns(True, 1000.0)


def test_near_is_so_much_of_the_median():
    assert is_near(6.0, [10.0, 10.0, 1.0])
    assert not is_near(5.9, [10.0, 10.0, 1.0])
    assert not is_near(5.9, [])
    assert not is_near(None, [10.0])


def test_a_recording_that_fails_is_told_to_the_server(desktop):
    class Film:
        abandoned = False

        def abandon(self) -> None:
            self.abandoned = True

    film = Film()
    desktop.start_recording(film)
    desktop.failed(film, "OSError: no space")
    assert film.abandoned
    assert desktop._events.failed == [("s", "OSError: no space")]
    desktop.failed(film, "once more")
    assert len(desktop._events.failed) == 1


async def test_totals_keep_what_encoders_did_that_are_gone(server, screen):
    await server.attach("s", screen)
    stays, goes = SocketPage(server, 1), SocketPage(server, 2)
    await stays.join("s")
    await goes.join("s", codecs=("jpeg",))
    for number in range(5):
        count = len(goes.frames)
        screen.pixels[..., 1] = 40 + 20 * number
        await eventually(lambda count=count: len(goes.frames) > count, "the next picture")
    before = (await server.ask("stats"))["desktops"]["s"]
    await server.ask("viewer.close", viewer=2, reason="left")
    after = (await server.ask("stats"))["desktops"]["s"]
    assert list(after["viewers"]) == ["1"]
    for what in ("encoded", "keyframes", "dropped", "captured"):
        assert after[what] >= before[what], what
