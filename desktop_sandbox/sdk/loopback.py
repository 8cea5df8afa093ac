"""An httpx transport for a server on this host: blocking sockets and the httptools parser, for low latency.

One system call sends a request, and a large body with a known length is received by one call into its final bytes.
httpx's own transport (h11, 64 KiB a read) takes 0.3 ms more for each call and several ms for a raw screenshot. Only
plain HTTP; uploads of unknown length go through httpx's own. Safe for threads: a connection serves one call at a time.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from typing import TYPE_CHECKING, Any

import httptools
import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD_BYTES = 16 << 10
PIECE_BYTES = 8 << 20
MAX_IDLE = 64


class LoopbackTransport(httpx.BaseTransport):
    """Keeps idle connections, as many as were ever busy at once, up to 64."""

    def __init__(self) -> None:
        self._idle: list[socket.socket] = []
        self._other = httpx.HTTPTransport(verify=False)  # only ever speaks plain HTTP here

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the response's stream reads the body. Raises httpx's transport errors."""
        if "Transfer-Encoding" in request.headers or request.url.scheme != "http":
            return self._other.handle_request(request)
        limits: dict[str, float | None] = request.extensions.get("timeout", {})
        link = self._connect(request, limits.get("connect"))
        try:
            _set_timeout(link, limits.get("read"))
            # a server that refuses a request may close before it has all of it: its answer matters more
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                link.sendall(request_head(request) + request.read())
            answer = _Answer(link)
            answer.read_head()
        except BaseException as error:
            link.close()
            _raise_mapped(error, request)
            raise
        body = _Body(self, answer, request)
        if answer.parser.complete:
            body.close()
        return httpx.Response(answer.parser.status, headers=answer.parser.headers, stream=body)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()
        self._other.close()

    def give_back(self, link: socket.socket) -> None:
        """Keep a connection whose answer was read to its end."""
        if len(self._idle) < MAX_IDLE:
            self._idle.append(link)
        else:
            link.close()

    def _connect(self, request: httpx.Request, timeout: float | None) -> socket.socket:
        while self._idle:
            try:
                link = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if not select.select([link], [], [], 0)[0]:
                return link
            link.close()  # readable while idle: the server has closed it
        try:
            link = socket.create_connection((request.url.host, request.url.port or 80), timeout)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error), request=request) from error
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        link.settimeout(None)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link


class AnswerParser:
    """What is known of one answer: its head, pieces of its body not yet taken, and how much is missing."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.remaining: int | None = None
        self.head_complete = self.complete = self.keep = False

    @property
    def status(self) -> int:
        """The status code."""
        return int(self._parser.get_status_code())

    def feed(self, data: bytes) -> None:
        """Parse what was received; httptools' errors for nonsense."""
        self._parser.feed_data(data)

    def take(self) -> list[bytes]:
        """The pieces of the body parsed since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def took(self, count: int) -> None:
        """So many bytes of a body of known length were received without the parser."""
        assert self.remaining is not None
        self.remaining -= count
        self.complete = self.remaining == 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.headers.append((name, value))
        if name.lower() == b"content-length":
            self.remaining = int(value)

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.head_complete = True
        self.keep = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        self._pieces.append(data)
        if self.remaining is not None:
            self.remaining -= len(data)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.complete = True


class _Answer:
    """One answer being read from a socket."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.parser = AnswerParser()

    def read_head(self) -> None:
        while not self.parser.head_complete:
            self._feed()

    def body(self) -> Iterator[bytes]:
        parser = self.parser
        while True:
            yield from parser.take()
            if parser.complete:
                return
            if parser.remaining is not None:
                data = self.link.recv(min(parser.remaining, PIECE_BYTES), socket.MSG_WAITALL)
                if not data:
                    raise httpx.RemoteProtocolError("the server closed the connection in the middle of an answer")
                parser.took(len(data))
                yield data
            else:
                self._feed()

    def _feed(self) -> None:
        data = self.link.recv(self._head_length() if not self.parser.head_complete else 256 << 10)
        if not data:
            raise httpx.RemoteProtocolError("the server closed the connection without a whole answer")
        self.parser.feed(data)

    def _head_length(self) -> int:
        """How much to receive so that nothing of the body comes with the head: a body is then never copied."""
        seen = self.link.recv(HEAD_BYTES, socket.MSG_PEEK)
        end = seen.find(b"\r\n\r\n")
        return end + 4 if end >= 0 else max(1, len(seen))


class _Body(httpx.SyncByteStream):
    """The body of an answer; closing it early closes the connection, and so tells the server."""

    def __init__(self, transport: LoopbackTransport, answer: _Answer, request: httpx.Request) -> None:
        self._transport = transport
        self._answer = answer
        self._request = request
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._answer.body()
        except Exception as error:
            self.close()
            _raise_mapped(error, self._request)
            raise

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._answer.parser.complete and self._answer.parser.keep:
                self._transport.give_back(self._answer.link)
            else:
                self._answer.link.close()


def request_head(request: httpx.Request) -> bytes:
    """The request line and headers as they are sent."""
    lines = [b"%s %s HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%s: %s\r\n" % pair for pair in request.headers.raw]
    return b"".join([*lines, b"\r\n"])


def _set_timeout(link: socket.socket, seconds: float | None) -> None:
    """A limit for each system call, kept by the kernel, so that one call can receive a whole body."""
    limit = struct.pack("ll", int(seconds or 0), int((seconds or 0) % 1 * 1e6))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        link.setsockopt(socket.SOL_SOCKET, option, limit)


def _raise_mapped(error: BaseException, request: httpx.Request) -> Any:
    """Raise what httpx's users know for an error of sockets or parser; returns for anything else."""
    if isinstance(error, BlockingIOError | TimeoutError):
        raise httpx.ReadTimeout("no answer in time", request=request) from error
    if isinstance(error, OSError):
        raise httpx.ReadError(str(error), request=request) from error
    if isinstance(error, httptools.HttpParserError):
        raise httpx.RemoteProtocolError(str(error), request=request) from error
