"""The gateway process: the only way out of the sandboxes' networks. One a server, without any right of its own.

It is given each sandbox's listening sockets (which lie in the sandbox's namespace) and policy over one socket, dials
from the host's network, and tells what it did. It ends when its server does. Messages: see `gateway_link`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import socket
import sys
from collections import deque
from typing import Any

from desktop_sandbox.errors import DesktopSandboxError
from desktop_sandbox.network.outlet import Outlet
from desktop_sandbox.network.own import OwnAddresses
from desktop_sandbox.network.policy import NOTHING, parse_policy
from desktop_sandbox.network.records import LogEntry
from desktop_sandbox.network.resolver import Resolver

log = logging.getLogger("desktop_sandbox.network")

MAX_MESSAGE = 256 << 10
_FLUSH_S = 0.2
_ENTRIES_AT_ONCE = 200
_KEPT_ENTRIES = 5000


class Gateway:
    """Serves one server's sandboxes until its socket closes."""

    def __init__(self, link: socket.socket, resolver: Resolver) -> None:
        self._link = link
        self._resolver = resolver
        self._own = OwnAddresses()
        self._outlets: dict[str, Outlet] = {}
        self._entries: deque[tuple[str, LogEntry]] = deque(maxlen=_KEPT_ENTRIES)
        self._answers: deque[bytes] = deque()
        self._counted: dict[str, dict[str, int]] = {}
        self._closed = asyncio.Event()
        self._tasks = asyncio.TaskGroup()

    async def run(self) -> None:
        """Until the server is gone."""
        loop = asyncio.get_running_loop()
        self._link.setblocking(False)
        async with self._tasks:
            flushing = self._tasks.create_task(self._flush_often())
            loop.add_reader(self._link, self._read)
            await self._closed.wait()
            loop.remove_reader(self._link)
            flushing.cancel()
            for outlet in list(self._outlets.values()):
                await outlet.aclose()

    # --- what is asked

    def _read(self) -> None:
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._link, MAX_MESSAGE, 4)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                self._closed.set()
                return
            message = json.loads(data)
            error = None
            try:
                self._do(message, descriptors)
            except (DesktopSandboxError, OSError, ValueError, KeyError) as failed:
                error = str(failed) or type(failed).__name__
                log.warning("x %s: %s", message.get("do"), error)
            self._answers.append(json.dumps({"done": message.get("number"), "error": error}).encode())
            self._flush()

    def _do(self, message: dict[str, Any], descriptors: list[int]) -> None:
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        try:
            sandbox_id = str(message["sandbox"])
            match message["do"], sockets:
                case "add", [listener, names]:
                    self._remove(sandbox_id)
                    self._outlets[sandbox_id] = Outlet(
                        sandbox_id, parse_policy(message["policy"]), listener, names, tasks=self._tasks,
                        resolver=self._resolver, own=self._own,
                        told=lambda entry: self._entries.append((sandbox_id, entry)),
                    )  # fmt: skip
                    sockets = []
                case "policy", _:
                    self._outlets[sandbox_id].change(parse_policy(message["policy"]))
                case "remove", _:
                    self._remove(sandbox_id)
                case other, _:
                    raise ValueError(f"cannot do {other!r}")
        finally:
            for sock in sockets:
                sock.close()

    def _remove(self, sandbox_id: str) -> None:
        outlet = self._outlets.pop(sandbox_id, None)
        self._counted.pop(sandbox_id, None)
        if outlet is not None:
            outlet.policy = NOTHING
            self._tasks.create_task(outlet.aclose())

    # --- what is told

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            self._flush()

    def _flush(self) -> None:
        """Tell what there is to tell, as far as the server takes it now; the rest later."""
        with contextlib.suppress(BlockingIOError, InterruptedError):
            while self._answers:
                self._link.send(self._answers[0])
                self._answers.popleft()
            while self._entries:
                batch = [self._entries[index] for index in range(min(_ENTRIES_AT_ONCE, len(self._entries)))]
                self._link.send(json.dumps({"entries": [[who, entry.json()] for who, entry in batch]}).encode())
                for _ in batch:
                    self._entries.popleft()
            counted = {name: outlet.counters.json() for name, outlet in self._outlets.items()}
            changed = {name: counters for name, counters in counted.items() if self._counted.get(name) != counters}
            for name, counters in changed.items():
                self._link.send(json.dumps({"counters": {name: counters}}).encode())
                self._counted[name] = counters


def main() -> None:
    """Serve the socket that was inherited."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--link-fd", type=int, required=True)
    parser.add_argument("--dns", action="append", default=[], metavar="ADDRESS:PORT")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    servers = []
    for text in arguments.dns:
        host, _, port = text.rpartition(":")
        servers.append((host, int(port)))
    os.umask(0o077)
    link = socket.socket(fileno=arguments.link_fd)
    gc.freeze()

    async def serve() -> None:
        await Gateway(link, Resolver(servers)).run()

    try:
        import uvloop

        uvloop.run(serve())
    except ImportError:
        asyncio.run(serve())


if __name__ == "__main__":
    main()
