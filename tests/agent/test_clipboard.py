"""The agent's clipboard operations on a real X server, with another program that copies and pastes."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from desktop_sandbox.errors import DeadlineError, GuestError, InvalidRequestError
from desktop_sandbox.microvm.channel import AgentChannel
from tests.agent.conftest import DISPLAY, Guest
from tests.agent.test_with_x import XServer, x_server  # noqa: F401

pytestmark = [
    pytest.mark.skipif(not shutil.which("Xvfb"), reason="needs Xvfb"),
    pytest.mark.usefixtures("x_server"),
]
PEER = str(Path(__file__).parent / "clipboard_peer.py")
TEXTS = ["héllo 世界 🙂\nline", "", "x" * 300_000 + "Ω"]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Another program owns the clipboard with these bytes."""
    running: list[subprocess.Popen[bytes]] = []

    def start(data: bytes, how: str = "plain") -> None:
        source = tmp_path / f"copied-{len(running)}"
        source.write_bytes(data)
        peer = subprocess.Popen([sys.executable, PEER, DISPLAY, "own", str(source), how], stdout=subprocess.PIPE)
        running.append(peer)
        assert peer.stdout is not None
        assert peer.stdout.readline() == b"ready\n"

    yield start
    for peer in running:
        peer.kill()
        peer.wait()
        assert peer.stdout is not None
        peer.stdout.close()


async def paste(folder: Path, target: str = "UTF8_STRING") -> bytes:
    out = folder / "pasted"
    peer = await asyncio.create_subprocess_exec(sys.executable, PEER, DISPLAY, "paste", target, str(out))
    assert await asyncio.wait_for(peer.wait(), 20) == 0
    return out.read_bytes()


async def set_text(channel: AgentChannel, text: str) -> None:
    async def body():
        if text:
            yield text.encode()

    assert await channel.request("clipboard.set", {}, stdin=body()) == {"size": len(text.encode())}


async def get_text(channel: AgentChannel) -> str:
    data = bytearray()
    answer = await channel.request("clipboard.get", {}, on_data=lambda _, chunk: data.extend(chunk))
    assert answer["size"] == len(data)
    return data.decode()


@pytest.mark.parametrize("text", TEXTS, ids=["unicode", "empty", "large"])
async def test_what_is_set_is_pasted_by_others_and_read_back(guest: Guest, channel: AgentChannel, tmp_path, text):
    await set_text(channel, text)
    assert await paste(tmp_path) == text.encode()
    assert await get_text(channel) == text


async def test_each_form_of_the_text_is_given(guest: Guest, channel: AgentChannel, tmp_path):
    await set_text(channel, "é Ω")
    assert await paste(tmp_path, "text/plain;charset=utf-8") == "é Ω".encode()
    assert await paste(tmp_path, "STRING") == b"\xe9 ?"
    assert await paste(tmp_path, "image/png") == b"REFUSED"
    assert len(await paste(tmp_path, "TARGETS")) >= 5


@pytest.mark.parametrize("how", ["plain", "chunks"])
@pytest.mark.parametrize("text", ["ünï", "y" * 200_000 + "Ω"], ids=["short", "large"])
async def test_what_others_copied_is_read(guest: Guest, channel: AgentChannel, copy, how, text):
    copy(text.encode(), how)
    assert await get_text(channel) == text


async def test_a_program_that_knows_only_latin_is_understood(guest: Guest, channel: AgentChannel, copy):
    copy("né".encode("latin-1"), "latin")
    assert await get_text(channel) == "né"


async def test_nothing_copied_is_an_empty_text(guest: Guest, channel: AgentChannel):
    assert await get_text(channel) == ""


async def test_an_owner_that_hangs_costs_its_reader_and_nobody_else(guest: Guest, channel: AgentChannel, copy):
    copy(b"never", "hang")
    reading = asyncio.create_task(get_text(channel))
    begun = time.monotonic()
    moves = [{"type": "move", "x": 5, "y": 6}, {"type": "cursor_position"}]
    assert (await channel.request("actions.run", {"actions": moves}))["results"][1] == {"x": 5, "y": 6}
    assert time.monotonic() - begun < 2
    with pytest.raises(DeadlineError, match="did not hand it over"):
        await reading
    copy(b"now")
    assert await get_text(channel) == "now"


def png(width: int, height: int) -> bytes:
    """A picture of noise, so that its file is about as long as its pixels."""
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    done, data = cv2.imencode(".png", pixels)
    assert done
    return data.tobytes()


async def set_picture(channel: AgentChannel, data: bytes) -> None:
    async def body():
        for start in range(0, len(data), 64 << 10):
            yield data[start : start + (64 << 10)]

    assert await channel.request("clipboard.set", {"form": "png"}, stdin=body()) == {"size": len(data)}


async def get_form(channel: AgentChannel, form: str) -> bytes:
    data = bytearray()
    await channel.request("clipboard.get", {"form": form}, on_data=lambda _, chunk: data.extend(chunk))
    return bytes(data)


@pytest.mark.parametrize("size", [(8, 8), (600, 400)], ids=["small", "large"])
async def test_a_picture_is_pasted_by_others_and_read_back(guest: Guest, channel: AgentChannel, tmp_path, size):
    picture = png(*size)
    await set_picture(channel, picture)
    assert await paste(tmp_path, "image/png") == picture
    assert await paste(tmp_path) == b"REFUSED"  # a picture is no text
    assert await get_form(channel, "png") == picture
    assert await get_form(channel, "text") == b""
    await set_text(channel, "text again")
    assert await get_form(channel, "png") == b""
    assert await paste(tmp_path, "image/png") == b"REFUSED"


@pytest.mark.parametrize("how", ["png", "png-chunks"])
async def test_a_picture_that_others_copied_is_read(guest: Guest, channel: AgentChannel, copy, how):
    picture = png(300, 200)
    copy(picture, how)
    assert await get_form(channel, "png") == picture
    assert await get_form(channel, "text") == b""


async def test_a_picture_is_a_png_within_bounds(guest: Guest, channel: AgentChannel):
    with pytest.raises((GuestError, InvalidRequestError), match="no PNG"):
        await set_picture(channel, b"GIF89a")
    with pytest.raises((GuestError, InvalidRequestError), match="no form"):
        await get_form(channel, "bmp")
    with pytest.raises(GuestError) as caught:
        await set_picture(channel, b"\x89PNG\r\n\x1a\n" + bytes(16 << 20))
    assert caught.value.evidence["code"] == "too-large"


async def test_changes_are_noticed(guest: Guest, channel: AgentChannel, copy):
    first = (await channel.request("clipboard.watch", {"after": 77, "wait_ms": 0}))["serial"]
    waiting = asyncio.create_task(channel.request("clipboard.watch", {"after": first}))
    await asyncio.sleep(0)
    copy(b"new")
    assert (await asyncio.wait_for(waiting, 5))["serial"] > first
    same = (await channel.request("clipboard.watch", {"after": 1000, "wait_ms": 0}))["serial"]
    begun = time.monotonic()
    assert (await channel.request("clipboard.watch", {"after": same, "wait_ms": 100}))["serial"] == same
    assert time.monotonic() - begun >= 0.1


async def test_too_much_and_no_text_are_refused(guest: Guest, channel: AgentChannel, copy):
    with pytest.raises(GuestError) as caught:
        await set_text(channel, "x" * ((1 << 20) + 1))
    assert caught.value.evidence["code"] == "too-large"

    async def latin():
        yield b"\xff\xfe"

    with pytest.raises((GuestError, InvalidRequestError), match="not UTF-8"):
        await channel.request("clipboard.set", {}, stdin=latin())
    copy(b"z" * ((1 << 20) + 1), "chunks")
    with pytest.raises(GuestError) as caught:
        await get_text(channel)
    assert caught.value.evidence["code"] == "too-large"


async def test_a_new_x_server_has_a_clipboard_again(x_server: XServer, guest: Guest, channel: AgentChannel):  # noqa: F811
    await set_text(channel, "one")
    x_server.kill()
    with pytest.raises(GuestError) as caught:
        await set_text(channel, "two")
    assert caught.value.evidence["code"] == "unavailable"
    await x_server.start()
    deadline = time.monotonic() + 5
    while True:
        with suppress(GuestError):
            await set_text(channel, "three")
            break
        assert time.monotonic() < deadline
    assert await get_text(channel) == "three"
