"""One TCP connection of a guest: judged, dialled from outside, carried, and told to the log.

**Invariant.** Nothing is dialled, and no byte of the guest passed on, before the policy said yes to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import struct
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from desktop_sandbox.network.addresses import Address
from desktop_sandbox.network.dialling import dial
from desktop_sandbox.network.far_end import FarEnd, PlainEnd, TlsEnd
from desktop_sandbox.network.header_rules import HTTP_PORT, TLS_PORT, HeaderRule, with_headers
from desktop_sandbox.network.http1 import Head
from desktop_sandbox.network.judge import Judge, RefusedError
from desktop_sandbox.network.names import normal_name
from desktop_sandbox.network.opening import MAX_PENDING, GuestSpeech, Named, Speech
from desktop_sandbox.network.policy import Answer, Verdict
from desktop_sandbox.network.proxy_dialling import dial_through
from desktop_sandbox.network.records import LogEntry, Outcome
from desktop_sandbox.network.resolver import ResolveError

if TYPE_CHECKING:
    from desktop_sandbox.network.outlet import Outlet

log = logging.getLogger("desktop_sandbox.network")

DNS_PORT = 53
_PIECE = 64 << 10
_NAME_S = 15.0
_SERVER_FIRST_S = 0.4
"""A guest that says nothing for so long waits for the server to speak first."""


class Flow:
    """A connection that the guest opened: `sock` is its end in the sandbox's namespace."""

    def __init__(self, outlet: Outlet, sock: socket.socket, number: int) -> None:
        self._outlet = outlet
        self._guest = sock
        self._server: FarEnd | None = None
        self._loop = asyncio.get_running_loop()
        host, self.port = sock.getsockname()[:2]
        self.address: Address = ipaddress.ip_address(host)
        self._number = number
        self._began = time.time()
        self._started = time.monotonic()
        self._speech = GuestSpeech()
        self._judge = Judge(outlet, self.port)
        self._dialled: Address | None = None
        self._host: str | None = None
        self._judging = False
        self._before_name = Verdict(Answer.ASK, "")
        self._setting: HeaderRule | None = None
        """What is set in its requests, which then go over TLS."""
        self._requests = 0
        self._proxy = outlet.policy.proxy
        self._rule: str | None = None
        self.name = outlet.memory.latest(self.address)
        self.sent = 0
        self.received = 0
        self.ending = "the gateway ended it"
        self._sending = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Flow {self._number} to {self.address} port {self.port} {self.name or ''}>"

    async def run(self) -> None:
        """Carry it to its end; raises nothing but CancelledError."""
        outcome, reason = Outcome.FAILED, self.ending
        try:
            outcome, reason = await self._run()
        except asyncio.CancelledError:
            reason = self.ending
            raise
        finally:
            self._close(reset=outcome is not Outcome.ALLOWED)
            self._outlet.note(self._entry(outcome, reason))

    async def _run(self) -> tuple[Outcome, str]:
        try:
            if self.port == DNS_PORT:
                with contextlib.suppress(TimeoutError):
                    await self._outlet.names.serve_tcp(self._guest)
            else:
                await self._talk()
        except Exception as error:  # whatever a stranger's bytes did, it is this connection's matter alone
            return self._what_became(_first(error))
        return Outcome.ALLOWED, ""

    def _what_became(self, error: BaseException) -> tuple[Outcome, str]:
        if isinstance(error, RefusedError):
            self._rule = error.rule
            return Outcome.REFUSED, str(error)
        if isinstance(error, TimeoutError):
            return Outcome.FAILED, str(error) or "it took too long"
        if isinstance(error, OSError):
            return Outcome.FAILED, error.strerror or str(error)
        if isinstance(error, ResolveError):
            return Outcome.FAILED, str(error)
        log.error("%s x connection %r", self._outlet.sandbox_id, self, exc_info=error)
        return Outcome.FAILED, type(error).__name__

    async def _talk(self) -> None:
        outlet = self._outlet
        stands_for = outlet.stand_ins.name(self.address)
        if stands_for is not None:
            await self._find(stands_for)
        verdict = self._before_name = outlet.policy.at_connect(self.address, self.port, outlet.own())
        if verdict.answer is Answer.REFUSE and not self._may_be_set():
            raise RefusedError(verdict.reason, verdict.rule)
        self._judging = verdict.answer is Answer.ASK or self._may_be_set()
        first: bytes = b""
        if self._judging:
            first = await self._first_words()
        else:
            await self._dial([self.address], verdict)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._from_server())
            both.create_task(self._from_guest(first))

    async def _find(self, name: str) -> None:
        """The guest has an address that stands for a name: where that is now, is where it wants to go."""
        outlet, own = self._outlet, self._outlet.own()
        found = [address for address in await outlet.resolver.addresses(name) if outlet.policy.may_tell(address, own)]
        if not found:
            raise RefusedError(f"{name} has no address that may be reached")
        self.address, self.name = found[0], name
        outlet.memory.note(name, self.address, time.monotonic())

    # --- the name

    async def _first_words(self) -> bytes:
        """Read until the guest has said whom it speaks to, or leaves it to the server to begin; what may be passed on.

        Then it is dialled.
        """
        said = b""
        deadline = time.monotonic() + _NAME_S
        while self._dialled is None:
            try:
                async with asyncio.timeout(_SERVER_FIRST_S):
                    piece = await self._loop.sock_recv(self._guest, _PIECE)
            except TimeoutError:
                verdict = self._judge.by_asked_names(self.address)
                if verdict.answer is Answer.ALLOW and not self._may_be_set():
                    await self._dial([self.address], verdict)
                elif time.monotonic() > deadline:
                    raise RefusedError("names decide here, and the connection shows none") from None
                continue
            if not piece:
                raise RefusedError("names decide here, and the connection ended without one")
            said += await self._judged(piece)
        return said

    async def _judged(self, piece: bytes) -> bytes:
        """What of these bytes may be passed on. RefusedError."""
        allowed = await self._passing(self._speech.feed(piece))
        if self._speech.pending_bytes > MAX_PENDING:
            raise RefusedError("names decide here, and the connection shows none")
        return allowed

    async def _passing(self, said: Sequence[Named | bytes]) -> bytes:
        """What of this goes on, each name judged before its bytes, with what is set in its head."""
        allowed = b""
        head: Head | None = None
        for item in said:
            if isinstance(item, Named):
                await self._judge_name(item)
                head = item.head
            elif head is not None and self._setting is not None:
                allowed += with_headers(head, self._setting)
                head = None
            else:
                allowed += item
        return allowed

    async def _judge_name(self, named: Named) -> None:
        rule = self._header_rule(named)
        if rule is not None or self._setting is not None:
            await self._judge_set(named, rule)
            return
        if self._before_name.answer is Answer.REFUSE:
            raise RefusedError(self._before_name.reason, self._before_name.rule)
        verdict, candidates = await self._judge.verdict(named, self.address)
        self._host = self._judge.host
        self.name = self._host or self.name
        if verdict.answer is not Answer.ALLOW:
            raise RefusedError(verdict.reason, verdict.rule)
        if self._dialled is None:
            await self._dial(candidates, verdict)
        elif self._dialled not in candidates:
            raise RefusedError(f"{named.host} is not at {self._dialled}", verdict.rule)

    # --- headers that are set

    def _may_be_set(self) -> bool:
        """Whether it may turn out to be a connection whose requests get headers: the guest has to speak first then."""
        return self.port == HTTP_PORT and bool(self._outlet.policy.headers)

    def _header_rule(self, named: Named) -> HeaderRule | None:
        if self.port != HTTP_PORT or named.speech is not Speech.HTTP or named.host is None:
            return None
        name = normal_name(named.host)
        return None if name is None else self._outlet.policy.header_rule(name)

    async def _judge_set(self, named: Named, rule: HeaderRule | None) -> None:
        if self._dialled is not None and self._setting is None:
            raise RefusedError(f"headers are set for {named.host}, and this connection goes elsewhere")
        verdict, candidates = await self._judge.behind(named, self._dialled)
        self._host = self.name = self._judge.host or self.name
        if verdict.answer is not Answer.ALLOW:
            raise RefusedError(verdict.reason, verdict.rule)
        assert named.head is not None
        if named.head.method in ("TRACE", "CONNECT"):  # the one would send the headers back
            raise RefusedError(f"{named.head.method} to {named.host}, for which headers are set")
        if named.head.upgrade and self._requests:
            # answers to the requests before could be taken for the answer to this
            raise RefusedError("a change of protocol after other requests, where headers are set")
        self._requests += 1
        if self._dialled is None:
            self._setting = rule
            await self._dial(candidates, verdict)

    def still_allowed(self) -> bool:
        """Whether the policy of now would let it through; one that is still being judged is judged by that anyway."""
        if self._dialled is None:
            return True
        policy, own = self._outlet.policy, self._outlet.own()
        set_now = policy.header_rule(self._host) if self._host and self.port == HTTP_PORT else None
        if policy.proxy != self._proxy or set_now != self._setting:
            return False
        if self._setting is not None:
            verdict = policy.with_name(self._setting.host, self._dialled, TLS_PORT, own)
        elif not self._judging:
            verdict = policy.at_connect(self._dialled, self.port, own)
        elif self._host:
            verdict = policy.with_name(self._host, self._dialled, self.port, own)
        else:
            verdict = self._judge.by_asked_names(self.address)
        return verdict.answer is Answer.ALLOW

    # --- the other end

    async def _dial(self, candidates: Sequence[Address], verdict: Verdict) -> None:
        self._rule = verdict.rule
        outlet, self._proxy = self._outlet, self._outlet.policy.proxy
        port = self.port if self._setting is None else TLS_PORT
        if self._proxy is None:
            sock, dialled = await dial(candidates, port)
        else:
            sock, dialled = await dial_through(self._proxy, candidates, port, outlet.resolver, outlet.own)
        self._server = PlainEnd(sock)
        if self._setting is not None:
            tls = TlsEnd(sock, outlet.trust(), self._setting.host)
            await tls.handshake()
            self._server = tls
        self._dialled = dialled
        if not self.still_allowed():  # the policy was changed meanwhile
            raise RefusedError("the policy was changed", verdict.rule)
        outlet.note(self._entry(Outcome.OPEN, ""))

    # --- carrying

    async def _from_guest(self, first: bytes) -> None:
        assert self._server is not None
        if first:
            await self._send(first)
        while piece := await self._loop.sock_recv(self._guest, _PIECE):
            if self._judging:
                piece = await self._judged(piece)
            elif self._host is None and self._speech.pending_bytes < MAX_PENDING:
                self._overhear(piece)
            if piece:
                await self._send(piece)
        await self._server.finish()

    async def _send(self, data: bytes) -> None:
        assert self._server is not None
        # what waited for an answer to an upgrade comes from the other side's task
        async with self._sending:
            await self._outlet.take(len(data))
            await self._server.send(data)
            self.sent += len(data)
            self._outlet.counters.sent_bytes += len(data)

    async def _from_server(self) -> None:
        assert self._server is not None
        while piece := await self._server.receive():
            if self._judging and self._speech.speech is Speech.HTTP:
                await self._answered(piece[:16])
            await self._outlet.take(len(piece))
            await self._loop.sock_sendall(self._guest, piece)
            self.received += len(piece)
            self._outlet.counters.received_bytes += len(piece)
        with contextlib.suppress(OSError):
            self._guest.shutdown(socket.SHUT_WR)

    async def _answered(self, data: bytes) -> None:
        """Requests may have waited for what the server says to an upgrade."""
        if allowed := await self._passing(self._speech.answered(data)):
            await self._send(allowed)

    def _overhear(self, piece: bytes) -> None:
        """Where no name decides, one may still be good to know for the log."""
        for item in self._speech.feed(piece):
            if isinstance(item, Named):
                self._host = (normal_name(item.host) if item.host else None) or self.name or ""
                self.name = self._host or self.name

    # --- the end

    def _close(self, *, reset: bool) -> None:
        for sock in (self._guest, None if self._server is None else self._server.sock):
            if sock is None:
                continue
            if reset:
                # an RST: the other end learns at once that nothing more comes
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def _entry(self, outcome: Outcome, reason: str) -> LogEntry:
        return LogEntry(
            self._number, self._began, "dns" if self.port == DNS_PORT else "tcp", outcome, self.name or None,
            str(self.address), self.port, reason, self._rule, self.sent, self.received,
            round(time.monotonic() - self._started, 3),
        )  # fmt: skip


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
