"""Create: a sandbox from a template or a snapshot. All of it, or a record that says why not, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from desktop_sandbox.errors import InvalidRequestError, NotFoundError
from desktop_sandbox.network.policy import NOTHING, Policy, parse_policy, policy_record
from desktop_sandbox.node.birth import bring_up
from desktop_sandbox.node.facts import SandboxInfo, SandboxSpec, SandboxState
from desktop_sandbox.node.guest_calls import MIN_SCREEN_PX
from desktop_sandbox.node.lifecycle import SandboxEvent
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.networking import Networking
from desktop_sandbox.node.parked import Parked
from desktop_sandbox.node.parking import Parking
from desktop_sandbox.node.store import SandboxRecord
from desktop_sandbox.snapshots.faults import fault_point
from desktop_sandbox.snapshots.restore import Origin
from desktop_sandbox.snapshots.templates import Template
from desktop_sandbox.snapshots.timings import Stopwatch, mark, start_stopwatch

log = logging.getLogger("desktop_sandbox.node")

MAX_TIMEOUT_S = 365 * 24 * 3600.0


class Creating(Parking, Networking):
    """The part of a node that makes sandboxes."""

    async def create(self, spec: SandboxSpec, *, key: str | None = None) -> SandboxInfo:
        """Make a sandbox from a template (built first, if there is none that fits)."""
        async with contextlib.AsyncExitStack() as stack:
            if spec.snapshot is None:
                return await self._create(spec, None, key)
            begun_from = await stack.enter_async_context(self._using(spec.snapshot))
            if spec.network_of is not None:
                spec = replace(spec, network=(await self.store.get(spec.network_of)).network)
            elif spec.network is None:
                # what is born of a sandbox may not reach more than that one, unless somebody says so
                with contextlib.suppress(NotFoundError):
                    spec = replace(spec, network=(await self.store.get(begun_from.sandbox)).network)
            return await self._create(replace(spec, template=begun_from.template), begun_from.resolution, key)

    async def _create(
        self,
        spec: SandboxSpec,
        saved_size: tuple[int, int] | None,
        key: str | None,
        *,
        origin: Origin | None = None,
        asleep: bool = False,
    ) -> SandboxInfo:
        stopwatch = start_stopwatch()
        policy = self._check(spec)
        await self._find_room()
        with contextlib.ExitStack() as counted:
            self._count_one_more(counted)  # at once: whoever looks for room while this waits finds that much less
            record, parked, fresh = await self._begin(spec, saved_size, key)
            if not fresh:
                return record.info()
            return await self._make(record, spec, policy, parked, origin, stopwatch, counted, asleep=asleep)

    def _count_one_more(self, until: contextlib.ExitStack) -> None:
        """Have one more count as being made until `until` is closed: when it is adopted, or will never be."""

        def made() -> None:
            self._creating -= 1

        self._creating += 1
        until.callback(made)

    async def _begin(
        self, spec: SandboxSpec, saved_size: tuple[int, int] | None, key: str | None
    ) -> tuple[SandboxRecord, Parked | None, bool]:
        """Its record, what stands ready for it, and whether it is new: a known key has its sandbox already."""
        parked = self._take(spec)
        sandbox_id = f"sb-{secrets.token_hex(8)}" if parked is None else parked.live.machine.id
        size = spec.resolution or saved_size or self.shop.screen(spec.template)[0]
        record = new_record(sandbox_id, spec, size, key, str(self._directory(sandbox_id)), time.time())
        try:
            record, fresh = await self.store.add(record)
        except BaseException:
            if parked is not None:  # a record of its name may stand already: nobody else gets it
                await self._drop(parked)
            raise
        if not fresh:
            if parked is not None:
                self._parked.append(parked)
            return record, None, False
        mark("record")
        self._last_create = time.monotonic()
        return record, parked, True

    async def _make(
        self,
        record: SandboxRecord,
        spec: SandboxSpec,
        policy: Policy,
        parked: Parked | None,
        origin: Origin | None,
        stopwatch: Stopwatch,
        counted: contextlib.ExitStack,
        *,
        asleep: bool,
    ) -> SandboxInfo:
        """The machine of a new record; it is `counted` until it is adopted. Of a failure only its record is left."""
        sandbox_id, live = record.id, None
        try:
            if parked is None:
                origin = origin or await self._origin(spec)
                async with self._beginners.turn():
                    mark("queue")
                    live = await self._start(sandbox_id, origin, spec.resolution, policy, asleep=asleep)
                fault_point("create.made")
                self._adopt(live)
                counted.close()
            else:
                live = parked.live
                self._adopt(live)
                counted.close()
                self.networks.change_soon(sandbox_id, policy)
                self._start_soon(live.thaw(), f"wake {sandbox_id}")
                mark("pool")
            identity = live.machine.process.identity
            await self.store.set_process(sandbox_id, identity.pid, identity.start_time, str(live.machine.directory))
            mark("kept")
            fault_point("create.kept")
            took = {"stages_ms": stopwatch.stages_ms}
            record = await self.store.move(sandbox_id, SandboxEvent.STARTED, now=time.time(), data=took)
            await self._note_missing_network(sandbox_id, policy)
        except BaseException as error:
            await asyncio.shield(self._give_up(sandbox_id, error, live))
            raise
        log.info("%s = running, pid %d, template %s", sandbox_id, identity.pid, spec.template)
        return record.info()

    def _check(self, spec: SandboxSpec) -> Policy:
        policy = parse_policy(spec.network)
        _, largest = self.shop.screen(spec.template)
        if spec.timeout_s is not None:
            check_timeout(spec.timeout_s)
        if spec.freeze_after_s is not None and not 0 <= spec.freeze_after_s <= MAX_TIMEOUT_S:
            raise InvalidRequestError(
                f"freeze_after {spec.freeze_after_s} s", hint=f"from 0 (never) to {MAX_TIMEOUT_S:.0f}"
            )
        if spec.on_timeout not in ("kill", "pause"):
            raise InvalidRequestError(f"on_timeout {spec.on_timeout!r}", hint='"kill" or "pause"')
        if spec.resolution is not None:
            width, height = spec.resolution
            check_resolution(width, height, largest)
        return policy

    async def _origin(self, spec: SandboxSpec) -> Origin:
        if spec.snapshot is not None:
            return await self.snapshot_origin(spec.snapshot)
        template = await self._template(spec.template)
        memory = await self._memory.get(template)
        mark("template")
        return Origin(template, memory)

    async def _start(
        self,
        sandbox_id: str,
        origin: Origin,
        size: tuple[int, int] | None,
        policy: Policy = NOTHING,
        *,
        asleep: bool = False,
    ) -> LiveSandbox:
        def start(directory: Path, uid: int, tap: int | None) -> Awaitable[LiveSandbox]:
            return bring_up(origin, self.hypervisor, sandbox_id, directory, uid, size, asleep=asleep, tap=tap)

        live = await self._wired(sandbox_id, policy, start)
        live.origin = origin.template.directory.name
        live.from_template = live.untouched = origin.snapshot is None
        return live

    async def _wired(
        self, sandbox_id: str, policy: Policy, start: Callable[[Path, int, int | None], Awaitable[LiveSandbox]]
    ) -> LiveSandbox:
        """Start a machine (in this folder, under this uid, at this end of a wire) with a network behind its card."""
        uid = self._take_uid()
        directory = self._directory(sandbox_id)
        namespace = None
        try:
            namespace = await self.networks.prepare()
            mark("namespace")
            live = await start(directory, uid, None if namespace is None else namespace.tap)
        except BaseException:
            self._uids.discard(uid)
            if namespace is not None:
                namespace.close()
            raise
        if namespace is not None:
            self.networks.attach(sandbox_id, directory, namespace, policy)
        return live

    async def _template(self, name: str) -> Template:
        found = self.shop.find_quickly(name)
        if found is not None:
            return found
        _, why = self.shop.find(name)
        log.info("template %s is built first%s", name, f": {why}" if why else "")
        return await self.shop.get(
            name, lambda step: log.debug("%s %.0f %% %s", step.step, step.fraction * 100, step.message)
        )


def new_record(
    sandbox_id: str, spec: SandboxSpec, size: tuple[int, int], key: str | None, directory: str, now: float
) -> SandboxRecord:
    """The record of a sandbox that is being created."""
    return SandboxRecord(
        id=sandbox_id,
        template=spec.template,
        state=SandboxState.CREATING,
        created_at=now,
        expires_at=None if spec.timeout_s is None else now + spec.timeout_s,
        resolution=size,
        metadata=dict(spec.metadata),
        directory=directory,
        create_key=key,
        spec={
            "timeout_s": spec.timeout_s,
            "on_timeout": spec.on_timeout,
            "auto_resume": spec.auto_resume,
            "freeze_after_s": spec.freeze_after_s,
            "network": policy_record(parse_policy(spec.network)),
        },
        snapshot=spec.snapshot,
    )


def check_timeout(timeout_s: float) -> None:
    """Raise InvalidRequestError unless a sandbox can live for so long."""
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
