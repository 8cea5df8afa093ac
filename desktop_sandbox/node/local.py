"""The node of this host: takes over a HOME, and lets go of it. What it can do is in the parts it is made of.

core, upkeep (snapshots), ending, networking, creating, saving, returning (roll back, pause, resume), forking,
freezing, full_disk, lookup, house;
guest_calls, elements, reaching, watching and host_calls ask a running sandbox, or the host; recovery is what happens at
the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from pathlib import Path
from typing import IO

from desktop_sandbox.config import ServerConfig
from desktop_sandbox.errors import ConfigurationError
from desktop_sandbox.microvm.jail import media_uid
from desktop_sandbox.microvm.machine import socket_path
from desktop_sandbox.microvm.setup import find_hypervisor
from desktop_sandbox.node.carrying_templates import CarryingTemplates
from desktop_sandbox.node.elements import Elements
from desktop_sandbox.node.facts import SandboxSpec
from desktop_sandbox.node.forking import Forking
from desktop_sandbox.node.freezing import Freezing
from desktop_sandbox.node.full_disk import FullDisk
from desktop_sandbox.node.host_calls import HostCalls
from desktop_sandbox.node.house import House
from desktop_sandbox.node.lookup import Lookup
from desktop_sandbox.node.pictures import Pictures
from desktop_sandbox.node.promoting import Promoting
from desktop_sandbox.node.reaching import Reaching
from desktop_sandbox.node.reclaiming import Reclaiming
from desktop_sandbox.node.recovery import recover
from desktop_sandbox.node.store import Store
from desktop_sandbox.node.warm_pool import WarmPool
from desktop_sandbox.node.watching import Watching
from desktop_sandbox.snapshots.keeper import KeeperClient
from desktop_sandbox.snapshots.restore import TemplateMemory


class LocalNode(
    Lookup,
    House,
    Reclaiming,
    Forking,
    Freezing,
    FullDisk,
    WarmPool,
    CarryingTemplates,
    Promoting,
    Watching,
    Pictures,
    Elements,
    Reaching,
    HostCalls,
):
    """This host's desktops. Make it with `start`, end it with `aclose` in the same task."""

    @property
    def media_uid(self) -> int:
        """The uid that the media process of this HOME gets, where the server is root."""
        return media_uid(self.hypervisor.tag)

    @classmethod
    async def start(cls, config: ServerConfig) -> LocalNode:
        """Take over HOME: find running machines again, end what has no owner. Raises ConfigurationError."""
        home = config.home
        (home / "sandboxes").mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / "templates").mkdir(exist_ok=True)
        lock = _lock_home(home)
        try:
            hypervisor = await asyncio.to_thread(find_hypervisor, home, translation_mib=config.translation_mib)
            keeper = await asyncio.to_thread(KeeperClient, socket_path(home / "templates", ".keeper"))
            node = cls(config, hypervisor, await Store.open(config.node_database), TemplateMemory(keeper), lock)
        except BaseException:
            lock.close()
            raise
        await node._tasks.__aenter__()
        node._start_soon(node.networks.start(), "networks")
        for live in await recover(node.store, home, hypervisor):
            node._adopt(live)
        await node.end_unfinished_forks()
        for live in list(node._live.values()):
            node._start_soon(node._adopt_network(live), f"network of {live.machine.id}")
            node._start_soon(node._greet(live), f"greet {live.machine.id}")
        await node.tidy_snapshots()
        node._start_soon(node._keep_house(), "house")
        node._start_soon(node._keep_still(), "freezing")
        node._start_soon(node._keep_writing(), "full disks")
        node._start_soon(node._keep_memory(), "keeping memory free")
        node._start_soon(node._keep_from_running_out(), "keeping memory from running out")
        node._start_soon(node._preload(SandboxSpec().template), "preload")
        node._start_soon(node._keep_warm(), "warm pool")
        return node

    async def aclose(self) -> None:
        """Let go of everything; machines run on, and the next node of this HOME adopts them."""
        await self.networks.aclose()
        for task in self._background:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tasks.__aexit__(None, None, None)
        while self._parked:
            await self._drop(self._parked.pop())
        for live in list(self._live.values()):
            await live.detach()
        self._live.clear()
        self._memory.close()
        await self.store.close()
        self._lock.close()


def _lock_home(home: Path) -> IO[str]:
    lock = (home / "server.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ConfigurationError(
            f"another server uses {home}", hint="stop it, or set DESKTOP_SANDBOX_HOME to another folder"
        ) from None
    return lock
