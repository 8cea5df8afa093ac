"""Find sandboxes: records for those who list, the living one for those who want something of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from desktop_sandbox.errors import ConflictError
from desktop_sandbox.microvm.machine import tail
from desktop_sandbox.node.creating import check_timeout
from desktop_sandbox.node.facts import SandboxInfo, SandboxPage, SandboxState
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.returning import Returning
from desktop_sandbox.node.store import SandboxRecord


class Lookup(Returning):
    """The part of a node that finds."""

    async def get(self, sandbox_id: str) -> SandboxInfo:
        """One sandbox."""
        return self._info(await self.store.get(sandbox_id))

    def _info(self, record: SandboxRecord) -> SandboxInfo:
        live = self._live.get(record.id)
        return record.info(frozen=live is not None and live.frozen)

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
        return SandboxPage([self._info(record) for record in records], following)

    async def set_timeout(self, sandbox_id: str, timeout_s: float | None) -> SandboxInfo:
        """Let it expire `timeout_s` from now, or never."""
        if timeout_s is not None:
            check_timeout(timeout_s)
        await self.live(sandbox_id)
        record = await self.store.set_expiry(sandbox_id, None if timeout_s is None else time.time() + timeout_s)
        return self._info(record)

    async def live(self, sandbox_id: str, *, resume: bool = True) -> LiveSandbox:
        """The running sandbox. Raises NotFoundError, or ConflictError that says what became of it."""
        for _ in range(2):
            found = await self._now_live(sandbox_id)
            if found is not None:
                return found
            record = await self.store.get(sandbox_id)
            comes_back = record.put_away or (record.state is SandboxState.PAUSED and record.info().auto_resume)
            if not (resume and comes_back):
                break
            await self.resume(sandbox_id)
        reason = f": {record.reason}" if record.reason else ""
        raise ConflictError(
            f"{sandbox_id} is {record.state}{reason}",
            hint="resume it" if record.state is SandboxState.PAUSED else "make a new sandbox",
            state=str(record.state),
        )

    async def _now_live(self, sandbox_id: str) -> LiveSandbox | None:
        """The running sandbox, if it runs; one that is being paused, resumed or rolled back is waited for."""
        for waits in (True, True, False):
            found = self._live.get(sandbox_id)
            if found is not None and found.machine.process.alive() and not found.leaving:
                return found
            if waits:
                async with self._end_lock(sandbox_id):
                    pass
        return None

    async def why(self, sandbox_id: str) -> dict[str, Any]:
        """Everything that explains a sandbox's state."""
        record = await self.store.get(sandbox_id)
        directory = self._directory(sandbox_id)
        events = await self.store.events(sandbox_id)
        found = self._live.get(sandbox_id)
        return {
            "id": record.id,
            "state": str(record.state),
            "frozen": found is not None and found.frozen,
            "reason": record.reason,
            "template": record.template,
            "created_at": record.created_at,
            "expires_at": record.expires_at,
            "pid": record.pid,
            "network": asdict(await self.network(sandbox_id)),
            "directory": str(directory),
            "agent": await found.describe() if found else None,
            "events": [{"time": event.time, "kind": event.kind, "data": dict(event.data)} for event in events],
            "serial_tail": tail(directory / "serial.log", 4000),
            "qemu_tail": tail(directory / "qemu.log", 4000),
        }
