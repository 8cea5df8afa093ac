"""Keeps the sealed RAM of templates in memory over restarts of the server: a small process that holds descriptors.

It listens on a socket (SOCK_SEQPACKET); a message is JSON, with a descriptor beside it where one is passed. It ends by
itself some minutes after the last server went. Machines that run do not need it: they hold the memory themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

LINGER_S = 600.0
_MAX_MESSAGE_BYTES = 64 * 1024


class KeeperClient:
    """The server's connection to its keeper; starts one where none answers. Blocking, some microseconds a call."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._asking = threading.Lock()
        self._socket = self._connect_or_start()

    def get(self, key: str) -> int | None:
        """A new descriptor of what is kept under `key`, which the caller closes; None if nothing is."""
        reply, descriptors = self._ask({"get": key})
        return descriptors[0] if reply.get("found") and descriptors else None

    def put(self, key: str, descriptor: int) -> None:
        """Keep a descriptor under `key`; the caller's own stays open."""
        self._ask({"put": key}, descriptor)

    def drop(self, key: str) -> None:
        """Forget `key`."""
        self._ask({"drop": key})

    def keys(self) -> list[str]:
        """All keys that something is kept under."""
        reply, _ = self._ask({"list": ""})
        found = reply.get("keys")
        return [str(key) for key in found] if isinstance(found, list) else []

    def close(self) -> None:
        """Leave; the keeper lingers."""
        self._socket.close()

    def _ask(self, message: dict[str, str], descriptor: int | None = None) -> tuple[dict[str, object], list[int]]:
        # templates are loaded in threads: two that ask at once could each get the other's answer, and memory
        with self._asking:
            return self._exchange(message, descriptor)

    def _exchange(self, message: dict[str, str], descriptor: int | None) -> tuple[dict[str, object], list[int]]:
        for attempt in (1, 2):
            try:
                socket.send_fds(
                    self._socket, [json.dumps(message).encode()], [] if descriptor is None else [descriptor]
                )
                data, descriptors, _, _ = socket.recv_fds(self._socket, _MAX_MESSAGE_BYTES, 1)
                if data:
                    return json.loads(data), descriptors
            except OSError:
                if attempt == 2:
                    raise
            # it has died: a new one knows nothing yet, and what is asked for is loaded from disk again
            self._socket.close()
            self._socket = self._connect_or_start()
        raise ConnectionError("the keeper ends connections at once")

    def _connect_or_start(self) -> socket.socket:
        with contextlib.suppress(OSError):
            return self._connect()
        Path(self._path).unlink(missing_ok=True)
        subprocess.Popen(
            [sys.executable, "-m", "desktop_sandbox.snapshots.keeper", self._path],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd="/",
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while True:
            try:
                return self._connect()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        return connection


class Keeper:
    """The keeping process itself."""

    def __init__(self, listener: socket.socket) -> None:
        self._kept: dict[str, int] = {}
        self._clients: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._listener = listener

    def run(self, linger_s: float = LINGER_S) -> None:
        """Serve until nobody has been connected for `linger_s` seconds."""
        alone_since = time.monotonic()
        while True:
            ready = self._selector.select(
                None if self._clients else max(0.0, alone_since + linger_s - time.monotonic())
            )
            if not ready and not self._clients:
                return
            for key, _ in ready:
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if source is self._listener:
                    self._accept()
                elif not self._serve(source):
                    self._selector.unregister(source)
                    self._clients.discard(source)
                    source.close()
                    alone_since = time.monotonic()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self._clients.add(client)
        self._selector.register(client, selectors.EVENT_READ)

    def _serve(self, client: socket.socket) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(client, _MAX_MESSAGE_BYTES, 1)
            if not data:
                return False
            self._answer(client, json.loads(data), descriptors)
        except (OSError, ValueError):
            return False
        return True

    def _answer(self, client: socket.socket, message: dict[str, str], descriptors: list[int]) -> None:
        if "put" in message and descriptors:
            self._forget(message["put"])
            self._kept[message["put"]] = descriptors[0]
        elif "drop" in message:
            self._forget(message["drop"])
        elif "list" in message:
            client.send(json.dumps({"keys": sorted(self._kept)}).encode())
            return
        elif "get" in message and message["get"] in self._kept:
            socket.send_fds(client, [b'{"found": true}'], [self._kept[message["get"]]])
            return
        client.send(b'{"found": false}')

    def _forget(self, key: str) -> None:
        descriptor = self._kept.pop(key, None)
        if descriptor is not None:
            os.close(descriptor)


def main() -> None:
    """Listen at the path given as the only argument, readable by this user alone."""
    path = sys.argv[1]
    os.umask(0o077)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(8)
        Keeper(listener).run()
    Path(path).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
