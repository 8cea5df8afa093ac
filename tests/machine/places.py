"""A host and an internet for tests on machines: two namespaces with a wire between them, and nothing else.

The server runs on `host`; names and servers are on `internet`, at public addresses that are not the host's own. Tests
that talk to the server do so from a thread on `host`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from desktop_sandbox import Sandbox
from desktop_sandbox.network import dns, namespace
from tests.conftest import RealServer, end_server, free_port, make_home
from tests.network.worlds import BAD, GOOD, METADATA, NAMES, NAMESERVER, OTHER, PRIVATE, can_make_namespaces, in_thread

T = TypeVar("T")

needs_places = pytest.mark.skipif(
    not can_make_namespaces() or shutil.which("ip") is None, reason="network namespaces need root here"
)


class Place:
    """A namespace, to be entered by threads and processes."""

    def __init__(self) -> None:
        def make() -> int:
            namespace.unshare(namespace.CLONE_NEWNET)
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

        self.descriptor = in_thread(make)

    def within(self, work: Callable[[], T], seconds: float = 900) -> T:
        """Do something there, in a thread of its own."""

        def there() -> T:
            namespace.enter(self.descriptor)
            return work()

        return in_thread(there, seconds)

    def ip(self, *lines: str) -> None:
        """Run `ip` there."""

        def run() -> None:
            for line in lines:
                subprocess.run(["ip", *line.split()], check=True, capture_output=True, timeout=30)

        self.within(run)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)


class Server:
    """A TCP server on the internet: `talk` gets each connection in a thread of its own."""

    def __init__(self, place: Place, address: str, port: int, talk: Callable[[socket.socket], None]) -> None:
        def listen() -> socket.socket:
            return socket.create_server((address, port), backlog=64)

        self._talk = talk
        self._listener = place.within(listen)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(300)
            self._talk(connection)

    def close(self) -> None:
        """Take no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def page(text: bytes) -> Callable[[socket.socket], None]:
    """Answers one HTTP request with this."""

    def talk(connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(4096)
            if not piece:
                return
            data += piece
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(text), text))

    return talk


class Places:
    """Both, wired up, with a name server and pages at the usual addresses."""

    def __init__(self) -> None:
        self.asked: list[str] = []  # names, as the name server was asked for them
        self.host, self.internet = Place(), Place()
        self.host.ip(
            "link set lo up",
            f"link add wire0 type veth peer name wire1 netns /proc/{os.getpid()}/fd/{self.internet.descriptor}",
            "addr add 203.0.113.1/24 dev wire0",
            "link set wire0 up",
            "route add default via 203.0.113.2",
        )
        addresses = (GOOD, BAD, OTHER, PRIVATE, METADATA, NAMESERVER)
        self.internet.ip(
            "link set lo up",
            "addr add 203.0.113.2/24 dev wire1",
            "link set wire1 up",
            *(f"addr add {address}/32 dev lo" for address in addresses),
        )
        self._names = self.internet.within(self._bind_names)
        threading.Thread(target=self._answer_names, daemon=True).start()
        self.servers = [
            Server(self.internet, GOOD, 80, page(b"the good page")),
            Server(self.internet, BAD, 80, page(b"the bad page")),
            Server(self.internet, PRIVATE, 80, page(b"a private page")),
            Server(self.internet, METADATA, 80, page(b"credentials")),
        ]

    @staticmethod
    def _bind_names() -> socket.socket:
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.bind((NAMESERVER, 53))
        return names

    def _answer_names(self) -> None:
        while True:
            try:
                data, source = self._names.recvfrom(4096)
            except OSError:
                return
            question = dns.read_question(data)
            self.asked.append(question.name.lower())
            found = NAMES.get(question.name.lower())
            records = [dns.Record(question.name, dns.A, 60, socket.inet_aton(one)) for one in found or ()]
            code = dns.NO_ERROR if found else dns.NO_SUCH_NAME
            self._names.sendto(dns.write_answer(question, code, records if question.qtype == dns.A else []), source)

    def close(self) -> None:
        """End it all."""
        for server in self.servers:
            server.close()
        self._names.close()
        self.host.close()
        self.internet.close()


def on_host(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a thread on the host of its fixture `places`."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        places: Places = named["places"]
        places.host.within(lambda: test(*arguments, **named))

    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run


@contextlib.contextmanager
def made_places() -> Iterator[Places]:
    """Both, for a while."""
    made = Places()
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def served_on(places: Places, folder: Path) -> Iterator[RealServer]:
    """A server on the host of `places`, that asks the name server there."""
    running = RealServer(make_home(folder / "home"), free_port(), preloaded=False)
    places.host.within(lambda: running.start(DESKTOP_SANDBOX_DNS=f"{NAMESERVER}:53"))
    try:
        yield running
    finally:
        end_server(running)


def get(sandbox: Sandbox, host: str, port: int = 80, name: str | None = None) -> str:
    """What a page says; empty where it cannot be had. Bash alone: a program more is a second under emulation."""
    request = f"GET / HTTP/1.1\\r\\nHost: {name or host}\\r\\n\\r\\n"
    line = f"exec 3<>/dev/tcp/{host}/{port} && printf '{request}' >&3 && timeout 20 cat <&3"
    result = sandbox.commands.run(line, timeout=60, check=False)
    return result.stdout.partition("\r\n\r\n")[2]
