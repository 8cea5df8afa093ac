"""The few things that differ between the two SDKs by more than a word; the generator swaps `async_…` for `sync_…`."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from desktop_sandbox.config import SCREEN_DOOR, home_folder, is_loopback
from desktop_sandbox.sdk.local_screens import LocalScreens
from desktop_sandbox.sdk.loopback import LoopbackTransport
from desktop_sandbox.sdk.loopback_async import AsyncLoopbackTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from typing import BinaryIO

    import httpx

CHUNK_BYTES = 256 << 10


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
