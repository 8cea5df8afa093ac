"""The quick transport against servers that misbehave byte by byte."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from desktop_sandbox import Sandbox, errors
from desktop_sandbox.sdk.loopback import LoopbackTransport
from desktop_sandbox.sdk.loopback_async import AsyncLoopbackTransport
from tests.live_server import Live


@contextmanager
def speaking(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that hands each connection, after it read a request's head, to `serve`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link:
                while b"\r\n\r\n" not in link.recv(65536):
                    pass
                serve(link)

    threading.Thread(target=run, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def client(timeout: float = 2.0) -> httpx.Client:
    return httpx.Client(transport=LoopbackTransport(), timeout=timeout)


async def get(url: str, timeout: float = 2.0) -> httpx.Response:
    async with httpx.AsyncClient(transport=AsyncLoopbackTransport(), timeout=timeout) as http:
        return await http.get(url)


def bytewise(data: bytes) -> Callable[[socket.socket], None]:
    def serve(link: socket.socket) -> None:
        for byte in data:
            link.sendall(bytes([byte]))

    return serve


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ],
)
def test_answers_arrive_whole_however_they_are_cut(answer: bytes) -> None:
    with speaking(bytewise(answer)) as url, client() as http:
        assert http.get(url).content == b"hello"
        assert asyncio.run(get(url)).content == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 O",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
    ],
)
def test_answers_that_break_off_or_make_no_sense_are_transport_errors(answer: bytes) -> None:
    with speaking(lambda link: link.sendall(answer)) as url, client() as http, pytest.raises(httpx.TransportError):
        http.get(url)
    with speaking(lambda link: link.sendall(answer)) as url, pytest.raises(httpx.TransportError):
        asyncio.run(get(url))


def test_an_empty_answer_and_none_at_all() -> None:
    with speaking(lambda link: link.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")) as url, client() as http:
        assert http.delete(url).status_code == 204
    stay = threading.Event()
    with speaking(lambda _: stay.wait(5) and None) as url, client(0.2) as http, pytest.raises(httpx.ReadTimeout):
        http.get(url)
    with speaking(lambda _: stay.wait(5) and None) as url, pytest.raises(httpx.ReadTimeout):
        asyncio.run(get(url, 0.2))
    stay.set()


def test_a_connection_that_the_server_closed_while_idle_is_not_used_again() -> None:
    with (
        speaking(lambda link: link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")) as url,
        client() as http,
    ):
        for _ in range(3):
            assert http.get(url).text == "hi"
            time.sleep(0.05)  # the server's close arrives; a request that crosses it is the SDK's to repeat


def test_many_threads_share_one_sandbox(live: Live) -> None:
    with Sandbox.create() as desktop:
        sizes: list[int] = []

        def look() -> None:
            sizes.extend(len(desktop.screenshot("raw")) for _ in range(5))

        threads = [threading.Thread(target=look) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sizes == [1280 * 800 * 3] * 30


def test_too_much_at_once_is_told_as_such(live: Live) -> None:
    with Sandbox.create() as desktop, pytest.raises(errors.DesktopSandboxError) as caught:
        desktop.commands.run("cat", stdin=b"x" * (8 << 20))
    assert isinstance(caught.value, errors.InvalidRequestError | errors.ServerError)
