"""Answers a guest's DNS questions: what its policy lets it ask, looked up outside, addresses it may reach only."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from typing import TYPE_CHECKING

from desktop_sandbox.network import dns
from desktop_sandbox.network.budget import Bucket
from desktop_sandbox.network.names import normal_name
from desktop_sandbox.network.policy import Answer
from desktop_sandbox.network.records import Outcome
from desktop_sandbox.network.resolver import ResolveError

if TYPE_CHECKING:
    from desktop_sandbox.network.outlet import Outlet

log = logging.getLogger("desktop_sandbox.network")

IP_PKTINFO = 8
_LONGEST_TTL_S = 300
_STAND_IN_TTL_S = 60
_QUESTIONS_S = 100.0
_BURST = 300
_AT_ONCE = 64
_TCP_IDLE_S = 10.0
_MAX_WAITING = 256


class NameServer:
    """The DNS server of one sandbox."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._bucket = Bucket(_QUESTIONS_S, _BURST, time.monotonic())
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    # --- wires

    def on_readable(self, sock: socket.socket) -> None:
        """Take what has come by UDP; answers go out from the address that was asked."""
        for _ in range(32):
            try:
                data, ancillary, _, source = sock.recvmsg(dns.MAX_MESSAGE + 1, 256)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue
            asked = next(
                (extra for level, kind, extra in ancillary if level == socket.IPPROTO_IP and kind == IP_PKTINFO), None
            )
            if asked is None or self._waiting >= _MAX_WAITING:
                continue
            self._outlet.start(self._answer_udp(sock, data, asked, source))

    async def _answer_udp(self, sock: socket.socket, data: bytes, asked: bytes, source: tuple[str, int]) -> None:
        answer = await self.answer(data, by_udp=True)
        if answer is not None:
            destination = struct.unpack_from("=i4s4s", asked)[2]
            info = struct.pack("=i4s4s", 0, destination, b"\0\0\0\0")
            try:
                sock.sendmsg([answer], [(socket.IPPROTO_IP, IP_PKTINFO, info)], 0, source)
            except OSError as error:
                log.debug("%s x DNS answer: %s", self._outlet.sandbox_id, error)

    async def serve_tcp(self, sock: socket.socket) -> None:
        """Answer questions on a TCP connection to port 53 until it ends or is idle."""
        loop = asyncio.get_running_loop()
        buffer = b""
        while True:
            async with asyncio.timeout(_TCP_IDLE_S):
                piece = await loop.sock_recv(sock, 4096)
            if not piece:
                return
            buffer += piece
            while len(buffer) >= 2 and len(buffer) >= 2 + int.from_bytes(buffer[:2]):
                length = int.from_bytes(buffer[:2])
                question, buffer = buffer[2 : 2 + length], buffer[2 + length :]
                answer = await self.answer(question, by_udp=False)
                if answer is None:
                    return
                async with asyncio.timeout(_TCP_IDLE_S):
                    await loop.sock_sendall(sock, len(answer).to_bytes(2) + answer)
            if len(buffer) > dns.MAX_MESSAGE + 2:
                return

    # --- answers

    async def answer(self, data: bytes, *, by_udp: bool) -> bytes | None:
        """The answer to one message; None: none is due."""
        try:
            question = dns.read_question(data)
        except dns.DnsError:
            return dns.write_failure(data, dns.FORMAT_ERROR)
        self._outlet.counters.lookups += 1
        if not self._bucket.may(time.monotonic()):
            return dns.write_answer(question, dns.SERVER_FAILURE)
        self._waiting += 1
        try:
            async with self._slots:
                rcode, records = await self._look_up(question)
        finally:
            self._waiting -= 1
        return dns.write_answer(question, rcode, records, room=question.room if by_udp else 65000)

    async def _look_up(self, question: dns.Question) -> tuple[int, list[dns.Record]]:
        outlet = self._outlet
        name = normal_name(question.name)
        if name is None:
            return dns.NO_SUCH_NAME, []
        verdict = outlet.policy.may_ask(name)
        if verdict.answer is Answer.REFUSE:
            outlet.note_lookup(name, Outcome.REFUSED, verdict.reason, verdict.rule)
            return dns.NO_SUCH_NAME, []
        if question.qtype not in dns.FORWARDED and question.qtype != dns.AAAA:
            return dns.NO_ERROR, []
        try:
            # a name that has IPv6 addresses only still exists: what is asked of it is asked outside
            response = await outlet.resolver.ask(name, question.qtype)
        except ResolveError as error:
            outlet.note_lookup(name, Outcome.FAILED, str(error))
            return dns.SERVER_FAILURE, []
        if response.rcode != dns.NO_ERROR or question.qtype == dns.AAAA:
            return response.rcode, []
        if question.qtype == dns.A:
            records = self._addresses(question, name, response)
            if not records and not dns.addresses_of(response, name):
                records = await self._stand_in(question, name)
            return dns.NO_ERROR, records
        return dns.NO_ERROR, [record for record in response.records if record.rtype == question.qtype]

    async def _stand_in(self, question: dns.Question, name: str) -> list[dns.Record]:
        """For a name with IPv6 addresses only: an IPv4 address that the gateway knows it by."""
        outlet = self._outlet
        try:
            found = await outlet.resolver.addresses(name)
        except ResolveError:
            return []
        own = outlet.own()
        if not any(address.version == 6 and outlet.policy.may_tell(address, own) for address in found):
            return []
        return [dns.Record(question.name, dns.A, _STAND_IN_TTL_S, outlet.stand_ins.address(name).packed)]

    def _addresses(self, question: dns.Question, name: str, response: dns.Response) -> list[dns.Record]:
        """What the guest is told: addresses that it may reach at all, directly under the name it asked for."""
        outlet, own = self._outlet, self._outlet.own()
        records = []
        for address, ttl in dns.addresses_of(response, name):
            if address.version != 4:
                continue
            if not outlet.policy.may_tell(address, own):
                outlet.note_lookup(name, Outcome.REFUSED, f"it is at {address}, which no rule names", address=address)
                continue
            outlet.memory.note(name, address, time.monotonic())
            records.append(dns.Record(question.name, dns.A, min(ttl, _LONGEST_TTL_S), address.packed))
        return records
