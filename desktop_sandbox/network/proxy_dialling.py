"""Dials through a sandbox's proxy. The proxy is given addresses that were judged, never names to look up itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from desktop_sandbox.network import proxy as speech
from desktop_sandbox.network.addresses import Address, Kind, kind_of, parse_address
from desktop_sandbox.network.dialling import DIAL_S, dial
from desktop_sandbox.network.own import OwnAddresses
from desktop_sandbox.network.proxy import Proxy, Scheme
from desktop_sandbox.network.resolver import ResolveError, Resolver

_MOST = 4
_MAX_HEAD = 16384


class ProxyError(OSError):
    """The proxy is not there, or does not do it; says which, without user and password."""


async def dial_through(
    proxy: Proxy, candidates: Sequence[Address], port: int, resolver: Resolver, own: OwnAddresses
) -> tuple[socket.socket, Address]:
    """A connection through the proxy to the first of these addresses that answers, and that address. ProxyError."""
    places = await _places(proxy, resolver, own)
    why = "there is no address to go to"
    for address in candidates[:_MOST]:
        try:
            sock, _ = await dial(places, proxy.port)
        except OSError as error:  # a TimeoutError is one
            raise ProxyError(f"the proxy {proxy}: {error.strerror or error}") from None
        try:
            async with asyncio.timeout(DIAL_S):
                refusal = await (_connect if proxy.scheme is Scheme.HTTP else _socks)(proxy, sock, address, port)
        except TimeoutError:
            refusal = f"it did not answer within {DIAL_S:.0f} s"
        except OSError as error:
            refusal = error.strerror or str(error)
        except BaseException:
            sock.close()
            raise
        if refusal is None:
            return sock, address
        sock.close()
        why = refusal
    raise ProxyError(f"the proxy {proxy}: {why}")


async def _places(proxy: Proxy, resolver: Resolver, own: OwnAddresses) -> Sequence[Address]:
    """Where the proxy is. A name leads to no guarded place: loopback and this host have to be given as addresses."""
    address = parse_address(proxy.host)
    if address is not None:
        return [address]
    try:
        found = await resolver.addresses(proxy.host)
    except ResolveError as error:
        raise ProxyError(f"the proxy {proxy}: its name: {error}") from None
    places = [place for place in found if kind_of(place, own()) <= Kind.PRIVATE]
    if not places:
        raise ProxyError(f"the proxy {proxy}: its name has no address that may be dialled")
    return places


async def _connect(proxy: Proxy, sock: socket.socket, address: Address, port: int) -> str | None:
    await asyncio.get_running_loop().sock_sendall(sock, speech.connect_request(proxy, address, port))
    head = b""
    # byte by byte: what comes after it is the server's, who may speak first
    while not head.endswith(b"\r\n\r\n"):
        if len(head) >= _MAX_HEAD:
            return "its answer is too long"
        head += await _exactly(sock, 1)
    return speech.connect_refusal(head)


async def _socks(proxy: Proxy, sock: socket.socket, address: Address, port: int) -> str | None:
    loop = asyncio.get_running_loop()
    greeting = speech.socks_greeting(proxy)
    await loop.sock_sendall(sock, greeting)
    version, method = await _exactly(sock, 2)
    if version != 5:
        return "it does not speak SOCKS5"
    if method != greeting[2]:
        return "it wants a user and a password" if proxy.user is None else "it takes no user and password"
    if method == speech.WITH_PASSWORD:
        await loop.sock_sendall(sock, speech.socks_password(proxy))
        if (await _exactly(sock, 2))[1] != 0:
            return "it wants another user or password"
    await loop.sock_sendall(sock, speech.socks_request(address, port))
    version, code, _, kind = await _exactly(sock, 4)
    if version != 5:
        return "it does not speak SOCKS5"
    refusal = speech.socks_refusal(code)
    if refusal is None:
        lengths = {1: 4, 4: 16}
        length = (await _exactly(sock, 1))[0] if kind == 3 else lengths.get(kind)
        if length is None:
            return "it does not speak SOCKS5"
        await _exactly(sock, length + 2)
    return refusal


async def _exactly(sock: socket.socket, count: int) -> bytes:
    out = b""
    while len(out) < count:
        piece = await asyncio.get_running_loop().sock_recv(sock, count - len(out))
        if not piece:
            raise ConnectionResetError("it ended the connection")
        out += piece
    return out
