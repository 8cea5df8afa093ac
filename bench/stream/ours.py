"""Our own live view of a plain Xvfb: the server's API, the pages and the media process, without any machine.

`python -m bench.stream.ours DISPLAY FRAMEBUFFER WIDTH HEIGHT HOME` serves until standard input ends; its first line is
the link to the view. Input of the page goes to the Xvfb by XTEST.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import uvloop
from Xlib import X
from Xlib.display import Display
from Xlib.ext import xtest

from actions.keysyms import resolve_key
from actions.model import Action, KeyDown, KeyUp, MouseDown, MouseUp, Move
from desktop_sandbox.api.app import create_app
from desktop_sandbox.api.server import Server, address_of, listen
from desktop_sandbox.config import ServerConfig
from desktop_sandbox.microvm.wall import find_wall
from desktop_sandbox.node.facts import SandboxInfo, SandboxState, ScreenSource
from desktop_sandbox.node.interface import Heard
from desktop_sandbox.stream.launch import launcher

ID = "sb-0000000000000000"
_UID = 1_890_000_000  # nobody's
_BUTTONS = {"left": 1, "middle": 2, "right": 3}


class XvfbNode:
    """The part of a node that the live view needs, for one Xvfb of this host."""

    def __init__(self, name: str, framebuffer: Path, size: tuple[int, int]) -> None:
        self._display = Display(name)
        self._framebuffer = framebuffer
        self._size = size

    def listen(self, heard: Heard) -> None:
        """There is no news of an Xvfb."""

    def watched(self, sandbox_ids: Collection[str]) -> None:
        """An Xvfb runs on, whoever looks."""

    async def get(self, sandbox_id: str) -> SandboxInfo:
        """The one desktop there is."""
        return SandboxInfo(sandbox_id, "xvfb", SandboxState.RUNNING, time.time(), None, {}, self._size)

    async def screen_source(self, sandbox_id: str, *, fresh: bool = False) -> ScreenSource:
        """Its framebuffer's file."""
        facts = {"kind": "xwd", "width": self._size[0], "height": self._size[1]}
        return ScreenSource(facts, os.open(self._framebuffer, os.O_RDONLY | os.O_CLOEXEC))

    async def press(self, sandbox_id: str, actions: Sequence[Action]) -> Mapping[str, Any] | None:
        """Input, by XTEST."""
        for action in actions:
            match action:
                case Move():
                    xtest.fake_input(self._display, X.MotionNotify, x=action.x, y=action.y)
                case MouseDown() | MouseUp():
                    kind = X.ButtonPress if isinstance(action, MouseDown) else X.ButtonRelease
                    xtest.fake_input(self._display, kind, _BUTTONS.get(action.button, 1))
                case KeyDown() | KeyUp():
                    kind = X.KeyPress if isinstance(action, KeyDown) else X.KeyRelease
                    xtest.fake_input(self._display, kind, self._display.keysym_to_keycode(resolve_key(action.key)))
        self._display.flush()
        return None

    async def clipboard_change(self, sandbox_id: str, after: int, wait_s: float) -> int:
        """It never changes."""
        await asyncio.sleep(wait_s)
        return after

    async def note(self, sandbox_id: str, kind: str, data: Mapping[str, Any]) -> None:
        """Nobody reads it."""


async def serve(name: str, framebuffer: Path, size: tuple[int, int], home: Path) -> None:
    """Serve until standard input ends."""
    config = ServerConfig(home=home, api_key=os.urandom(16).hex(), port=0)
    start = launcher(find_wall(_UID), home / "streamer.log", file_limit_bytes=1 << 30)
    node: Any = XvfbNode(name, framebuffer, size)
    server = Server(create_app(node, config, start), config)
    bound = listen(config)
    url = address_of(bound)
    async with asyncio.TaskGroup() as tasks:
        ready = asyncio.Event()
        serving = tasks.create_task(server.serve_on(bound, ready))
        await ready.wait()
        async with httpx.AsyncClient(headers={"X-API-Key": config.api_key}, trust_env=False) as client:
            body = {"rights": "control", "takes_control": True}
            made = (await client.post(f"{url}/v1/sandboxes/{ID}/tokens", json=body)).raise_for_status().json()
        print(made["url"], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        server.stop()
        await serving


def main() -> None:
    """As the module says."""
    name, framebuffer, width, height, home = sys.argv[1:6]
    uvloop.run(serve(name, Path(framebuffer), (int(width), int(height)), Path(home)))


if __name__ == "__main__":
    main()
