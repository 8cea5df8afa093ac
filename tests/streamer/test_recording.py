"""Recordings: playable, with the time that passed, also when the streamer dies, also while nobody watches."""

from __future__ import annotations

import asyncio
import os
import signal

import av
import numpy as np

from streamer.recording import FRAGMENT_S, fit
from tests.streamer.harness import Screen, Server, eventually, start_process

BLUE, RED = (220, 40, 30), (20, 30, 220)


def decoded(path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def shows(frame: av.VideoFrame, colour: tuple[int, int, int]) -> bool:
    picture = frame.to_ndarray(format="bgr24").reshape(-1, 3).astype(int)
    return bool((np.abs(picture.mean(axis=0) - colour) < 8).all())


async def start(server: Server, path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    await server.ask("record.start", fd, sandbox="s", cursor=True)
    os.close(fd)


async def test_a_recording_has_the_pictures_and_their_time_while_nobody_watches(server, screen, tmp_path):
    screen.pixels[..., :3] = BLUE
    await server.attach("s", screen)
    await start(server, tmp_path / "film.mp4")
    assert [event["watched"] for event in server.of("desktop.watched")] == [True]
    await eventually(lambda: (tmp_path / "film.mp4").stat().st_size > 0, "the file")
    before = (await server.ask("stats"))["desktops"]["s"]["captured"]
    screen.pixels[..., :3] = RED
    while (await server.ask("stats"))["desktops"]["s"]["captured"] < before + 5:
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)  # what stands still takes time in the film too
    told = await server.ask("record.stop", sandbox="s")
    frames = decoded(tmp_path / "film.mp4")
    assert len(frames) == told["frames"]
    assert frames[0].pts == 0
    assert shows(frames[0], BLUE)
    assert shows(frames[-1], RED)
    assert told["duration_ms"] >= 1000
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert abs(container.duration / 1000 - told["duration_ms"]) < 60
        assert (stream.width, stream.height, stream.codec_context.name) == (640, 400, "h264")
    assert [event["watched"] for event in server.of("desktop.watched")] == [True, False]


async def test_a_recording_is_playable_when_the_streamer_was_killed(screen, tmp_path):
    sock, process = start_process()
    server = Server(sock, process)
    await server.ask("configure", ice_servers=[], udp_ports=None, public_address=None, max_fps=60)
    screen.pixels[..., :3] = BLUE
    await server.attach("s", screen)
    path = tmp_path / "film.mp4"
    await start(server, path)
    # the first fragment is written with the second keyframe
    await eventually(lambda: path.stat().st_size > 4000 or b"moof" in path.read_bytes(), "a fragment", 2 * FRAGMENT_S)
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.wait)
    await server.ended.wait()
    assert shows(decoded(path)[0], BLUE)


async def test_one_that_cannot_be_written_is_told(server, screen):
    await server.attach("s", screen)
    fd = os.open("/dev/full", os.O_RDWR)
    await server.ask("record.start", fd, sandbox="s", cursor=True)
    os.close(fd)
    (told,) = await eventually(lambda: server.of("recording.failed"), "the failure")
    assert told["sandbox"] == "s"
    assert told["reason"]
    assert (await server.ask_raw("record.stop", sandbox="s"))["error"]["code"] == "not-recording"


async def test_only_one_recording_at_a_time_and_none_to_stop(server, screen, tmp_path):
    await server.attach("s", screen)
    assert (await server.ask_raw("record.stop", sandbox="s"))["error"]["code"] == "not-recording"
    await start(server, tmp_path / "a.mp4")
    fd = os.open(tmp_path / "b.mp4", os.O_RDWR | os.O_CREAT, 0o600)
    assert (await server.ask_raw("record.start", fd, sandbox="s", cursor=True))["error"]["code"] == "recording"
    os.close(fd)
    assert (await server.ask_raw("record.start", sandbox="s", cursor=True))["error"]["code"] == "no-descriptor"
    await server.ask("record.stop", sandbox="s")


async def test_a_detached_desktop_closes_its_film(server, screen, tmp_path):
    screen.pixels[..., :3] = RED
    await server.attach("s", screen)
    path = tmp_path / "film.mp4"
    await start(server, path)
    await eventually(lambda: path.stat().st_size > 0, "the file")
    await server.ask("desktop.detach", sandbox="s", reason="over")

    def playable() -> bool:
        try:
            return shows(decoded(path)[-1], RED)
        except (av.FFmpegError, IndexError):
            return False

    await eventually(playable, "a playable film")


async def test_another_size_is_fitted_into_the_film(server, tmp_path):
    big, small = Screen(tmp_path / "big", 640, 400), Screen(tmp_path / "small", 320, 400)
    big.pixels[..., :3] = BLUE
    small.pixels[..., :3] = RED
    await server.attach("s", big)
    await start(server, tmp_path / "film.mp4")
    await eventually(lambda: (tmp_path / "film.mp4").stat().st_size > 0, "the file")
    before = (await server.ask("stats"))["desktops"]["s"]["captured"]
    await server.attach("s", small)
    while (await server.ask("stats"))["desktops"]["s"]["captured"] < before + 5:
        await asyncio.sleep(0.05)
    await server.ask("record.stop", sandbox="s")
    last = decoded(tmp_path / "film.mp4")[-1].to_ndarray(format="bgr24").astype(int)
    assert last.shape == (400, 640, 3)
    assert np.abs(last[200, 320] - RED).max() < 12
    assert last[200, 100].max() < 12


def test_fitting_keeps_the_proportions():
    white = np.full((150, 100), 128, np.uint8)
    white[:100] = 235
    fitted = fit(white, (200, 100))
    assert fitted.shape == (150, 200)
    assert fitted[50, 100] > 230
    assert fitted[50, 20] < 20
