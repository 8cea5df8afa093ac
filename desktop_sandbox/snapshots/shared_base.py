"""One memory for many siblings: the template's with a checkpoint's pages laid into it, sealed, where that is less.

Else each child of a fork gets a copy of those pages (`restore.load_state`), and begins sooner: each page that lies in a
base costs it a fault. So a base has to be half of what the copies are.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

from desktop_sandbox.snapshots.delta import Delta
from desktop_sandbox.snapshots.ram import merged_ram, seal
from desktop_sandbox.snapshots.restore import Origin


def base_bytes(template_fd: int, delta: Delta) -> int:
    """Memory that a base of its own takes."""
    return os.fstat(template_fd).st_blocks * 512 + len(delta.pages)


def is_far_less(template_fd: int, delta: Delta, count: int) -> bool:
    """Whether a base for `count` children takes at most half the memory of a copy of the pages for each of them."""
    return 2 * base_bytes(template_fd, delta) <= count * len(delta.pages)


def shared_base(template_fd: int, delta: Delta) -> int:
    """A sealed memfd: a template's memory with a checkpoint's pages in it (blocking, half a second). The caller's.

    Machines that were started from it hold that memory themselves: with the last of them it is gone.
    """
    runs = [(int(first), int(count)) for first, count in delta.runs]
    memory_fd = merged_ram(template_fd, os.fstat(template_fd).st_size, runs, delta.pages)
    try:
        seal(memory_fd)
    except BaseException:
        os.close(memory_fd)
        raise
    return memory_fd


class BaseBeside:
    """A shared base that is made beside something else, in a thread, and let go of whatever happens meanwhile."""

    def __init__(self) -> None:
        self._making: asyncio.Future[int] | None = None
        self._delta: Delta | None = None

    def begin(self, template_fd: int, delta: Delta) -> None:
        """Make it. The template's descriptor stays the caller's."""
        self._delta = delta
        self._making = asyncio.ensure_future(asyncio.to_thread(_made_from, os.dup(template_fd), delta))

    async def under(self, origin: Origin) -> Origin:
        """An origin whose memory holds its checkpoint's pages already; as it is, where no base was begun."""
        if self._making is None or self._delta is None:
            return origin
        memory_fd = await asyncio.shield(self._making)
        return replace(origin, memory_fd=memory_fd, delta=None, below=self._delta.runs)

    def close(self) -> None:
        """Let go of it, as soon as it is made."""
        if self._making is not None:
            self._making.add_done_callback(_close_made)


def _made_from(template_fd: int, delta: Delta) -> int:
    try:
        return shared_base(template_fd, delta)
    finally:
        os.close(template_fd)


def _close_made(made: asyncio.Future[int]) -> None:
    if not made.cancelled() and made.exception() is None:
        os.close(made.result())
