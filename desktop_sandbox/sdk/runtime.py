"""The few things that differ between the two SDKs by more than a word; the generator swaps `async_…` for `sync_…`."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from desktop_sandbox.config import SCREEN_DOOR, home_folder, is_loopback
from desktop_sandbox.sdk import tls_socket
from desktop_sandbox.sdk.archive import Unpacked, unpack
from desktop_sandbox.sdk.local_screens import LocalScreens
from desktop_sandbox.sdk.loopback import LoopbackTransport
from desktop_sandbox.sdk.loopback_async import AsyncLoopbackTransport
from desktop_sandbox.sdk.requests import not_reached

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    import httpx

CHUNK_BYTES = 256 << 10
_last_words: set[asyncio.Task[None]] = set()
T = TypeVar("T")


class _Process:
    """Stands for this process where the asynchronous SDK has its event loop."""


_PROCESS = _Process()


def async_scope() -> object:
    """Whatever shares connections: the running event loop."""
    return asyncio.get_running_loop()


def sync_scope() -> object:
    """Whatever shares connections: this process."""
    return _PROCESS


def async_transport(url: str) -> httpx.AsyncBaseTransport | None:
    """How requests travel: to a server on this host by the quick way, else as httpx sees fit."""
    return AsyncLoopbackTransport() if _is_local(url) else None


def sync_transport(url: str) -> LoopbackTransport | None:
    """How requests travel: to a server on this host by the quick way, else as httpx sees fit."""
    return LoopbackTransport() if _is_local(url) else None


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and is_loopback(parts.hostname or "")


def local_screens(url: str) -> LocalScreens | None:
    """The screens of a server on this host, which can be read without it; None for a server elsewhere."""
    return LocalScreens(lambda: home_folder() / SCREEN_DOOR) if _is_local(url) else None


async def async_raw(
    screens: LocalScreens, sandbox_id: str, region: tuple[int, int, int, int] | None, *, cursor: bool
) -> bytes | None:
    """See LocalScreens.raw; a thread reads, so that the event loop goes on."""
    return await asyncio.to_thread(screens.raw, sandbox_id, region, cursor=cursor)


def sync_raw(
    screens: LocalScreens, sandbox_id: str, region: tuple[int, int, int, int] | None, *, cursor: bool
) -> bytes | None:
    """See LocalScreens.raw."""
    return screens.raw(sandbox_id, region, cursor=cursor)


async def async_sleep(seconds: float) -> None:
    """Let others run meanwhile."""
    await asyncio.sleep(seconds)


def sync_sleep(seconds: float) -> None:
    """Block this thread."""
    time.sleep(seconds)


async def async_last_word(say: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Say something though the caller is leaving: within so many seconds, and whatever comes of it.

    A task of its own says it, which goes on where the caller is cancelled once more (anyio does so at each await).
    """

    async def saying() -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(seconds):
                await say()

    task = asyncio.create_task(saying())
    _last_words.add(task)
    task.add_done_callback(_last_words.discard)
    await asyncio.shield(task)


def sync_last_word(say: Callable[[], object], seconds: float) -> None:
    """Say something though the caller is leaving, whatever comes of it; `say` itself takes no more than `seconds`."""
    with contextlib.suppress(Exception):
        say()


async def async_tell(callback: Callable[[str], Any], text: str) -> None:
    """Call a callback, and await what it returns if that can be awaited."""
    result = callback(text)
    if inspect.isawaitable(result):
        await result


def sync_tell(callback: Callable[[str], Any], text: str) -> None:
    """Call a callback."""
    callback(text)


async def async_chunks(data: BinaryIO | Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The pieces of a file (read without holding up the event loop) or of an iterable."""
    if isinstance(data, AsyncIterable):
        async for chunk in data:
            yield chunk
    elif hasattr(data, "read"):
        while chunk := await asyncio.to_thread(data.read, CHUNK_BYTES):
            yield chunk
    else:
        for chunk in data:
            yield chunk


def sync_chunks(data: BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a file or of an iterable."""
    if hasattr(data, "read"):
        while chunk := data.read(CHUNK_BYTES):
            yield chunk
    else:
        yield from data


async def async_in_thread(work: Callable[..., T], *args: Any) -> T:
    """Work that waits for a disk, without holding up the event loop."""
    return await asyncio.to_thread(work, *args)


def sync_in_thread(work: Callable[..., T], *args: Any) -> T:
    """Work that waits for a disk."""
    return work(*args)


async def async_from_disk(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Chunks that are made by reading a disk, without holding up the event loop."""
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


def sync_from_disk(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Chunks that are made by reading a disk."""
    return chunks


async def async_unpack(
    chunks: AsyncIterator[bytes], folder: Path, *, max_bytes: int, progress: Callable[[int], Any] | None
) -> Unpacked:
    """See archive.unpack; a thread writes, so that the event loop goes on."""
    loop = asyncio.get_running_loop()

    async def following() -> bytes:
        return await anext(chunks, b"")

    def pull() -> bytes:
        return asyncio.run_coroutine_threadsafe(following(), loop).result()

    try:
        return await asyncio.to_thread(unpack, pull, folder, max_bytes=max_bytes, progress=progress)
    finally:
        await cast("AsyncGenerator[bytes, None]", chunks).aclose()


def sync_unpack(
    chunks: Iterator[bytes], folder: Path, *, max_bytes: int, progress: Callable[[int], Any] | None
) -> Unpacked:
    """See archive.unpack."""
    try:
        return unpack(lambda: next(chunks, b""), folder, max_bytes=max_bytes, progress=progress)
    finally:
        cast("Generator[bytes]", chunks).close()


def async_lock() -> asyncio.Lock:
    """A lock among tasks."""
    return asyncio.Lock()


def sync_lock() -> threading.Lock:
    """A lock among threads."""
    return threading.Lock()


async def async_socket(url: str, path: str, key: str | None) -> Any:
    """A WebSocket. ServerError if the server cannot be reached."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    try:
        return await connect(**_socket_options(url, path, key))
    except (OSError, WebSocketException) as error:
        raise not_reached(url, error) from error


def sync_socket(url: str, path: str, key: str | None) -> Any:
    """A WebSocket. ServerError if the server cannot be reached."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    try:
        secure = tls_socket.context() if urlsplit(url).scheme == "https" else None
        return connect(**_socket_options(url, path, key), ssl=secure)
    except (OSError, WebSocketException) as error:
        raise not_reached(url, error) from error


def _socket_options(url: str, path: str, key: str | None) -> dict[str, Any]:
    return {
        "uri": url.replace("http", "ws", 1).rstrip("/") + path,
        "additional_headers": {} if key is None else {"Authorization": f"Bearer {key}"},
        "compression": None,
        "max_size": 4 << 20,
        "close_timeout": 2,
        "proxy": None if is_loopback(urlsplit(url).hostname or "") else True,
    }


async def async_receive(socket: Any) -> str | bytes | None:
    """The next message of a WebSocket; None where it is closed."""
    from websockets.exceptions import ConnectionClosed

    try:
        return cast("str | bytes", await socket.recv())
    except ConnectionClosed:
        return None


def sync_receive(socket: Any) -> str | bytes | None:
    """The next message of a WebSocket; None where it is closed."""
    from websockets.exceptions import ConnectionClosed

    try:
        return cast("str | bytes", socket.recv())
    except ConnectionClosed:
        return None


async def async_send(socket: Any, data: str | bytes) -> bool:
    """Send a message; False where the WebSocket is closed."""
    from websockets.exceptions import ConnectionClosed

    try:
        await socket.send(data)
    except ConnectionClosed:
        return False
    return True


def sync_send(socket: Any, data: str | bytes) -> bool:
    """Send a message; False where the WebSocket is closed."""
    from websockets.exceptions import ConnectionClosed

    try:
        socket.send(data)
    except ConnectionClosed:
        return False
    return True
