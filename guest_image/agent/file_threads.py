"""Threads that touch files with the rights of one user.

On Linux the file-system identity (setfsuid, setfsgid) and the group list belong to the thread, not to the
process; the raw system calls change just the calling one. Such a thread loses root's power over files, the rest
of the agent keeps it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from guest_image.agent.errors import OpError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    from guest_image.agent.accounts import Account

_SETGROUPS = {"x86_64": 116, "aarch64": 159}
_T = TypeVar("_T")


class FileThreads:
    """A small pool of threads for each user, made when it is first needed."""

    def __init__(self, threads_each: int = 3) -> None:
        self._threads_each = threads_each
        self._pools: dict[str, ThreadPoolExecutor] = {}

    async def run(
        self,
        account: Account,
        work: Callable[..., _T],
        *args: Any,
        dispose: Callable[[_T], object] | None = None,
    ) -> _T:
        """Call `work(*args)` in a thread with the account's rights; its errors come through.

        A cancelled caller still waits for its end, so that nobody closes what the thread is using; `dispose` gets the
        result that then has no owner.
        """
        pool = self._pools.get(account.name)
        if pool is None:
            from concurrent.futures import ThreadPoolExecutor

            name = f"files-{account.name}"
            pool = ThreadPoolExecutor(self._threads_each, name, initializer=_become, initargs=(account,))
            self._pools[account.name] = pool
        future = asyncio.get_running_loop().run_in_executor(pool, work, *args)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            while not future.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([future])
            if future.exception() is None and dispose is not None:
                dispose(future.result())
            raise

    def close(self) -> None:
        """End the threads; does not wait for what hangs."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        self._pools.clear()


def _become(account: Account) -> None:
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    number = _SETGROUPS.get(platform.machine())
    if number is None:
        raise OpError("failed", f"no way to change groups on {platform.machine()}")
    groups = (ctypes.c_uint32 * len(account.groups))(*account.groups)
    if libc.syscall(number, len(account.groups), groups) != 0:
        raise OSError(ctypes.get_errno(), "setgroups")
    libc.setfsgid(account.gid)
    libc.setfsuid(account.uid)
    if libc.setfsuid(-1) != account.uid:
        raise OpError("permission", f"the agent may not act as {account.name}")
