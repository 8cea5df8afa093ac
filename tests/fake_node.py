"""A node without machines: a peer of the real one over memory, for tests of API, SDK and CLI."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from desktop_sandbox import errors
from desktop_sandbox.api.contexts import PROGRAM
from desktop_sandbox.network.policy import parse_policy, policy_json
from desktop_sandbox.network.records import LogEntry, Outcome
from desktop_sandbox.node.facts import (
    CommandExit,
    CommandOutput,
    CommandSpec,
    NetworkInfo,
    NetworkTotals,
    SandboxInfo,
    SandboxPage,
    SandboxSpec,
    SandboxState,
    TemplateInfo,
)
from tests.fake_base import FakeBase, FakeSandbox
from tests.fake_code import FakeContext
from tests.fake_elements import FakeElements
from tests.fake_files import FakeFiles
from tests.fake_reach import FakeReach
from tests.fake_screen import FakeScreen
from tests.fake_snapshots import FakeSnapshots


class FakeNode(FakeSnapshots, FakeScreen, FakeFiles, FakeElements, FakeReach):
    """All of it; here what is not of one of its parts: sandboxes, networks, commands, templates."""

    def __init__(self, *, capacity: int = 1000) -> None:
        FakeBase.__init__(self, capacity=capacity)
        FakeReach.__init__(self)
        self.job_kinds[PROGRAM] = FakeContext

    async def create(self, spec: SandboxSpec, *, key: str | None = None) -> SandboxInfo:
        await self._enter("create")
        if key in self.keys:
            return self.sandboxes[self.keys[key]].info
        if spec.template not in self.templates_ready:
            raise errors.NotFoundError(f"there is no template {spec.template}", hint="desktop, minimal")
        if len(self.sandboxes) >= self.capacity:
            raise errors.CapacityError(f"no room: {self.capacity} sandboxes are running", hint="end one")
        now = time.time()
        info = SandboxInfo(
            id=f"sb{next(self._numbers):06d}",
            template=spec.template,
            state=SandboxState.RUNNING,
            created_at=now,
            expires_at=None if spec.timeout_s is None else now + spec.timeout_s,
            metadata=dict(spec.metadata),
            resolution=spec.resolution or (1280, 800),
            snapshot=spec.snapshot,
            on_timeout=spec.on_timeout,
            auto_resume=spec.auto_resume,
            freeze_after_s=spec.freeze_after_s,
            network=policy_json(parse_policy(spec.network)),
        )
        if spec.network_of is not None:
            info = dataclasses.replace(info, network=self._sandbox(spec.network_of).info.network)
        if spec.snapshot is not None:
            self._snapshot(spec.snapshot)
        self.sandboxes[info.id] = FakeSandbox(info)
        if key is not None:
            self.keys[key] = info.id
        return info

    async def get(self, sandbox_id: str) -> SandboxInfo:
        await self._enter("get")
        return self._sandbox(sandbox_id).info

    async def list(
        self,
        *,
        states: Sequence[SandboxState] = (),
        metadata: Mapping[str, str] | None = None,
        template: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> SandboxPage:
        await self._enter("list")
        found = [box.info for box in reversed(self.sandboxes.values())]
        if cursor is not None:
            if cursor not in self.sandboxes:
                raise errors.InvalidRequestError("no cursor of this list")
            found = [info for info in found if info.id < cursor]
        found = [
            info
            for info in found
            if (not states or info.state in states)
            and (template is None or info.template == template)
            and all(info.metadata.get(k) == v for k, v in (metadata or {}).items())
        ]
        more = found[limit - 1].id if len(found) > limit else None
        return SandboxPage(found[:limit], more)

    async def kill(self, sandbox_id: str) -> None:
        await self._enter("kill")
        self._sandbox(sandbox_id)
        self._replace(sandbox_id, state=SandboxState.DEAD, reason="killed")

    async def network(self, sandbox_id: str) -> NetworkInfo:
        await self._enter("network")
        counters = dict.fromkeys(("connections", "refused", "failed", "lookups", "sent_bytes", "received_bytes"), 7)
        return NetworkInfo(self._sandbox(sandbox_id).info.network, True, None, {**counters, "open": 1})

    async def set_network(self, sandbox_id: str, network: object) -> SandboxInfo:
        await self._enter("set_network")
        return self._replace(sandbox_id, network=policy_json(parse_policy(network)))

    async def network_log(self, sandbox_id: str, limit: int = 100) -> Sequence[Mapping[str, Any]]:
        await self._enter("network_log")
        self._sandbox(sandbox_id)
        entries = [
            LogEntry(
                1, 1_700_000_000.5, "tcp", Outcome.ALLOWED, "a.example", "1.1.1.1", 443, "", "internet", 3, 2000, 0.5
            ),
            LogEntry(
                2, 1_700_000_001.0, "dns", Outcome.REFUSED, "b.example", None, 53, "b.example is denied", "b.example"
            ),
        ]
        return [entry.json() for entry in entries][-limit:]

    def network_totals(self) -> NetworkTotals:
        total = {
            "connections": 9,
            "refused": 2,
            "failed": 1,
            "lookups": 4,
            "sent_bytes": 5,
            "received_bytes": 6,
            "open": 1,
        }
        return NetworkTotals(True, 0, total, {sandbox_id: total for sandbox_id in self.sandboxes})

    async def set_timeout(self, sandbox_id: str, timeout_s: float | None) -> SandboxInfo:
        await self._enter("set_timeout")
        self._sandbox(sandbox_id, running=True)
        return self._replace(sandbox_id, expires_at=None if timeout_s is None else time.time() + timeout_s)

    async def run_command(self, sandbox_id: str, spec: CommandSpec) -> AsyncIterator[CommandOutput | CommandExit]:
        await self._enter("run_command")
        self._sandbox(sandbox_id, running=True)
        words = spec.command.split() if isinstance(spec.command, str) else list(spec.command)
        try:
            match words:
                case ["echo", *rest]:
                    yield CommandOutput("stdout", (" ".join(rest) + "\n").encode())
                case ["cat"]:
                    yield CommandOutput("stdout", spec.stdin or b"")
                case ["false"]:
                    yield CommandOutput("stderr", b"no\n")
                    yield CommandExit(1, None, False)
                    return
                case ["split"]:
                    for byte in "ä€🙂".encode():
                        yield CommandOutput("stdout", bytes([byte]))
                case ["flood", count]:
                    for _ in range(int(count)):
                        yield CommandOutput("stdout", b"x" * 32768)
                case ["sleep", seconds]:
                    await asyncio.sleep(float(seconds))
                case ["tick"]:
                    while True:
                        yield CommandOutput("stdout", b"tick\n")
                        await asyncio.sleep(0.02)
                case ["break"]:
                    yield CommandOutput("stdout", b"begun\n")
                    raise errors.ChannelError("the connection to the guest broke", hint="why")
                case _:
                    yield CommandOutput("stderr", b"not found\n")
                    yield CommandExit(127, None, False)
                    return
            yield CommandExit(0, None, False)
        finally:
            self.commands_ended += 1

    async def why(self, sandbox_id: str) -> dict[str, Any]:
        await self._enter("why")
        info = self._sandbox(sandbox_id).info
        return {"state": info.state, "reason": info.reason, "events": [{"kind": "started"}], "serial": "login:"}

    async def templates(self) -> list[TemplateInfo]:
        await self._enter("templates")
        return [
            TemplateInfo(
                name,
                state,
                None,
                "d" * 64,
                1_700_000_000.0,
                5 << 30,
                (1280, 800),
                promoted_from=self.promoted.get(name),
            )
            for name, state in self.templates_ready.items()
        ]

    async def build_template(self, name: str, *, rebuild: bool = False) -> AsyncIterator[Mapping[str, Any]]:
        await self._enter("build_template")
        if name not in self.templates_ready:
            raise errors.NotFoundError(f"there is no recipe {name}", hint="desktop, minimal")
        self.built.append((name, rebuild))
        for step, fraction in (("packages", 0.25), ("boot", 0.75), ("snapshot", 1.0)):
            await asyncio.sleep(0.01)
            yield {"step": step, "fraction": fraction, "message": f"{step} of {name}"}
        self.templates_ready[name] = "ready"

    async def remove_template(self, name: str) -> None:
        await self._enter("remove_template")
        if name not in self.templates_ready:
            raise errors.NotFoundError(f"there is no template {name}")
        if self.promoted.pop(name, None) is None:
            self.templates_ready[name] = "missing"
        else:
            del self.templates_ready[name]

    async def usage(self) -> dict[str, Any]:
        await self._enter("usage")
        return {"sandboxes": len(self.sandboxes), "max_sandboxes": self.capacity, "memory_bytes": 1 << 30}

    async def note(self, sandbox_id: str, kind: str, data: Mapping[str, Any]) -> None:
        await self._enter("note")
        self._sandbox(sandbox_id).notes.append((kind, dict(data)))

    async def folder(self, sandbox_id: str) -> Path:
        await self._enter("folder")
        self._sandbox(sandbox_id)
        folder = self.home / sandbox_id
        folder.mkdir(exist_ok=True)
        return folder
