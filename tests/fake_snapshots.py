"""The snapshots of a node without machines."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from desktop_sandbox import errors
from desktop_sandbox.node.facts import (
    SandboxInfo,
    SandboxSpec,
    SandboxState,
    Screenshot,
    SnapshotInfo,
    TemplateInfo,
)
from tests.fake_base import FakeBase


class FakeSnapshots(FakeBase):
    """Snapshots that are nothing but what is told of them."""

    async def checkpoint(
        self,
        sandbox_id: str,
        *,
        name: str | None = None,
        description: str = "",
        tags: Sequence[str] = (),
        kind: str = "checkpoint",
    ) -> SnapshotInfo:
        await self._enter("checkpoint")
        info = self._sandbox(sandbox_id, running=True).info
        saved = SnapshotInfo(
            id=f"ss-{next(self._numbers):016x}",
            name=name,
            sandbox=sandbox_id,
            parent=info.snapshot,
            template=info.template,
            kind=kind,
            created_at=time.time(),
            size_bytes=1 << 20,
            resolution=info.resolution,
            quiesced=True,
            stopped_ms=12.5,
            description=description,
            tags=tuple(tags),
        )
        self.saved[saved.id] = saved
        self._replace(sandbox_id, snapshot=saved.id)
        return saved

    async def fork(
        self,
        sandbox_id: str,
        count: int,
        *,
        timeout_s: float | None = 300.0,
        metadata: Mapping[str, str] | None = None,
    ) -> Sequence[SandboxInfo]:
        parent = self._sandbox(sandbox_id, running=True).info
        saved = await self.checkpoint(sandbox_id, kind="fork")
        given = parent.metadata if metadata is None else metadata
        spec = SandboxSpec(template=parent.template, timeout_s=timeout_s, metadata=given, snapshot=saved.id)
        return [await self.create(spec) for _ in range(count)]

    async def rollback(self, sandbox_id: str, snapshot_id: str) -> SandboxInfo:
        await self._enter("rollback")
        self._sandbox(sandbox_id)
        return self._replace(sandbox_id, snapshot=self._snapshot(snapshot_id).id, state=SandboxState.RUNNING)

    async def pause(self, sandbox_id: str) -> SandboxInfo:
        await self._enter("pause")
        if self._sandbox(sandbox_id).info.state is SandboxState.PAUSED:
            return self._sandbox(sandbox_id).info
        await self.checkpoint(sandbox_id, kind="pause")
        return self._replace(sandbox_id, state=SandboxState.PAUSED)

    async def resume(self, sandbox_id: str, timeout_s: float | None = None, *, from_disk: bool = False) -> SandboxInfo:
        await self._enter("resume from disk" if from_disk else "resume")
        info = self._sandbox(sandbox_id).info
        if info.state not in (SandboxState.PAUSED, SandboxState.RUNNING):
            raise errors.ConflictError(f"{sandbox_id} is {info.state}", hint="only what is paused can be resumed")
        expires = info.expires_at if timeout_s is None else time.time() + timeout_s
        return self._replace(sandbox_id, state=SandboxState.RUNNING, expires_at=expires)

    async def freeze(self, sandbox_id: str) -> SandboxInfo:
        await self._enter("freeze")
        self._sandbox(sandbox_id, running=True)
        return self._replace(sandbox_id, frozen=True)

    async def thaw(self, sandbox_id: str) -> SandboxInfo:
        await self._enter("thaw")
        self._sandbox(sandbox_id, running=True)
        return self._replace(sandbox_id, frozen=False)

    async def snapshots(self, sandbox_id: str | None = None) -> Sequence[SnapshotInfo]:
        if sandbox_id is not None:
            self._sandbox(sandbox_id)
        return [info for info in self.saved.values() if sandbox_id in (None, info.sandbox)]

    async def get_snapshot(self, snapshot_id: str) -> SnapshotInfo:
        return self._snapshot(snapshot_id)

    async def promote_snapshot(self, snapshot_id: str, name: str) -> TemplateInfo:
        await self._enter("promote_snapshot")
        self._snapshot(snapshot_id)
        if name in self.templates_ready:
            raise errors.ConflictError(f"there is a template {name} already", hint="choose another name")
        self.templates_ready[name] = "ready"
        self.promoted[name] = snapshot_id
        return next(info for info in await self.templates() if info.name == name)

    async def export_snapshot(self, snapshot_id: str) -> tuple[int, AsyncIterator[bytes]]:
        content = b"DSSNAP1\n" + self._snapshot(snapshot_id).id.encode()

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        return len(content), pieces()

    async def import_snapshot(self, data: AsyncIterator[bytes], *, name: str | None = None) -> SnapshotInfo:
        content = b"".join([piece async for piece in data])
        if not content.startswith(b"DSSNAP1\n"):
            raise errors.InvalidRequestError("this file is no exported snapshot")
        if not self.trusting:
            raise errors.UntrustedError("nobody trusts the signer", hint="trust add")
        found = self._snapshot(content[8:].decode())
        if name is None:
            return found
        again = dataclasses.replace(found, id=f"ss-{next(self._numbers):08x}", name=name)
        self.saved[again.id] = again
        return again

    async def export_template(self, name: str) -> tuple[int, AsyncIterator[bytes]]:
        if self.templates_ready.get(name) != "ready":
            raise errors.NotFoundError(f"template {name} is not ready", hint="template build")
        content = b"DSTMPL1\n" + name.encode()

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        return len(content), pieces()

    async def import_template(self, data: AsyncIterator[bytes]) -> TemplateInfo:
        content = b"".join([piece async for piece in data])
        if not content.startswith(b"DSTMPL1\n"):
            raise errors.InvalidRequestError("this file is no exported template")
        if not self.trusting:
            raise errors.UntrustedError("nobody trusts the signer", hint="trust add")
        name = content[8:].decode()
        if self.templates_ready.get(name) == "ready":
            raise errors.ConflictError(f"template {name} is here already", hint="use it")
        self.templates_ready[name] = "ready"
        return next(info for info in await self.templates() if info.name == name)

    async def signing_key(self) -> str:
        return "ed25519:own"

    async def trusted(self) -> Mapping[str, str]:
        return dict(self.trusting)

    async def trust(self, name: str, key: str) -> None:
        self.trusting[name] = key

    async def distrust(self, name: str) -> None:
        if self.trusting.pop(name, None) is None:
            raise errors.NotFoundError(f"no key is trusted as {name!r}", hint="trust ls")

    async def thumbnail(self, snapshot_id: str, width: int = 320) -> Screenshot:
        self._snapshot(snapshot_id)
        return Screenshot(b"\xff\xd8" + snapshot_id.encode(), "image/jpeg", width, width * 5 // 8)

    async def change_snapshot(self, snapshot_id: str, **changes: Any) -> SnapshotInfo:
        given = {name: value for name, value in changes.items() if value is not None}
        self.saved[snapshot_id] = dataclasses.replace(self._snapshot(snapshot_id), **given)
        return self.saved[snapshot_id]

    async def delete_snapshot(self, snapshot_id: str) -> None:
        await self._enter("delete_snapshot")
        self._snapshot(snapshot_id)
        for box in self.sandboxes.values():
            if box.info.snapshot == snapshot_id and box.info.state is SandboxState.PAUSED:
                raise errors.ConflictError(f"{box.info.id} is paused at snapshot {snapshot_id}", hint="resume it")
        del self.saved[snapshot_id]
