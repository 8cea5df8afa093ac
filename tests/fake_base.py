"""The state of a node without machines, and what its parts share."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from actions.model import Action
from desktop_sandbox import errors
from desktop_sandbox.node.facts import (
    BatchResult,
    SandboxInfo,
    SandboxState,
    SnapshotInfo,
)
from desktop_sandbox.node.interface import Heard, NodeNews


@dataclasses.dataclass
class FakeSandbox:
    info: SandboxInfo
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    folders: set[str] = dataclasses.field(default_factory=lambda: {"/", "/tmp", "/home/user"})
    acted: list[Action] = dataclasses.field(default_factory=list)
    batches: dict[str, BatchResult] = dataclasses.field(default_factory=dict)
    launched: list[tuple[Any, str | None]] = dataclasses.field(default_factory=list)
    pointer: tuple[int, int] = (0, 0)
    pressed: list[Action] = dataclasses.field(default_factory=list)
    clipboard: str = ""
    clipboard_serial: int = 0
    notes: list[tuple[str, dict[str, Any]]] = dataclasses.field(default_factory=list)
    picture: bytes = b""
    frame: np.ndarray | None = None
    """What it shows; None: grey."""
    woken: int = 0


class FakeBase:
    """In-memory desktops. `before[name]` is awaited in a method before it works; `fail[name]` is raised by it."""

    def __init__(self, *, capacity: int = 1000) -> None:
        self.sandboxes: dict[str, FakeSandbox] = {}
        self.keys: dict[str, str] = {}
        self.capacity = capacity
        self.calls: list[str] = []
        self.before: dict[str, Callable[[], Any]] = {}
        self.fail: dict[str, BaseException] = {}
        self.commands_ended = 0
        self.built: list[tuple[str, bool]] = []
        self.templates_ready = {"desktop": "ready", "minimal": "missing"}
        self.promoted: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self.listeners: list[Heard] = []
        self.sources: list[bool] = []
        self.home = Path(tempfile.mkdtemp(prefix="fake-node-"))
        weakref.finalize(self, shutil.rmtree, self.home, ignore_errors=True)
        self._copied = asyncio.Event()
        self.trusting: dict[str, str] = {}
        self.watched_now: frozenset[str] = frozenset()
        self.replaced = 0
        """How often a screen is asked for whose machine is replaced just then."""
        self.saved: dict[str, SnapshotInfo] = {}

    async def _enter(self, name: str) -> None:
        self.calls.append(name)
        if name in self.before:
            await self.before[name]()
        if name in self.fail:
            raise self.fail[name]

    def watched(self, sandbox_ids: Collection[str]) -> None:
        self.watched_now = frozenset(sandbox_ids)

    def _sandbox(self, sandbox_id: str, *, running: bool = False) -> FakeSandbox:
        found = self.sandboxes.get(sandbox_id)
        if found is None:
            raise errors.NotFoundError(f"there is no sandbox {sandbox_id}", hint="list them")
        if running and found.info.state is not SandboxState.RUNNING:
            raise errors.ConflictError(
                f"the sandbox {sandbox_id} is {found.info.state}", hint="make a new one", state=str(found.info.state)
            )
        return found

    def _replace(self, sandbox_id: str, **changes: Any) -> SandboxInfo:
        box = self._sandbox(sandbox_id)
        box.info = dataclasses.replace(box.info, **changes)
        return box.info

    def _snapshot(self, snapshot_id: str) -> SnapshotInfo:
        if snapshot_id not in self.saved:
            raise errors.NotFoundError(f"there is no snapshot {snapshot_id}", hint="list them")
        return self.saved[snapshot_id]

    # --- what the live view asks

    def listen(self, heard: Heard) -> None:
        self.listeners.append(heard)

    def tell(self, sandbox_id: str, news: NodeNews, reason: str = "") -> None:
        for heard in self.listeners:
            heard(sandbox_id, news, reason)
