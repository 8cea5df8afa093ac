"""Fork: many sandboxes that begin where one is now.

Each child is restored and has answered, and then stands still until all are there: programs that wake after a jump in
time would keep the processors from the siblings. A call wakes its child at once; the others wake a few at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from desktop_sandbox.errors import CapacityError, DesktopSandboxError, InvalidRequestError
from desktop_sandbox.node.core import FIRST_MEMORY_MIB
from desktop_sandbox.node.creating import Creating
from desktop_sandbox.node.facts import SandboxInfo, SandboxSpec, SnapshotInfo
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.saving import Saving
from desktop_sandbox.node.settling import caught_up
from desktop_sandbox.snapshots.checkpoint import pages_expected
from desktop_sandbox.snapshots.delta import Delta
from desktop_sandbox.snapshots.faults import fault_point
from desktop_sandbox.snapshots.restore import Origin
from desktop_sandbox.snapshots.shared_base import BaseBeside, base_bytes, is_far_less

log = logging.getLogger("desktop_sandbox.node")

MAX_FORK = 256
_AT_ONCE = 4
_PAGES_IN_MIB = 256
_FIRST_CALLS_S = 0.5
_TRIES = 3
_CATCH_UP_S = 2.0


class Forking(Creating, Saving):
    """The part of a node that forks."""

    async def fork(
        self,
        sandbox_id: str,
        count: int,
        *,
        timeout_s: float | None = 300.0,
        metadata: Mapping[str, str] | None = None,
    ) -> Sequence[SandboxInfo]:
        """`count` new sandboxes that begin where this one is now; all of them, or an error and none."""
        if not 1 <= count <= MAX_FORK:
            raise InvalidRequestError(f"a fork into {count}", hint=f"from 1 to {MAX_FORK}")
        parent = await self.store.get(sandbox_id)
        live = await self.live(sandbox_id)
        await asyncio.to_thread(self._check_returns, live)
        await self._find_room_for(live, count)
        spec = SandboxSpec(
            template=parent.template,
            timeout_s=timeout_s,
            metadata=parent.metadata if metadata is None else metadata,
            on_timeout=parent.info().on_timeout,
            auto_resume=parent.info().auto_resume,
            freeze_after_s=parent.info().freeze_after_s,
            network=parent.network,
        )
        template_fd = await self._memory.get(self._template_below(live))
        base = BaseBeside()

        def captured(delta: Delta) -> None:
            if is_far_less(template_fd, delta, count) and self._has_room_for_base(
                base_bytes(template_fd, delta), count
            ):
                base.begin(template_fd, delta)

        try:
            # while that is written
            info, delta = await self._save(live, "fork", captured=captured)
            made = await self._born(spec, info, delta, base, count)
        finally:
            base.close()
        fault_point("fork.made")
        self._start_soon(self._wake([child.id for child in made]), f"wake the children of {sandbox_id}")
        return made

    async def _born(
        self, spec: SandboxSpec, info: SnapshotInfo, delta: Delta, base: BaseBeside, count: int
    ) -> Sequence[SandboxInfo]:
        fault_point("fork.saved")
        async with self._using(info.id):
            self._fresh[info.id] = delta
            try:
                origin = await base.under(await self.snapshot_origin(info.id))
                born = replace(spec, template=info.template, snapshot=info.id)
                return await self._whole(origin, born, info, count)
            finally:
                self._fresh.pop(info.id, None)

    async def _whole(self, origin: Origin, spec: SandboxSpec, info: SnapshotInfo, count: int) -> Sequence[SandboxInfo]:
        """The children, noted as a whole: all of them, or an error and none."""
        try:
            await self.snapshot_store.begin_fork(info.id)
            made = await self._children(origin, spec, info.resolution, count)
        except BaseException:
            with contextlib.suppress(Exception):
                await asyncio.shield(self.snapshot_store.end_fork(info.id))
            raise
        try:
            await asyncio.shield(self.snapshot_store.end_fork(info.id))
        except BaseException:
            await asyncio.shield(self._kill_children(made))
            raise
        return made

    async def _kill_children(self, made: Iterable[SandboxInfo]) -> None:
        for child in made:
            with contextlib.suppress(DesktopSandboxError):
                await self.kill(child.id)

    async def end_unfinished_forks(self) -> None:
        """At start: nobody was told of the children of a fork in whose midst a server before this one was killed."""
        for snapshot_id, children in (await self.snapshot_store.unfinished_forks()).items():
            for sandbox_id in children:
                with contextlib.suppress(DesktopSandboxError):
                    await self._end(sandbox_id, "the server ended in the midst of the fork that made it")
            await self.snapshot_store.end_fork(snapshot_id)

    async def _find_room_for(self, live: LiveSandbox, count: int) -> None:
        """Raise CapacityError, before anything is done, where so many children of this machine do not fit."""
        pages = await asyncio.to_thread(pages_expected, live.machine)
        try:
            await self._find_room(count, max(FIRST_MEMORY_MIB, pages // _PAGES_IN_MIB))
        except CapacityError as error:
            error.message = f"no room for a fork into {count}: {error.message}"
            error.hint = f"fork into fewer, or {error.hint}"
            raise

    async def _wake(self, sandbox_ids: Sequence[str]) -> None:
        """Children that nobody has called go on too: one after another, each when the one before has caught up."""
        slots = asyncio.Semaphore(max(1, (os.cpu_count() or 2) - 1))

        async def one(sandbox_id: str) -> None:
            async with slots:
                for _ in range(_TRIES):
                    if not self._sleeps(sandbox_id):
                        return
                    live = self._live[sandbox_id]
                    try:
                        await live.thaw()
                        return await caught_up(live, share=0.5, patience_s=_CATCH_UP_S)
                    except DesktopSandboxError as error:
                        log.warning("x %s does not wake: %s", sandbox_id, error.message)
                        await asyncio.sleep(_FIRST_CALLS_S)

        # those who fork act next, and need the processors more: not while calls wake one child after another
        asleep, before = len(sandbox_ids), len(sandbox_ids) + 1
        while 0 < asleep < before:
            await asyncio.sleep(_FIRST_CALLS_S)
            before, asleep = asleep, sum(self._sleeps(sandbox_id) for sandbox_id in sandbox_ids)
        async with asyncio.TaskGroup() as tasks:
            for sandbox_id in sandbox_ids:
                tasks.create_task(one(sandbox_id))

    def _has_room_for_base(self, size_bytes: int, count: int) -> bool:
        """Whether the children fit beside it. Before they take less, it takes more than what they were checked for."""
        try:
            self._check_room(count, FIRST_MEMORY_MIB + (size_bytes >> 20) // count + 1)
        except CapacityError:
            return False
        return True

    def _sleeps(self, sandbox_id: str) -> bool:
        live = self._live.get(sandbox_id)
        return live is not None and live.wakes_as is not None

    async def _children(
        self, origin: Origin, spec: SandboxSpec, size: tuple[int, int], count: int
    ) -> Sequence[SandboxInfo]:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def child() -> SandboxInfo:
            async with slots:
                return await self._create(spec, size, None, origin=origin, asleep=True)

        tasks = [asyncio.ensure_future(child()) for _ in range(count)]
        try:
            return await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            done = await asyncio.shield(asyncio.gather(*tasks, return_exceptions=True))
            await asyncio.shield(self._kill_children(one for one in done if isinstance(one, SandboxInfo)))
            raise
