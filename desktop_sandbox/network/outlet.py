"""A sandbox's way out: its listening sockets, what its policy is now, its connections, their limits and its log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from desktop_sandbox.network.addresses import Address
from desktop_sandbox.network.budget import Bucket
from desktop_sandbox.network.far_end import system_trust
from desktop_sandbox.network.flow import DNS_PORT, Flow
from desktop_sandbox.network.name_server import NameServer
from desktop_sandbox.network.names import NameMemory, StandIns
from desktop_sandbox.network.own import OwnAddresses
from desktop_sandbox.network.policy import Policy
from desktop_sandbox.network.records import Counters, LogEntry, Outcome
from desktop_sandbox.network.resolver import Resolver

log = logging.getLogger("desktop_sandbox.network")

_NEW_S = 200.0
_NEW_BURST = 400
_ENTRIES_S = 100.0
_ENTRIES_BURST = 1000
_SLICE_S = 0.25
_AGAIN_S = 0.5


class Outlet:
    """One sandbox's part of the gateway. `told` gets its log entries."""

    def __init__(
        self,
        sandbox_id: str,
        policy: Policy,
        listener: socket.socket,
        names: socket.socket,
        *,
        tasks: asyncio.TaskGroup,
        resolver: Resolver,
        own: OwnAddresses,
        told: Callable[[LogEntry], None],
        trust: Callable[[], ssl.SSLContext] = system_trust,
    ) -> None:
        self.sandbox_id = sandbox_id
        self.policy = policy
        self.resolver = resolver
        self.own = own
        self.trust = trust
        self.memory = NameMemory()
        self.stand_ins = StandIns()
        self.counters = Counters()
        self.names = NameServer(self)
        self._told = told
        self._group = tasks
        self._sockets: Sequence[socket.socket] = (listener, names)
        self._flows: dict[Flow, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._number = 0
        now = time.monotonic()
        self._new = Bucket(_NEW_S, _NEW_BURST, now)
        self._entries = Bucket(_ENTRIES_S, _ENTRIES_BURST, now)
        self._bytes = self._bandwidth()
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            sock.setblocking(False)
        loop.add_reader(listener, self._accept, listener)
        loop.add_reader(names, self.names.on_readable, names)

    def __repr__(self) -> str:
        return f"<Outlet {self.sandbox_id} connections={len(self._flows)}>"

    def change(self, policy: Policy) -> None:
        """Another policy from now on. Connections that it would not let through are ended."""
        self.policy = policy
        self._bytes = self._bandwidth()
        for flow, task in list(self._flows.items()):
            if flow.port != DNS_PORT and not flow.still_allowed():
                flow.ending = "the policy was changed"
                task.cancel()

    def _bandwidth(self) -> Bucket:
        rate = self.policy.bandwidth_bytes_s
        return Bucket(rate, max(65536.0, (rate or 0) * _SLICE_S), time.monotonic())

    async def take(self, count: int) -> None:
        """Wait until so many bytes may pass."""
        if self._bytes.rate is not None:
            pause = self._bytes.take(count, time.monotonic())
            if pause > 0:
                await asyncio.sleep(pause)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside; it ends with the outlet."""
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- connections

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors left: those who wait have to wait
                log.warning("%s x accept: %s", self.sandbox_id, error)
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener)
                loop.call_later(_AGAIN_S, self._accept_again, listener)
                return
            sock.setblocking(False)
            self._number += 1
            if len(self._flows) >= self.policy.max_connections:
                self._turn_away(sock, f"{self.policy.max_connections} connections are open")
            elif not self._new.may(time.monotonic()):
                self._turn_away(sock, "too many new connections a second")
            else:
                self._begin(sock)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _begin(self, sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            flow = Flow(self, sock, self._number)
        except OSError:  # the guest has gone already
            sock.close()
            return
        self.counters.connections += 1
        self.counters.open += 1
        task = self._group.create_task(flow.run())
        self._flows[flow] = task

        def ended(_: object) -> None:
            del self._flows[flow]
            self.counters.open -= 1

        task.add_done_callback(ended)

    def _turn_away(self, sock: socket.socket, reason: str) -> None:
        with contextlib.suppress(OSError):
            address, port = sock.getsockname()[:2]
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.counters.connections += 1
            self.note(LogEntry(self._number, time.time(), "tcp", Outcome.REFUSED, None, address, port, reason))
        sock.close()

    # --- log

    def note(self, entry: LogEntry) -> None:
        """Tell an entry to the log; a guest that makes more than the log takes loses some of them."""
        if entry.outcome is Outcome.REFUSED:
            self.counters.refused += 1
        elif entry.outcome is Outcome.FAILED:
            self.counters.failed += 1
        if self._entries.may(time.monotonic()):
            self._told(entry)

    def note_lookup(
        self, name: str, outcome: Outcome, reason: str, rule: str | None = None, address: Address | None = None
    ) -> None:
        """Tell a lookup that came to nothing to the log."""
        self._number += 1
        where = None if address is None else str(address)
        self.note(LogEntry(self._number, time.time(), "dns", outcome, name, where, DNS_PORT, reason, rule))

    # --- end

    async def aclose(self) -> None:
        """End all connections, and let go of the sockets."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock)
        tasks: list[asyncio.Task[None]] = [*self._flows.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)
        for sock in self._sockets:
            sock.close()
