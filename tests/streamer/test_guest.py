"""A machine's screen: only a descriptor of its memory, the cursor beside the picture, and pages that lie."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from guest_image.agent.state_page import FILE_BYTES, HEADER_BYTES, ScreenState, pack
from tests.screen.screen_fakes import framebuffer_file, start_vm
from tests.streamer.harness import Server, eventually
from tests.streamer.peers import Peer

BLUE, RED = (220, 40, 30), (20, 30, 220)
STATE = ScreenState(2, 320, 200, 640, 400, 2560, 1, 10, 20, 1, 8, 8, 0, 0, 42)


class Guest:
    """A process with a framebuffer and a state page in its memory, like a QEMU."""

    def __init__(self, folder) -> None:
        self.file, self.page = folder / "fb", folder / "state"
        pixels = np.zeros((400, 640, 4), np.uint8)
        pixels[..., :3] = BLUE
        self.sizes = framebuffer_file(self.file, pixels)
        self.state(STATE)
        self.vm = start_vm([self.file, self.page])
        start = self.file.stat().st_size - pixels.nbytes
        self.pixels = np.memmap(self.file, np.uint8, "r+", start, pixels.shape)

    def state(self, state: ScreenState, colour: tuple[int, ...] = (0, 255, 255, 255)) -> None:
        cursor = np.full((state.cursor_height, state.cursor_width, 4), colour, np.uint8)
        with open(self.page, "r+b" if self.page.exists() else "wb") as file:
            file.write(pack(state))
            file.seek(HEADER_BYTES)
            file.write(cursor.tobytes())
            file.truncate(FILE_BYTES)

    @property
    def source(self) -> dict:
        memory = self.vm.memory
        display = {**self.sizes, "framebuffer": self.vm.wire[0], "state": self.vm.wire[1]}
        sizes = {"host_base": memory._base, "ram_bytes": memory._ram, "below_4g_bytes": memory._below}
        return {"kind": "guest", **sizes, "display": display}


@pytest.fixture
def guest(tmp_path):
    guest = Guest(tmp_path)
    yield guest
    guest.vm.close()


async def attach(server: Server, guest: Guest) -> None:
    await server.ask("desktop.attach", guest.vm.mem_fd, sandbox="s", source=guest.source)


async def test_the_cursor_comes_beside_the_picture(server, guest):
    await attach(server, guest)
    peer = Peer(server, 1)
    await peer.join("s")
    assert (await peer.greeted())["width"] == 320
    await peer.sees(BLUE, 12, 22)  # the cursor is not in it
    cursor = (await eventually(lambda: peer.heard("cursor"), "cursor"))[0]
    assert (cursor["serial"], cursor["width"], cursor["height"]) == (1, 8, 8)
    await eventually(lambda: {"t": "pointer", "x": 10, "y": 20} in peer.messages, "the pointer")
    guest.state(dataclasses.replace(STATE, seq=4, cursor_x=0, cursor_y=199))
    await eventually(lambda: {"t": "pointer", "x": 0, "y": 199} in peer.messages, "the pointer's new place")
    guest.state(dataclasses.replace(STATE, seq=6, cursor_serial=2, cursor_width=0, cursor_height=0))
    hidden = await eventually(lambda: [m for m in peer.heard("cursor") if m["serial"] == 2], "the hidden cursor")
    assert hidden[0]["png"] is None
    await peer.leave()


async def test_a_player_without_data_channels_gets_the_cursor_in_the_picture(server, guest):
    await attach(server, guest)
    page, player = Peer(server, 1), Peer(server, 2, channels=False)
    await page.join("s")
    await player.join("s", rights="view")
    await player.sees((0, 255, 255), 13, 23, within=40)
    await page.sees(BLUE, 13, 23)
    guest.state(dataclasses.replace(STATE, seq=4, cursor_x=100, cursor_y=100))
    await player.sees((0, 255, 255), 103, 103, within=40)
    await player.sees(BLUE, 13, 23)
    await player.leave()
    await page.leave()


async def test_another_size_makes_a_new_picture_and_a_message(server, guest):
    await attach(server, guest)
    peer = Peer(server, 1)
    await peer.join("s")
    await peer.sees(BLUE, 0, 0)
    guest.state(dataclasses.replace(STATE, seq=4, width=640, height=399, generation=2))
    await eventually(lambda: peer.heard("size"), "size")
    assert peer.heard("size")[0] == {"t": "size", "width": 640, "height": 398}
    await eventually(lambda: peer.picture is not None and peer.picture.shape == (398, 640, 3), "the larger picture")
    await peer.leave()


async def test_a_screen_that_is_no_more_is_stale_and_heals_when_attached_again(server, guest, tmp_path):
    await attach(server, guest)
    peer = Peer(server, 1)
    await peer.join("s")
    await peer.sees(BLUE, 0, 0)
    with guest.file.open("r+b") as file:
        kept = file.read(100)
        file.seek(0)
        file.write(b"\xff" * 100)
    await eventually(lambda: server.of("desktop.stale", sandbox="s"), "stale")
    assert len(server.of("desktop.stale")) == 1
    assert server.states(1) == ["connecting", "live"]
    late = Peer(server, 2)  # who comes meanwhile sees the last picture
    await late.join("s")
    await late.sees(BLUE, 0, 0)
    with guest.file.open("r+b") as file:
        file.write(kept)
    guest.pixels[..., :3] = RED
    await attach(server, guest)
    await peer.sees(RED, 0, 0)
    await late.sees(RED, 0, 0)
    await late.leave()
    await peer.leave()


async def test_facts_that_make_no_sense_are_refused_and_leak_no_descriptor(server, guest):
    before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    for change in (
        {"host_base": -1},
        {"host_base": "x"},
        {"ram_bytes": 0},
        {"display": None},
        {"display": {}},
        {"display": {**guest.source["display"], "stride_bytes": 7}},
        {"kind": "disk"},
    ):
        source = {**guest.source, **change}
        reply = await server.ask_raw("desktop.attach", guest.vm.mem_fd, sandbox="s", source=source)
        assert "error" in reply, change
    assert len(os.listdir(f"/proc/{server.process.pid}/fd")) == before
