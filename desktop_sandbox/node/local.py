"""The node of this host: creates, finds again and ends sandboxes. The one place that decides about their lives.

What callers do with a running sandbox is in `guest_calls`; what happens at start-up after a crash in `recovery`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from desktop_sandbox.config import ServerConfig
from desktop_sandbox.errors import (
    CapacityError,
    ConfigurationError,
    ConflictError,
    DesktopSandboxError,
    InvalidRequestError,
    MachineError,
    NotFoundError,
)
from desktop_sandbox.microvm.jail import UIDS, first_uid
from desktop_sandbox.microvm.machine import Hypervisor, forget_directory, socket_path, tail
from desktop_sandbox.microvm.setup import find_hypervisor
from desktop_sandbox.node.birth import bring_up
from desktop_sandbox.node.capacity import Limits, check_room, read_figures
from desktop_sandbox.node.guest_calls import MIN_SCREEN_PX, GuestCalls
from desktop_sandbox.node.host_calls import HostCalls
from desktop_sandbox.node.interface import SandboxInfo, SandboxPage, SandboxSpec, SandboxState
from desktop_sandbox.node.lifecycle import SandboxEvent
from desktop_sandbox.node.live import LiveSandbox, dead_reason
from desktop_sandbox.node.recovery import recover
from desktop_sandbox.node.shop import TemplateShop
from desktop_sandbox.node.store import SandboxRecord, Store
from desktop_sandbox.snapshots.keeper import KeeperClient
from desktop_sandbox.snapshots.restore import TemplateMemory
from desktop_sandbox.snapshots.templates import Template
from desktop_sandbox.snapshots.timings import mark, start_stopwatch

log = logging.getLogger("desktop_sandbox.node")

# what a desktop takes at first, beyond what it shares with its template; it may grow to its whole memory
_FIRST_MEMORY_MIB = 192
_FIRST_DISK_MIB = 64
_KEEP_DEAD_S = 24 * 3600.0
_TICK_S = 1.0
MAX_TIMEOUT_S = 365 * 24 * 3600.0


class LocalNode(GuestCalls, HostCalls):
    """This host's desktops. Make it with `start`, end it with `aclose` in the same task."""

    def __init__(
        self, config: ServerConfig, hypervisor: Hypervisor, store: Store, memory: TemplateMemory, lock: IO[str]
    ) -> None:
        self.config = config
        self.hypervisor = hypervisor
        self.store = store
        self.shop = TemplateShop(config.home, hypervisor)
        self.limits = Limits(max_sandboxes=config.max_sandboxes)
        self._memory = memory
        self._lock = lock
        self._live: dict[str, LiveSandbox] = {}
        self._uids: set[int] = set()
        self._creating = 0
        self._ending: dict[str, asyncio.Lock] = {}
        self._tasks = asyncio.TaskGroup()
        self._background: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<LocalNode {self.config.home} sandboxes={len(self._live)}>"

    @classmethod
    async def start(cls, config: ServerConfig) -> LocalNode:
        """Take over HOME: find running machines again, end what has no owner. Raises ConfigurationError."""
        home = config.home
        (home / "sandboxes").mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / "templates").mkdir(exist_ok=True)
        lock = _lock_home(home)
        try:
            hypervisor = await asyncio.to_thread(find_hypervisor, home)
            keeper = await asyncio.to_thread(KeeperClient, socket_path(home / "templates", ".keeper"))
            node = cls(config, hypervisor, await Store.open(config.node_database), TemplateMemory(keeper), lock)
        except BaseException:
            lock.close()
            raise
        await node._tasks.__aenter__()
        for live in await recover(node.store, home, hypervisor):
            node._adopt(live)
        node._background.append(node._tasks.create_task(node._keep_house()))
        node._background.append(node._tasks.create_task(node._preload(SandboxSpec().template)))
        return node

    async def aclose(self) -> None:
        """Let go of everything; machines run on, and the next node of this HOME adopts them."""
        for task in self._background:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tasks.__aexit__(None, None, None)
        for live in list(self._live.values()):
            await live.detach()
        self._live.clear()
        self._memory.close()
        await self.store.close()
        self._lock.close()

    # --- create

    async def create(self, spec: SandboxSpec, *, key: str | None = None) -> SandboxInfo:
        """Make a sandbox from a template (built first, if there is none that fits)."""
        stopwatch = start_stopwatch()
        self._check(spec)
        sandbox_id = f"sb-{secrets.token_hex(8)}"
        now = time.time()
        recipe = self.shop.recipe(spec.template)
        record = SandboxRecord(
            id=sandbox_id,
            template=spec.template,
            state=SandboxState.CREATING,
            created_at=now,
            expires_at=None if spec.timeout_s is None else now + spec.timeout_s,
            resolution=spec.resolution or recipe.resolution,
            metadata=dict(spec.metadata),
            directory=str(self._directory(sandbox_id)),
            create_key=key,
        )
        self._check_room()
        record, fresh = await self.store.add(record)
        if not fresh:
            return record.info()
        mark("record")
        self._creating += 1
        try:
            live = await self._restore(sandbox_id, spec)
        except BaseException as error:
            await asyncio.shield(self._give_up(sandbox_id, error))
            raise
        finally:
            self._creating -= 1
        self._adopt(live)
        identity = live.machine.process.identity
        await self.store.set_process(sandbox_id, identity.pid, identity.start_time, str(live.machine.directory))
        mark("kept")
        took = {"stages_ms": stopwatch.stages_ms}
        record = await self.store.move(sandbox_id, SandboxEvent.STARTED, now=time.time(), data=took)
        log.info("%s = running, pid %d, template %s", sandbox_id, identity.pid, spec.template)
        return record.info()

    def _check(self, spec: SandboxSpec) -> None:
        recipe = self.shop.recipe(spec.template)
        if spec.timeout_s is not None:
            _check_timeout(spec.timeout_s)
        if spec.resolution is not None:
            width, height = spec.resolution
            check_resolution(width, height, recipe.max_resolution)

    def _check_room(self) -> None:
        figures = read_figures(self.config.home, len(self._live) + self._creating)
        check_room(self.limits, figures, memory_mib=_FIRST_MEMORY_MIB * (1 + self._creating), disk_mib=_FIRST_DISK_MIB)

    async def _restore(self, sandbox_id: str, spec: SandboxSpec) -> LiveSandbox:
        template = await self._template(spec.template)
        memory = await self._memory.get(template)
        mark("template")
        uid = self._take_uid()
        try:
            try:
                return await self._bring_up(template, memory, sandbox_id, uid, spec)
            except MachineError as error:
                # seen once in some thousands: QEMU ends while it loads; nobody has used the machine yet
                log.warning("%s x its machine did not start and is started again: %s", sandbox_id, error.message)
                self._clean(sandbox_id)
                await asyncio.to_thread(shutil.rmtree, self._directory(sandbox_id), True)
                return await self._bring_up(template, memory, sandbox_id, uid, spec)
        except BaseException:
            self._uids.discard(uid)
            raise

    async def _bring_up(
        self, template: Template, memory: int, sandbox_id: str, uid: int, spec: SandboxSpec
    ) -> LiveSandbox:
        directory = self._directory(sandbox_id)
        directory.mkdir(mode=0o700)
        return await bring_up(template, memory, self.hypervisor, sandbox_id, directory, uid, spec.resolution)

    async def _template(self, name: str) -> Template:
        found = self.shop.find_quickly(name)
        if found is not None:
            return found
        _, why = self.shop.find(name)
        log.info("template %s is built first%s", name, f": {why}" if why else "")
        return await self.shop.get(
            name, lambda step: log.debug("%s %.0f %% %s", step.step, step.fraction * 100, step.message)
        )

    def _take_uid(self) -> int:
        first = first_uid(self.hypervisor.tag)
        uid = next((uid for uid in range(first, first + UIDS - 1) if uid not in self._uids), None)
        if uid is None:
            raise CapacityError(f"all {UIDS - 1} uids of this server's machines are taken", hint="kill a sandbox")
        self._uids.add(uid)
        return uid

    async def _give_up(self, sandbox_id: str, error: BaseException) -> None:
        self._clean(sandbox_id)
        reason = error.message if isinstance(error, DesktopSandboxError) else type(error).__name__
        with contextlib.suppress(DesktopSandboxError):
            await self.store.move(sandbox_id, SandboxEvent.FAILED, now=time.time(), reason=f"not created: {reason}")
        log.warning("%s x not created: %s", sandbox_id, reason)

    def _adopt(self, live: LiveSandbox) -> None:
        self._live[live.machine.id] = live
        if live.uid is not None:
            self._uids.add(live.uid)
        self._background.append(self._tasks.create_task(self._watch(live)))

    # --- life and death

    async def _watch(self, live: LiveSandbox) -> None:
        """Note the end of a machine that nobody asked to end."""
        await live.machine.process.wait()
        async with self._end_lock(live.machine.id):
            if self._live.get(live.machine.id) is live:
                await self._bury(live, dead_reason(live.machine))

    async def _bury(self, live: LiveSandbox, reason: str) -> None:
        sandbox_id = live.machine.id
        await live.kill()
        self._live.pop(sandbox_id, None)
        if live.uid is not None:
            self._uids.discard(live.uid)
        self._clean(sandbox_id)
        with contextlib.suppress(ConflictError, NotFoundError):
            await self.store.move(sandbox_id, SandboxEvent.DIED, now=time.time(), reason=reason)
        log.info("%s = dead: %s", sandbox_id, reason)

    def _clean(self, sandbox_id: str) -> None:
        """Remove what is large; logs stay for `why` until the record goes."""
        directory = self._directory(sandbox_id)
        forget_directory(directory)
        self.hypervisor.cgroup.remove(sandbox_id)
        for name in ("overlay.qcow2", "qmp", "control", "bulk", "input"):
            with contextlib.suppress(OSError):
                (directory / name).unlink()

    async def kill(self, sandbox_id: str) -> None:
        """End a sandbox and forget it."""
        await self.store.get(sandbox_id)
        await self._end(sandbox_id, "killed by its owner")
        await self.store.remove(sandbox_id)
        await asyncio.to_thread(shutil.rmtree, self._directory(sandbox_id), True)
        self._ending.pop(sandbox_id, None)

    async def _end(self, sandbox_id: str, reason: str) -> None:
        async with self._end_lock(sandbox_id):
            record = await self.store.get(sandbox_id)
            if record.state is SandboxState.DEAD:
                return
            if record.state is SandboxState.CREATING:
                raise ConflictError(f"{sandbox_id} is being created", hint="wait until it runs, then kill it")
            await self.store.move(sandbox_id, SandboxEvent.KILL, now=time.time(), reason=reason)
            live = self._live.get(sandbox_id)
            if live is not None:
                await self._bury(live, reason)
            else:
                await self.store.move(sandbox_id, SandboxEvent.DIED, now=time.time(), reason=reason)

    def _end_lock(self, sandbox_id: str) -> asyncio.Lock:
        return self._ending.setdefault(sandbox_id, asyncio.Lock())

    async def kill_all(self) -> None:
        """End every running sandbox."""
        for sandbox_id in list(self._live):
            with contextlib.suppress(DesktopSandboxError):
                await self.kill(sandbox_id)

    async def _preload(self, name: str) -> None:
        """Bring a template's memory in before the first create wants it."""
        try:
            template = await asyncio.to_thread(self.shop.find_quickly, name)
            if template is not None:
                await self._memory.get(template)
        except DesktopSandboxError as error:
            log.warning("template %s x cannot be loaded: %s", name, error.message)

    async def _keep_house(self) -> None:
        """Expiries, log sizes, old records: once a second, cheap."""
        ticks = 0
        while True:
            await asyncio.sleep(_TICK_S)
            ticks += 1
            try:
                await self._expire(time.time())
                if ticks % 60 == 0:
                    await self._forget_dead(time.time())
            except Exception:  # the house is kept whatever went wrong in one round (a full disk, say)
                log.exception("keeping house")

    async def _expire(self, now: float) -> None:
        self._background = [task for task in self._background if not task.done()]
        for live in list(self._live.values()):
            live.machine.trim_logs()
        for record in await self.store.all(SandboxState.RUNNING):
            if record.expires_at is not None and record.expires_at <= now:
                await self._end(record.id, "its timeout ran out")

    async def _forget_dead(self, now: float) -> None:
        for record in await self.store.all(SandboxState.DEAD):
            if now - record.created_at > _KEEP_DEAD_S:
                await self.store.remove(record.id)
                await asyncio.to_thread(shutil.rmtree, self._directory(record.id), True)
                self._ending.pop(record.id, None)

    # --- look up

    async def get(self, sandbox_id: str) -> SandboxInfo:
        """One sandbox."""
        return (await self.store.get(sandbox_id)).info()

    async def list(
        self,
        *,
        states: Sequence[SandboxState] = (),
        metadata: Mapping[str, str] | None = None,
        template: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> SandboxPage:
        """Sandboxes, newest first, filtered."""
        records, following = await self.store.list(
            states=states, metadata=metadata, template=template, limit=limit, cursor=cursor
        )
        return SandboxPage([record.info() for record in records], following)

    async def set_timeout(self, sandbox_id: str, timeout_s: float | None) -> SandboxInfo:
        """Let it expire `timeout_s` from now, or never."""
        if timeout_s is not None:
            _check_timeout(timeout_s)
        await self.live(sandbox_id)
        record = await self.store.set_expiry(sandbox_id, None if timeout_s is None else time.time() + timeout_s)
        return record.info()

    async def live(self, sandbox_id: str) -> LiveSandbox:
        """The running sandbox. Raises NotFoundError, or ConflictError that says what became of it."""
        found = self._live.get(sandbox_id)
        if found is not None and found.machine.process.alive():
            return found
        record = await self.store.get(sandbox_id)
        reason = f": {record.reason}" if record.reason else ""
        raise ConflictError(
            f"{sandbox_id} is {record.state}{reason}", hint="make a new sandbox", state=str(record.state)
        )

    async def why(self, sandbox_id: str) -> dict[str, Any]:
        """Everything that explains a sandbox's state."""
        record = await self.store.get(sandbox_id)
        directory = self._directory(sandbox_id)
        events = await self.store.events(sandbox_id)
        found = self._live.get(sandbox_id)
        return {
            "id": record.id,
            "state": str(record.state),
            "reason": record.reason,
            "template": record.template,
            "created_at": record.created_at,
            "expires_at": record.expires_at,
            "pid": record.pid,
            "directory": str(directory),
            "agent": await found.describe() if found else None,
            "events": [{"time": event.time, "kind": event.kind, "data": dict(event.data)} for event in events],
            "serial_tail": tail(directory / "serial.log", 4000),
            "qemu_tail": tail(directory / "qemu.log", 4000),
        }

    def _directory(self, sandbox_id: str) -> Path:
        return self.config.home / "sandboxes" / sandbox_id


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


def _check_timeout(timeout_s: float) -> None:
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise InvalidRequestError(
            f"a timeout of {timeout_s} s", hint=f"above 0 and at most {MAX_TIMEOUT_S:.0f}, or none at all"
        )


def check_resolution(width: int, height: int, largest: tuple[int, int]) -> None:
    """Raise InvalidRequestError unless the screen can have this size."""
    if not (MIN_SCREEN_PX <= width <= largest[0] and MIN_SCREEN_PX <= height <= largest[1]):
        raise InvalidRequestError(
            f"a screen of {width}×{height}",
            hint=f"from {MIN_SCREEN_PX}×{MIN_SCREEN_PX} to {largest[0]}×{largest[1]}, this template's largest",
        )
