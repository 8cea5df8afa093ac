"""A proxy for tests that speaks HTTP and SOCKS5, and tells what it was asked for."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress


class FakeProxy:
    """A proxy of the little internet that speaks both protocols, and what it was asked for."""

    def __init__(self, user: bytes = b"", password: bytes = b"") -> None:
        self.asked: list[tuple[str, int]] = []
        self._user, self._password = user, password
        self.code = 0
        self.leads_to: tuple[str, int] | None = None

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        secret = base64.b64encode(self._user + b":" + self._password)
        if self._user and b"Proxy-Authorization: Basic " + secret + b"\r\n" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        await self._carry(host.strip("[]"), int(port), reader, writer, b"HTTP/1.1 200 OK\r\nVia: me\r\n\r\n")

    async def socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await self._socks(reader, writer)
        writer.close()

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 2 if self._user else 0
        writer.write(bytes((5, wanted if wanted in methods else 255)))
        if wanted:
            user = await reader.readexactly((await reader.readexactly(2))[1])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            good = (user, password) == (self._user, self._password)
            writer.write(bytes((1, 0 if good else 1)))
        _, _, _, kind = await reader.readexactly(4)
        assert kind in (1, 4)
        host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2))
        if self.code:
            writer.write(bytes((5, self.code, 0, 1)) + bytes(6))
            return
        await self._carry(host, port, reader, writer, b"\x05\x00\x00\x03\x05proxy\x00\x01")

    async def _carry(
        self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, yes: bytes
    ) -> None:
        self.asked.append((host, port))
        far_reader, far_writer = await asyncio.open_connection(*(self.leads_to or (host, port)))
        writer.write(yes)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
                sink.write_eof()

        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
        far_writer.close()
        writer.close()
