"""Who is measured, and how each is started: ours, x11vnc with noVNC as agents' sandboxes run it, and Selkies.

What is not on this host is fetched from PyPI, npm and Debian into a cache folder once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench.stream.screen import NativeScreen

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "desktop-sandbox-bench"
_START_S = 60.0
# noVNC's package has no page of its own; this is its documentation's shortest
_NOVNC_PAGE = """<!doctype html><meta charset=utf-8><style>html, body, #screen { margin: 0; height: 100% }</style>
<div id=screen></div><script type=module>
import RFB from './core/rfb.js';
const rfb = new RFB(document.getElementById('screen'), `ws://${location.host}/websockify`);
rfb.focusOnClick = true;
</script>
"""


class NotHere(RuntimeError):
    """A candidate cannot be run on this host."""


@dataclass(frozen=True)
class Running:
    """A candidate that serves: the page to open, the processes that are its own, and what the page needs at first."""

    url: str
    pids: list[int]
    script: str = ""


def free_port() -> int:
    """A TCP port that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.asynccontextmanager
async def _process(
    *argv: str, env: dict[str, str] | None = None, **more: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *argv, env={**os.environ, **(env or {})}, stdout=more.pop("stdout", asyncio.subprocess.DEVNULL),
        stderr=more.pop("stderr", asyncio.subprocess.DEVNULL), start_new_session=True, **more,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(8):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            await process.wait()


async def _answers(url: str) -> None:
    def look() -> bool:
        with contextlib.suppress(OSError), urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    deadline = asyncio.get_running_loop().time() + _START_S
    while not await asyncio.to_thread(look):
        if asyncio.get_running_loop().time() > deadline:
            raise NotHere(f"{url} does not answer")
        await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def ours(screen: NativeScreen, *, webrtc: bool) -> AsyncIterator[Running]:
    """This project's live view; without `webrtc` its fallback, H.264 over the WebSocket."""
    with tempfile.TemporaryDirectory(prefix="stream-bench-") as home:
        argv = [sys.executable, "-m", "bench.stream.ours", screen.name, str(screen.framebuffer)]
        argv += [str(screen.width), str(screen.height), home]
        pipe = asyncio.subprocess.PIPE
        async with _process(*argv, stdin=pipe, stdout=pipe, stderr=None) as process:
            assert process.stdout is not None
            async with asyncio.timeout(_START_S):
                url = (await process.stdout.readline()).decode().strip()
            if not url:
                raise NotHere("our server did not start")
            script = "" if webrtc else "delete window.RTCPeerConnection; delete window.webkitRTCPeerConnection;"
            yield Running(url, [process.pid], script)


@contextlib.asynccontextmanager
async def novnc(screen: NativeScreen, *options: str) -> AsyncIterator[Running]:
    """x11vnc with these options, websockify, noVNC."""
    x11vnc = shutil.which("x11vnc")
    if x11vnc is None:
        raise NotHere("x11vnc is not installed (apt install x11vnc)")
    folder = await asyncio.to_thread(_novnc_folder)
    websockify = await asyncio.to_thread(_python_tool, "websockify", "websockify")
    vnc, web = free_port(), free_port()
    argv = [x11vnc, "-display", screen.name, "-forever", "-shared", "-nopw", "-quiet", "-localhost"]
    between = [str(websockify), "--web", str(folder), f"127.0.0.1:{web}", f"127.0.0.1:{vnc}"]
    async with _process(*argv, "-rfbport", str(vnc), *options) as server, _process(*between) as proxy:
        await _answers(f"http://127.0.0.1:{web}/bench.html")
        yield Running(f"http://127.0.0.1:{web}/bench.html", [server.pid, proxy.pid])


@contextlib.asynccontextmanager
async def selkies(screen: NativeScreen) -> AsyncIterator[Running]:
    """Selkies over WebRTC."""
    program = await asyncio.to_thread(_python_tool, "selkies", "selkies")
    port = free_port()
    argv = [str(program), "--mode", "webrtc", "--enable-basic-auth", "false", "--audio-enabled", "false"]
    argv += ["--manual-width", str(screen.width), "--manual-height", str(screen.height), "--port", str(port)]
    async with _process(*argv, env={"DISPLAY": screen.name}) as process:
        await _answers(f"http://127.0.0.1:{port}/")
        yield Running(f"http://127.0.0.1:{port}/", [process.pid])


Start = Callable[[NativeScreen], "contextlib.AbstractAsyncContextManager[Running]"]
CANDIDATES: dict[str, Start] = {
    "ours": lambda screen: ours(screen, webrtc=True),
    "ours, fallback": lambda screen: ours(screen, webrtc=False),
    "noVNC (-wait 50)": lambda screen: novnc(screen, "-wait", "50"),
    "noVNC, tuned": lambda screen: novnc(screen, "-wait", "10", "-defer", "5"),
    "Selkies": selkies,
}


def _python_tool(package: str, program: str) -> Path:
    """A program of a PyPI package, in an environment of its own in the cache."""
    home = CACHE / package
    if not (home / "bin" / program).exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=120)
        command = [str(home / "bin/pip"), "install", "-qq", "--disable-pip-version-check", package]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise NotHere(f"{package} cannot be installed: {done.stderr.strip()[-200:]}")
    return home / "bin" / program


def _novnc_folder() -> Path:
    """noVNC's pages, from npm."""
    folder = CACHE / "novnc" / "node_modules" / "@novnc" / "novnc"
    if not (folder / "core" / "rfb.js").exists():
        npm = Path(sys.executable).parent / "npm"
        if not npm.exists():
            raise NotHere("npm is not there (make setup)")
        (CACHE / "novnc").mkdir(parents=True, exist_ok=True)
        env = {**os.environ, "PATH": f"{npm.parent}:{os.environ.get('PATH', '')}"}
        command = [str(npm), "install", "--silent", "--prefix", str(CACHE / "novnc"), "@novnc/novnc@1.7.0"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=env, timeout=300)
        if done.returncode:
            raise NotHere(f"noVNC cannot be fetched: {done.stderr.strip()[-200:]}")
        if not (folder / "core" / "rfb.js").exists():
            raise NotHere("noVNC's package has no core/rfb.js")
    (folder / "bench.html").write_text(_NOVNC_PAGE)
    return folder
