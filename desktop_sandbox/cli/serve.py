"""`desktop-sandbox serve`: node, API and uvicorn together, until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import typer
import uvloop

from desktop_sandbox.api.app import create_app
from desktop_sandbox.api.server import Server, address_of, listen
from desktop_sandbox.config import server_config
from desktop_sandbox.errors import DesktopSandboxError
from desktop_sandbox.microvm.wall import find_wall
from desktop_sandbox.node.facts import SandboxState
from desktop_sandbox.node.local import LocalNode
from desktop_sandbox.node.screen_door import screen_door
from desktop_sandbox.stream.launch import launcher
from desktop_sandbox.stream_settings import stream_settings

if TYPE_CHECKING:
    from desktop_sandbox.config import ServerConfig

ALIVE = (SandboxState.CREATING, SandboxState.RUNNING, SandboxState.PAUSED)


def run(
    bind: str | None,
    *,
    kill_on_exit: bool,
    log_level: str,
    base_url: str | None,
    tls_cert: str | None,
    tls_key: str | None,
) -> None:
    """Serve until SIGINT or SIGTERM."""
    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise typer.BadParameter(f"unknown log level {log_level!r}; choose debug, info, warning or error")
    logging.basicConfig(level=level, format="%(asctime)s %(levelname).1s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(max(level, logging.WARNING))
    config = server_config(bind=bind, stream=stream_settings(base_url=base_url, tls_cert=tls_cert, tls_key=tls_key))
    uvloop.run(serve(config, kill_on_exit=kill_on_exit))


async def serve(config: ServerConfig, *, kill_on_exit: bool) -> None:
    """Start the node, serve, and end both in order."""
    bound = listen(config)
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    assert main is not None
    server: Server | None = None
    asked = 0

    def stop() -> None:
        nonlocal asked
        asked += 1
        if server is None or asked > 1:
            main.cancel()
        else:
            say("stopping; press Ctrl-C again to leave at once")
            server.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        node = await LocalNode.start(config)
        try:
            wall = find_wall(node.media_uid)
            limit = config.stream.max_recording_bytes + (64 << 20)
            launch = launcher(wall, config.streamer_log, file_limit_bytes=limit)
            server = Server(create_app(node, config, launch), config)
            ready = asyncio.Event()
            url = address_of(bound, tls=config.stream.tls is not None)
            failed: BaseException | None = None
            try:
                async with screen_door(node, config.screen_door), asyncio.TaskGroup() as tasks:
                    tasks.create_task(server.serve_on(bound, ready))
                    await ready.wait()
                    if server.started:
                        greet(config, url)
            except* DesktopSandboxError as group:
                failed = group.exceptions[0]  # raised here, it would be wrapped in a group again
            if failed is not None:
                raise failed
            await part(node, kill_on_exit=kill_on_exit)
        finally:
            await node.aclose()
    except asyncio.CancelledError:
        if not asked:
            raise
        say("stopped")
    finally:
        bound.close()


def greet(config: ServerConfig, url: str) -> None:
    """Say where the server is, and how to use it."""
    key = "DESKTOP_SANDBOX_API_KEY" if os.environ.get("DESKTOP_SANDBOX_API_KEY") else str(config.key_path)
    say(
        f"serving on {url}\n"
        f"API key: {key}\n"
        "try it:  desktop-sandbox create desktop, or in Python:\n"
        "             from desktop_sandbox import Sandbox\n"
        "             with Sandbox.create() as desktop:\n"
        '                 open("screen.png", "wb").write(desktop.screenshot())\n'
        f"watch:   desktop-sandbox view SANDBOX, or all of them at {config.stream.base_url or url}/wall#key=API-KEY\n"
        "Ctrl-C ends the server"
    )


async def part(node: LocalNode, *, kill_on_exit: bool) -> None:
    """Say what becomes of the desktops, or end them."""
    alive: list[str] = []
    cursor: str | None = None
    while True:
        page = await node.list(states=ALIVE, limit=1000, cursor=cursor)
        alive += [info.id for info in page.sandboxes]
        cursor = page.cursor
        if cursor is None:
            break
    if not alive:
        say("stopped; no desktops are running")
    elif kill_on_exit:
        await node.kill_all()
        say(f"stopped; {len(alive)} desktops ended")
    else:
        say(
            f"stopped; {len(alive)} desktops keep running, and the next serve finds them again"
            ' (to end them too: "desktop-sandbox serve --kill-on-exit")'
        )


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(text, file=sys.stderr, flush=True)
