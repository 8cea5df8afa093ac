"""What all parts of a node stand on: what it holds, its locks, its listeners, and whether there is room."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import IO, Any
from weakref import WeakValueDictionary

from desktop_sandbox.config import ServerConfig
from desktop_sandbox.errors import CapacityError, DesktopSandboxError
from desktop_sandbox.microvm.host import process_cpu_seconds, process_own_mib
from desktop_sandbox.microvm.jail import SANDBOX_UIDS, first_uid, gateway_uid
from desktop_sandbox.microvm.machine import Hypervisor
from desktop_sandbox.microvm.standing import Beginners
from desktop_sandbox.network.networks import Networks
from desktop_sandbox.node.capacity import Figures, Limits, check_room, read_figures, still_to_come
from desktop_sandbox.node.demand import Demand
from desktop_sandbox.node.interface import Heard, NodeNews
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.parked import Parked
from desktop_sandbox.node.shop import TemplateShop
from desktop_sandbox.node.snapshot_store import SnapshotStore
from desktop_sandbox.node.store import Store
from desktop_sandbox.snapshots.delta import Delta
from desktop_sandbox.snapshots.restore import TemplateMemory

log = logging.getLogger("desktop_sandbox.node")

# what a desktop takes at first, beyond what it shares with its template; it may grow to its whole memory
FIRST_MEMORY_MIB = 192
FIRST_DISK_MIB = 64
# what it computes until it has come to rest, and has taken that
_BEGINS_CPU_S = 10.0
_SAVES_AT_ONCE = 4


class NodeCore(ABC):
    """The state of a node, which its parts share."""

    def __init__(
        self, config: ServerConfig, hypervisor: Hypervisor, store: Store, memory: TemplateMemory, lock: IO[str]
    ) -> None:
        self.config = config
        self.hypervisor = hypervisor
        self.store = store
        self.snapshot_store = SnapshotStore(store.database)
        self.shop = TemplateShop(config.home, hypervisor, self._origins)
        self.limits = Limits(config.max_sandboxes, config.reserve_memory_mib, config.reserve_disk_mib)
        self._memory = memory
        self._lock = lock
        self._live: dict[str, LiveSandbox] = {}
        self._uids: set[int] = set()
        self._fresh: dict[str, Delta] = {}
        """Memory of snapshots that are being forked from."""
        self._pins: Counter[str] = Counter()
        """Snapshots that something is being made from."""
        self._promoting = asyncio.Lock()
        self._saves = asyncio.Semaphore(_SAVES_AT_ONCE)
        self._beginners = Beginners()
        self._creating = 0
        self._last_create = float("-inf")
        self._parked: list[Parked] = []
        self._demand = Demand(config.warm_pool)
        self._not_put_away: dict[str, float] = {}
        """When it was last tried in vain to put an idle desktop to disk (monotonic)."""
        self._expiring: set[str] = set()
        self._not_paused: dict[str, tuple[int, float | None]] = {}
        """How often the pause of one whose time is over has failed, and when it is due again."""
        self._watched: frozenset[str] = frozenset()
        self._template_uptimes: dict[str, float] = {}
        # a lock lives as long as somebody holds it or waits for it
        self._ending: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._listeners: list[Heard] = []
        self._tasks = asyncio.TaskGroup()
        self._background: list[asyncio.Task[None]] = []
        self.networks = Networks(config.gateway_log, gateway_uid(hypervisor.tag), config.dns_servers, self._start_soon)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.config.home} sandboxes={len(self._live)}>"

    @abstractmethod
    async def live(self, sandbox_id: str, *, resume: bool = True) -> LiveSandbox:
        """The running sandbox, or an error that says what became of it; `resume`: a paused one may come back by this
        (where its maker chose so)."""

    def listen(self, heard: Heard) -> None:
        """Have `heard` called whenever there is news of a sandbox."""
        self._listeners.append(heard)

    def tell(self, sandbox_id: str, news: NodeNews, reason: str = "") -> None:
        """Tell the listeners."""
        for heard in self._listeners:
            heard(sandbox_id, news, reason)

    def _end_lock(self, sandbox_id: str) -> asyncio.Lock:
        """Whoever ends or replaces a sandbox's machine holds this."""
        found = self._ending.get(sandbox_id)
        if found is None:
            found = self._ending[sandbox_id] = asyncio.Lock()
        return found

    def _directory(self, sandbox_id: str) -> Path:
        return self.config.home / "sandboxes" / sandbox_id

    def _check_room(self, count: int = 1, each_mib: int = FIRST_MEMORY_MIB) -> None:
        """Raise CapacityError unless so many more machines fit, which take so much memory each at first."""
        figures = read_figures(self.config.home, len(self._live) + self._creating)
        memory = each_mib * count + FIRST_MEMORY_MIB * self._creating
        disk = FIRST_DISK_MIB * count
        check_room(
            self.limits,
            figures,
            memory_mib=memory,
            disk_mib=disk,
            count=count,
            promised_mib=self._promised(figures, memory),
        )

    def _promised(self, figures: Figures, needed_mib: int) -> int:
        """What desktops that have just begun take yet of what each takes at first, in MiB."""
        begun = [live.machine.process.pid for live in self._live.values() if live.has_just_begun]
        if figures.available_memory_mib - self.limits.reserve_memory_mib >= needed_mib + FIRST_MEMORY_MIB * len(begun):
            return 0  # there is plenty, nobody need look
        young = (pid for pid in begun if process_cpu_seconds(pid) < _BEGINS_CPU_S)
        return still_to_come((process_own_mib(pid) for pid in young), FIRST_MEMORY_MIB)

    async def _relieve(self) -> bool:
        """Free some memory by putting away what nobody needs now; whether there was something."""
        return False

    async def _give_way(self) -> bool:
        """Put away one that nobody used just now, idle or not, for one that is called; whether there was one."""
        return False

    async def _freeze_after_s(self, live: LiveSandbox) -> float:
        """After so long without use it may stand still; 0: never."""
        if live.freeze_after_s is None:
            spec = (await self.store.get(live.machine.id)).spec
            chosen = spec.get("freeze_after_s")
            live.freeze_after_s = self.config.freeze_after_s if chosen is None else float(chosen)
        return live.freeze_after_s

    def _take_uid(self) -> int:
        first = first_uid(self.hypervisor.tag)
        uid = next((uid for uid in range(first, first + SANDBOX_UIDS) if uid not in self._uids), None)
        if uid is None:
            raise CapacityError(f"all {SANDBOX_UIDS} uids of this server's machines are taken", hint="kill a sandbox")
        self._uids.add(uid)
        return uid

    def _origins(self) -> set[str]:
        """Folders of the templates whose memory and disk running machines stand on."""
        return {live.origin for live in (*self._live.values(), *(parked.live for parked in self._parked))}

    def _start_soon(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Have the node do something by itself; it ends with the node, and no failure of it ends anything else."""
        task = self._tasks.create_task(_guarded(work, name), name=name)
        task.add_done_callback(lambda _: work.close())  # cancelled before it began, it would be missed
        self._background = [kept for kept in self._background if not kept.done()]
        self._background.append(task)
        return task


async def _guarded(work: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await work
    except DesktopSandboxError as error:
        log.warning("x %s: %s", name, error.message)
    except Exception:
        log.exception("x %s", name)
