"""The server that is measured: one of the benchmark's own, with a temporary HOME, or one that runs already."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desktop_sandbox.config import client_config, home_folder
from desktop_sandbox.errors import ServerError
from desktop_sandbox.microvm.machine import socket_path, tail
from desktop_sandbox.microvm.setup import find_hypervisor
from desktop_sandbox.node.recovery import find_processes

_SHARED_FOLDERS = ("images", "bases", "wheels", "templates", "logs")
_SHARED_FILES = ("images.lock", "accelerator.json")
_START_S = 60.0
_STOP_S = 60.0


@dataclass(frozen=True)
class Place:
    """Where a server is, and its key; `pid` of one that is the benchmark's own."""

    url: str
    api_key: str | None
    pid: int | None = None

    @property
    def client(self) -> dict[str, Any]:
        """Keyword arguments that lead the SDK there."""
        return {"url": self.url, "api_key": self.api_key}


@contextlib.contextmanager
def server(url: str | None, settings: Mapping[str, str] | None = None) -> Iterator[Place]:
    """The server at `url`, or one of our own (with `settings`) that ends with the block, with all its desktops."""
    if url is not None:
        found = client_config(url)
        yield Place(found.url, found.api_key)
        return
    with tempfile.TemporaryDirectory(prefix="desktop-sandbox-bench-") as folder:
        home = Path(folder)
        _share_images(home, home_folder())
        with _own_server(home, settings or {}) as place, _at_home(home):
            yield place


def _share_images(home: Path, owner: Path) -> None:
    """Let `home` use the images and templates of the user's own HOME: they are immutable."""
    for name in _SHARED_FOLDERS:
        (owner / name).mkdir(parents=True, exist_ok=True)
    (owner / "images.lock").touch()
    for name in (*_SHARED_FOLDERS, *_SHARED_FILES):
        if (owner / name).exists():
            (home / name).symlink_to(owner / name)


@contextlib.contextmanager
def _at_home(home: Path) -> Iterator[None]:
    """Be a client in that HOME, as a user's program is in its own."""
    before = os.environ.get("DESKTOP_SANDBOX_HOME")
    os.environ["DESKTOP_SANDBOX_HOME"] = str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["DESKTOP_SANDBOX_HOME"]
        else:
            os.environ["DESKTOP_SANDBOX_HOME"] = before


@contextlib.contextmanager
def _own_server(home: Path, settings: Mapping[str, str]) -> Iterator[Place]:
    log = home / "server.log"
    kept_before = keeper_pid(home)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DESKTOP_SANDBOX_")}
    with log.open("wb") as output:
        # in a session of its own: Ctrl-C is for the benchmark, which then ends the server in order
        process = subprocess.Popen(
            [sys.executable, "-m", "desktop_sandbox.cli", "serve", "--bind", "127.0.0.1:0", "--kill-on-exit"],
            env={**environ, **settings, "DESKTOP_SANDBOX_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        url = _wait_for(process, log)
        yield Place(url, (home / "api-key").read_text().strip(), process.pid)
    finally:
        _end(process, home, kept_before)


def _wait_for(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that a starting server says. Raises ServerError with the end of its log."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        said = re.search(r"^serving on (\S+)", log.read_text(errors="replace"), re.MULTILINE)
        if said:
            return said.group(1)
        time.sleep(0.02)
    what = f"ended with exit code {process.returncode}" if process.returncode is not None else "did not start"
    raise ServerError(f"the benchmark's server {what}", hint=tail(log, 1000).strip() or "run desktop-sandbox doctor")


def _end(process: subprocess.Popen[bytes], home: Path, kept_before: int | None) -> None:
    """End a server, its desktops, and the keeper of its templates' memory, unless that was there before."""
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid, _ in find_processes(find_hypervisor(home).process_name("")):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    keeper = keeper_pid(home)
    if keeper is not None and keeper != kept_before:
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGTERM)
    shutil.rmtree(home / "sandboxes", ignore_errors=True)


def keeper_pid(home: Path) -> int | None:
    """The process that keeps the templates' memory for some minutes more; its socket says which it is."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(socket_path(home / "templates", ".keeper"))
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[0])
    return None
