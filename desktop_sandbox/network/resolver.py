"""Asks DNS servers outside for the guests: strictly read, kept for their lifetime, with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from desktop_sandbox.network import dns
from desktop_sandbox.network.addresses import Address, parse_address, plain

Server = tuple[str, int]
_TRY_S = 2.0
_TRIES = 2
_KEEP = 4096
_LONGEST_S = 300.0
_SHORTEST_S = 2.0
_NONE_S = 5.0


class ResolveError(Exception):
    """No server gave an answer."""


def system_servers(resolv_conf: Path = Path("/etc/resolv.conf")) -> list[Server]:
    """The servers that this host asks itself."""
    found: list[Server] = []
    with contextlib.suppress(OSError):
        for line in resolv_conf.read_text(errors="replace").splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver" and parse_address(words[1]) is not None:
                found.append((words[1], 53))
    return found[:4]


class Resolver:
    """Looks names up. `servers`: (address, port); none: those of /etc/resolv.conf, read anew when it changes."""

    def __init__(self, servers: Sequence[Server] = ()) -> None:
        self._given = tuple(servers)
        self._kept: OrderedDict[tuple[str, int], tuple[float, dns.Response]] = OrderedDict()

    async def ask(self, name: str, qtype: int) -> dns.Response:
        """The answer to a question, maybe one that was given before. ResolveError where none comes."""
        key = (name.lower(), qtype)
        kept = self._kept.get(key)
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        response = await self._ask_servers(name, qtype)
        lifetime = min((record.ttl for record in response.records), default=_NONE_S)
        self._kept.pop(key, None)
        self._kept[key] = (time.monotonic() + min(_LONGEST_S, max(_SHORTEST_S, lifetime)), response)
        while len(self._kept) > _KEEP:
            self._kept.popitem(last=False)
        return response

    async def addresses(self, name: str) -> list[Address]:
        """The addresses of a name, IPv4 first; none if it has none. ResolveError where no server answers."""
        found: list[Address] = []
        for qtype in (dns.A, dns.AAAA):
            response = await self.ask(name, qtype)
            found += [plain(address) for address, _ in dns.addresses_of(response, name)]
        return list(dict.fromkeys(found))

    async def _ask_servers(self, name: str, qtype: int) -> dns.Response:
        servers = self._given or tuple(await asyncio.to_thread(system_servers))
        if not servers:
            raise ResolveError("this host names no DNS server in /etc/resolv.conf")
        why = "no answer"
        for _ in range(_TRIES):
            for server in servers:
                try:
                    async with asyncio.timeout(_TRY_S):
                        response = await _ask_udp(server, name, qtype)
                        if response.truncated:
                            response = await _ask_tcp(server, name, qtype)
                    if response.rcode in (dns.NO_ERROR, dns.NO_SUCH_NAME):
                        return response
                    why = f"{server[0]} answered with code {response.rcode}"
                except TimeoutError:
                    why = f"no answer of {server[0]}"
                except (OSError, dns.DnsError, EOFError) as error:
                    why = f"{server[0]}: {error or type(error).__name__}"
        raise ResolveError(why)


class _Answers(asyncio.DatagramProtocol):
    def __init__(self, ident: int, name: str, qtype: int) -> None:
        self._question = (ident, name, qtype)
        self.done: asyncio.Future[dns.Response] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if self.done.done():
            return
        # an answer to something else may be anybody's: the true one may still come
        with contextlib.suppress(dns.DnsError):
            self.done.set_result(dns.read_response(data, *self._question))

    def error_received(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


async def _ask_udp(server: Server, name: str, qtype: int) -> dns.Response:
    ident = secrets.randbelow(65536)
    transport, answers = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Answers(ident, name, qtype), remote_addr=server
    )
    try:
        transport.sendto(dns.write_question(ident, name, qtype))
        return await answers.done
    finally:
        transport.close()


async def _ask_tcp(server: Server, name: str, qtype: int) -> dns.Response:
    ident = secrets.randbelow(65536)
    reader, writer = await asyncio.open_connection(*server)
    try:
        question = dns.write_question(ident, name, qtype)
        writer.write(len(question).to_bytes(2) + question)
        length = int.from_bytes(await reader.readexactly(2))
        return dns.read_response(await reader.readexactly(length), ident, name, qtype)
    finally:
        writer.close()
