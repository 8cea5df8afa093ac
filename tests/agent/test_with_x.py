"""The agent with a real X server: actions, windows, and an X server that is killed and comes back."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from desktop_sandbox.errors import GuestError
from guest_image.agent.x import typist
from tests.agent.conftest import DISPLAY, Guest, running_guest

pytestmark = pytest.mark.skipif(not shutil.which("Xvfb"), reason="needs Xvfb")


class XServer:
    def __init__(self, name: str) -> None:
        self.name = name
        self.process: subprocess.Popen | None = None

    async def start(self) -> None:
        command = ["Xvfb", self.name, "-screen", "0", "800x600x24", "-noreset", "-nolisten", "tcp"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(200):
            probe = subprocess.run(["xdpyinfo", "-display", self.name], capture_output=True, check=False)
            if probe.returncode == 0:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("Xvfb does not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest_asyncio.fixture
async def x_server():
    server = XServer(DISPLAY)
    await server.start()
    yield server
    server.kill()


async def test_actions_windows_and_a_new_x_server(x_server, guest: Guest, channel):
    moves = [{"type": "move", "x": 0, "y": 0}, {"type": "move", "x": 799, "y": 599}, {"type": "cursor_position"}]
    answer = await channel.request("actions.run", {"actions": moves})
    assert answer == {"results": [{}, {}, {"x": 799, "y": 599}], "failed": None}
    unknown = await channel.request("actions.run", {"actions": [{"type": "key", "keys": ["Retrun"]}]})
    assert unknown["failed"]["code"] == "invalid"
    assert await channel.request("windows.list") == []
    assert (await channel.request("windows.active"))["id"] is None
    x_server.kill()
    with pytest.raises(GuestError) as caught:
        await channel.request("windows.list")
    assert caught.value.evidence["code"] == "unavailable"
    assert (await channel.request("actions.run", {"actions": moves}))["failed"]["code"] == "no_display"
    await x_server.start()
    assert (await channel.request("actions.run", {"actions": moves}))["failed"] is None
    assert await channel.request("windows.list") == []


async def test_the_cursor_has_the_name_that_its_program_gave_it(x_server, guest: Guest, channel):
    # the root window's, where the pointer is; NameCursor (XFIXES 23) as toolkits call it
    code = (
        "import sys, time\n"
        "from Xlib import X\n"
        "from Xlib.display import Display\n"
        "from Xlib.protocol import rq\n"
        "class Name(rq.Request):\n"
        "    _request = rq.Struct(rq.Card8('opcode'), rq.Opcode(23), rq.RequestLength(), rq.Card32('cursor'),\n"
        "                         rq.LengthOf('name', 2), rq.Pad(2), rq.String8('name'))\n"
        "display = Display(sys.argv[1])\n"
        "display.xfixes_query_version()\n"
        "font = display.open_font('cursor')\n"
        "cursor = font.create_glyph_cursor(font, 152, 153, (0, 0, 0), (65535, 65535, 65535))\n"
        "Name(display=display.display, opcode=display.display.get_extension_major('XFIXES'), cursor=cursor.id,\n"
        "     name='xterm')\n"
        "display.screen().root.change_attributes(cursor=cursor)\n"
        "display.sync()\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    before = await channel.request("cursor.name")
    assert before["name"] != "xterm"
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", code, DISPLAY, stdout=asyncio.subprocess.PIPE)
    try:
        assert program.stdout is not None
        assert await asyncio.wait_for(program.stdout.readline(), 20) == b"ready\n"
        found = await channel.request("cursor.name")
        assert found["name"] == "xterm"
        assert found["serial"] != before["serial"]
    finally:
        program.kill()
        await program.wait()


RECORDER = Path(__file__).parents[1] / "guest_x" / "recorder.py"


@asynccontextmanager
async def reader(folder: Path, *options: str):
    """A program with the focus, which takes `--slow` seconds over each key."""
    log = folder / "events"
    process = await asyncio.create_subprocess_exec(sys.executable, str(RECORDER), DISPLAY, str(log), *options)
    try:
        async with asyncio.timeout(20):
            while not (log.exists() and "ready" in log.read_text()):
                await asyncio.sleep(0.02)
        yield
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
def impatient(monkeypatch):
    """An application may take two seconds over its keys; an X server that says nothing for half a second hangs."""
    monkeypatch.setattr(typist, "STALL_S", 2.0)
    return {"x_timeout_s": 0.5}


async def test_an_application_that_reads_no_keys_is_named_with_the_count(x_server, tmp_path, impatient):
    actions = [{"type": "cursor_position"}, {"type": "type", "text": "y" * 1000}]
    async with running_guest(tmp_path, **impatient) as guest, reader(tmp_path, "--ping", "--slow", "30"):
        channel = await guest.hub.channel()
        answer = await channel.request("actions.run", {"batch_id": "slow", "actions": actions})
        assert (answer["failed"]["code"], answer["failed"]["index"]) == ("not_responding", 1)
        assert 0 < answer["failed"]["partial"]["typed"] < 500
        assert answer["results"][0].keys() == {"x", "y"}
        assert await channel.request("actions.run", {"batch_id": "slow", "actions": actions}) == answer
        await channel.aclose()


async def test_so_it_is_where_a_key_waits_in_the_express_lane(x_server, tmp_path, impatient):
    async with running_guest(tmp_path, **impatient) as guest, reader(tmp_path, "--ping", "--slow", "30"):
        channel = await guest.hub.channel()
        press = {"actions": [{"type": "key", "keys": ["y"]}, {"type": "key_down", "key": "世"}]}
        answer = await channel.request("actions.run", press, port="input")
        assert (answer["failed"]["code"], answer["results"]) == ("not_responding", [{}])
        await channel.aclose()


async def test_a_wait_may_take_longer_than_an_x_server_may_say_nothing(x_server, tmp_path, impatient):
    async with running_guest(tmp_path, **impatient) as guest:
        channel = await guest.hub.channel()
        wait = {"actions": [{"type": "wait", "duration_ms": 1500}, {"type": "cursor_position"}]}
        assert (await channel.request("actions.run", wait))["failed"] is None
        await channel.aclose()


async def test_typing_with_long_pauses_is_cancelled_at_once_and_says_how_far_it_came(x_server, channel, tmp_path):
    async with reader(tmp_path, "--ping"):
        slow = {"actions": [{"type": "type", "text": "abcdef", "delay_ms": 10_000}]}
        async with channel.stream("actions.run", slow) as exchange:
            async with asyncio.timeout(20):
                while '"press"' not in (tmp_path / "events").read_text():
                    await asyncio.sleep(0.02)
            began = time.monotonic()
            channel.cancel(exchange)
            with pytest.raises(GuestError) as caught:
                await exchange.result()
        assert time.monotonic() - began < 1.4
        failed = caught.value.evidence["detail"]["failed"]
        assert (failed["code"], failed["partial"]) == ("cancelled", {"typed": 1})
