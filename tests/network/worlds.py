"""A little internet for tests of the gateway: namespaces of their own, no machine, no traffic beyond them.

`internet` runs a test in a fresh namespace whose loopback has public addresses, as the place that the gateway dials
from. `Guest` is a namespace with a tap, its frames carried to and from a sandbox's tap as QEMU would do it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from desktop_sandbox.network import dns, namespace
from desktop_sandbox.network.addresses import Address
from desktop_sandbox.network.far_end import system_trust
from desktop_sandbox.network.outlet import Outlet
from desktop_sandbox.network.policy import parse_policy
from desktop_sandbox.network.records import LogEntry, Outcome, newest
from desktop_sandbox.network.resolver import Resolver

T = TypeVar("T")
GET = b"GET / HTTP/1.1\r\nHost: good.example.org\r\n\r\n"
"""A request to the host that is allowed."""
GOOD, BAD, OTHER, PRIVATE, METADATA = "93.184.216.34", "93.184.216.66", "93.184.216.99", "10.9.8.7", "169.254.169.254"
NAMESERVER = "9.9.9.9"
SIX = "2606:4700::1234"
PATIENCE_S = 30.0


def can_make_namespaces() -> bool:
    """Whether this host lets us, and has what they need."""
    return os.geteuid() == 0 and os.path.exists("/dev/net/tun")


needs_namespaces = pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces need root here")


def in_thread(work: Callable[[], T], seconds: float = 120) -> T:
    """Do it in a thread of its own, which may go into another namespace."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # told to whoever waits
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(seconds)


def set_up_internet() -> None:
    namespace.unshare(namespace.CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        namespace._bring_up(control, "lo")
        for number, address in enumerate((GOOD, BAD, OTHER, PRIVATE, METADATA, NAMESERVER)):
            namespace._set_address(control, f"lo:{number}", address, 32)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        place = socket.inet_pton(socket.AF_INET6, SIX) + struct.pack("=Ii", 128, socket.if_nametoindex("lo"))
        fcntl.ioctl(control, 0x8916, place)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        for _ in range(100):  # the kernel makes sure in the background that nobody else has it
            with contextlib.suppress(OSError):
                probe.bind((SIX, 0))
                break
            time.sleep(0.02)


def internet(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an asynchronous test where those addresses are, in an event loop and namespace of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        def work() -> None:
            set_up_internet()

            async def bounded() -> None:
                async with asyncio.timeout(90):
                    await test(*arguments, **named)

            asyncio.run(bounded())

        in_thread(work)

    # pytest would take the loop mark for this plain function
    del run.__wrapped__
    run.__signature__ = __import__("inspect").signature(test)  # type: ignore[attr-defined]
    return needs_namespaces(run)


class Guest:
    """A guest without a machine: whoever has it can make sockets in its namespace."""

    def __init__(self, sandbox: namespace.Namespace) -> None:
        self._tap, self._own = in_thread(self._make)
        self._sandbox = sandbox
        self._stop = os.eventfd(0)
        self._carrier = threading.Thread(target=self._carry, daemon=True)
        self._carrier.start()

    def _make(self) -> tuple[int, int]:
        namespace.unshare(namespace.CLONE_NEWNET)
        tap = namespace._open_tap()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            namespace._set_mac(control, namespace.TAP, "02:d5:00:00:00:05")
            namespace._set_address(control, namespace.TAP, namespace.GUEST_ADDRESS, namespace.PREFIX)
            namespace._bring_up(control, namespace.TAP)
            namespace._bring_up(control, "lo")
            route = struct.pack("=Q", 0)
            for address in ("0.0.0.0", namespace.GATEWAY_ADDRESS, "0.0.0.0"):
                route += struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
            route += struct.pack("=HhLxx", 3, 0, 0).ljust(56, b"\0")
            fcntl.ioctl(control, 0x890B, route)
        return tap, os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def _carry(self) -> None:
        pairs = {self._tap: self._sandbox.tap, self._sandbox.tap: self._tap}
        with selectors.DefaultSelector() as ready:
            for descriptor in (*pairs, self._stop):
                ready.register(descriptor, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fd == self._stop:
                        return
                    with contextlib.suppress(OSError):
                        while frame := os.read(key.fd, 65536):
                            os.write(pairs[key.fd], frame)

    def within(self, work: Callable[[], T]) -> T:
        """Do something in its namespace."""

        def there() -> T:
            namespace.enter(self._own)
            return work()

        return in_thread(there)

    def socket(self, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET, proto: int = 0) -> socket.socket:
        """A socket in its namespace, not blocking."""
        made = self.within(lambda: socket.socket(family, kind, proto))
        made.setblocking(False)
        return made

    async def connect(self, address: str, port: int) -> socket.socket:
        """A TCP connection; OSError where there is none."""
        sock = self.socket()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def ask(self, name: str, qtype: int = dns.A, server: str = "8.8.8.8") -> dns.Response:
        """A DNS question by UDP to any server."""
        with self.socket(socket.SOCK_DGRAM) as sock:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, (server, 53))
            await loop.sock_sendall(sock, dns.write_question(7, name, qtype))
            async with asyncio.timeout(PATIENCE_S):
                return dns.read_response(await loop.sock_recv(sock, 4096), 7, name, qtype)

    async def addresses(self, name: str) -> list[str]:
        """Where a name is, as the guest is told."""
        return [str(address) for address, _ in dns.addresses_of(await self.ask(name), name)]

    def close(self) -> None:
        """End it."""
        os.eventfd_write(self._stop, 1)
        self._carrier.join(10)
        for descriptor in (self._tap, self._own, self._stop):
            os.close(descriptor)


async def read_all(sock: socket.socket) -> bytes:
    """Everything until the end; OSError on a reset."""
    loop = asyncio.get_running_loop()
    out = b""
    async with asyncio.timeout(PATIENCE_S):
        while piece := await loop.sock_recv(sock, 65536):
            out += piece
    return out


async def exchange(guest: Guest, address: str, port: int, data: bytes) -> bytes:
    """Connect, send, and read all there is until the end. OSError where the connection is reset."""
    with await guest.connect(address, port) as sock:
        await asyncio.get_running_loop().sock_sendall(sock, data)
        return await read_all(sock)


class World:
    """A guest, its outlet, and what was told to its log."""

    def __init__(self, guest: Guest, outlet: Outlet, entries: list[LogEntry]) -> None:
        self.guest = guest
        self.outlet = outlet
        self._entries = entries

    def entries(self) -> list[LogEntry]:
        """The log as it is now."""
        return newest(self._entries, 1000)

    async def logged(self, outcome: Outcome, **facts: object) -> LogEntry:
        """Wait for an entry with these facts."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for entry in self.entries():
                    if entry.outcome is outcome and all(getattr(entry, name) == value for name, value in facts.items()):
                        return entry
                await asyncio.sleep(0.02)


NAMES: dict[str, list[str]] = {
    "good.example.org": [GOOD],
    "www.example.org": [GOOD],
    "bad.example.net": [BAD],
    "front.example.net": [GOOD],
    "other.example.org": [OTHER],
    "rebind.example.org": [PRIVATE],
    "metadata.example.org": [METADATA],
    "loop.example.org": ["127.0.0.1"],
    "mixed.example.org": [PRIVATE, GOOD],
}


SIX_NAMES = {"six.example.org": SIX, "local-six.example.org": "::1", "carried.example.org": "64:ff9b::a09:807"}


class FakeDns(asyncio.DatagramProtocol):
    """A name server of the little internet, for `NAMES`; also gives away what it should keep (an HTTPS record)."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        question = dns.read_question(data)
        self.asked.append((question.name, question.qtype))
        found = NAMES.get(question.name.lower())
        records = []
        if question.qtype == dns.A:
            records = [dns.Record(question.name, dns.A, 60, socket.inet_aton(address)) for address in found or ()]
        elif question.qtype == dns.AAAA and question.name in SIX_NAMES:
            found = [SIX_NAMES[question.name]]
            packed = socket.inet_pton(socket.AF_INET6, found[0])
            records = [dns.Record(question.name, dns.AAAA, 60, packed)]
        elif question.qtype == dns.TXT and found:
            records = [dns.Record(question.name, dns.TXT, 60, b"\x05hello")]
        rcode = dns.NO_ERROR if found or question.name in SIX_NAMES else dns.NO_SUCH_NAME
        self._transport.sendto(dns.write_answer(question, rcode, records), addr)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def world(
    network: object, *, own: frozenset[Address] = frozenset(), trust: Callable[[], ssl.SSLContext] = system_trust
) -> AsyncIterator[World]:
    """A guest under a policy, in the little internet (see `internet`), with its name server."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(FakeDns, local_addr=(NAMESERVER, 53))
    made = in_thread(lambda: namespace.make_namespace(namespace.load_nftables()))
    entries: list[LogEntry] = []
    guest = Guest(made)
    try:
        async with asyncio.TaskGroup() as tasks:
            outlet = Outlet(
                "sb-test", parse_policy(network), socket.socket(fileno=made.listener), socket.socket(fileno=made.names),
                tasks=tasks, resolver=Resolver([(NAMESERVER, 53)]), own=lambda: own, told=entries.append,
                trust=trust,
            )  # fmt: skip
            try:
                yield World(guest, outlet, entries)
            finally:
                await outlet.aclose()
    finally:
        guest.close()
        os.close(made.tap)
        transport.close()
        await asyncio.sleep(0)  # it is closed in the loop's next turn


@contextlib.asynccontextmanager
async def served(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    address: str,
    port: int,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[None]:
    """A TCP server of the little internet, behind TLS where that is given."""
    server = await asyncio.start_server(handler, address, port, ssl=tls)
    try:
        yield
    finally:
        server.close()


def says(text: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A server that reads until a blank line or the end, says this, and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(OSError):
            writer.write(text)
            await writer.drain()
            writer.close()

    return handle


def descriptors() -> Iterator[str]:
    """What this process has open."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/self/fd/{name}")
