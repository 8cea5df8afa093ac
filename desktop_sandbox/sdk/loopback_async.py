"""The asynchronous counterpart of `loopback`: asyncio streams and the httptools parser under httpx's client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httptools
import httpx

from desktop_sandbox.sdk.loopback import MAX_IDLE, AnswerParser, request_head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BUFFER_BYTES = 4 << 20
Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class AsyncLoopbackTransport(httpx.AsyncBaseTransport):
    """For one event loop; keeps up to 64 idle connections."""

    def __init__(self) -> None:
        self._idle: list[Link] = []
        self._other = httpx.AsyncHTTPTransport(verify=False)  # only ever speaks plain HTTP here

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the response's stream reads the body. Raises httpx's transport errors."""
        if "Transfer-Encoding" in request.headers or request.url.scheme != "http":
            return await self._other.handle_async_request(request)
        limits: dict[str, float | None] = request.extensions.get("timeout", {})
        link = await self._connect(request, limits.get("connect"))
        reader, writer = link
        parser = AnswerParser()
        body = _Body(self, link, parser, request, limits.get("read"))
        try:
            writer.write(request_head(request) + await request.aread())
            async with asyncio.timeout(limits.get("read")):
                while not parser.head_complete:
                    parser.feed(await reader.readuntil(b"\r\n\r\n"))
        except BaseException as error:
            writer.close()
            if (known := _mapped(error, request)) is not None:
                raise known from error
            raise
        if parser.complete:
            await body.aclose()
        return httpx.Response(parser.status, headers=parser.headers, stream=body)

    async def aclose(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop()[1].close()
        await self._other.aclose()

    def give_back(self, link: Link) -> None:
        """Keep a connection whose answer was read to its end."""
        if len(self._idle) < MAX_IDLE:
            self._idle.append(link)
        else:
            link[1].close()

    async def _connect(self, request: httpx.Request, timeout: float | None) -> Link:
        while self._idle:
            reader, writer = self._idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
            writer.close()
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.open_connection(request.url.host, request.url.port or 80, limit=BUFFER_BYTES)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error), request=request) from error
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error


class _Body(httpx.AsyncByteStream):
    """The body of an answer; closing it early closes the connection, and so tells the server."""

    def __init__(
        self,
        transport: AsyncLoopbackTransport,
        link: Link,
        parser: AnswerParser,
        request: httpx.Request,
        timeout: float | None,
    ) -> None:
        self._transport = transport
        self._link = link
        self._parser = parser
        self._request = request
        self._timeout = timeout
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while not self._parser.complete:
                async with asyncio.timeout(self._timeout):
                    data = await self._next()
                for piece in data:
                    yield piece
        except Exception as error:
            await self.aclose()
            if (known := _mapped(error, self._request)) is not None:
                raise known from error
            raise

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            if self._parser.complete and self._parser.keep:
                self._transport.give_back(self._link)
            else:
                self._link[1].close()

    async def _next(self) -> list[bytes]:
        reader, parser = self._link[0], self._parser
        if parser.remaining is not None:
            data = await reader.readexactly(min(parser.remaining, BUFFER_BYTES))
            parser.took(len(data))
            return [data]
        chunk = await reader.read(256 << 10)
        if not chunk:
            raise httpx.RemoteProtocolError("the server closed the connection without a whole answer")
        parser.feed(chunk)
        return parser.take()


def _mapped(error: BaseException, request: httpx.Request) -> httpx.TransportError | None:
    """What httpx's users know for an error of streams or parser; None for anything else."""
    match error:
        case TimeoutError():
            return httpx.ReadTimeout("no answer in time", request=request)
        case OSError():
            return httpx.ReadError(str(error), request=request)
        case asyncio.IncompleteReadError() | asyncio.LimitOverrunError() | httptools.HttpParserError():
            return httpx.RemoteProtocolError(f"the answer broke off or makes no sense: {error}", request=request)
    return None
