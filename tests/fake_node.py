"""A node without machines: a peer of the real one over memory, for tests of API, SDK and CLI."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actions import model
from actions.model import Action
from actions.validate import ActionValueError, check_on_screen
from desktop_sandbox import errors
from desktop_sandbox.api.contexts import PROGRAM
from desktop_sandbox.network.policy import parse_policy, policy_json
from desktop_sandbox.network.records import LogEntry, Outcome
from desktop_sandbox.node.facts import (
    BatchResult,
    CommandExit,
    CommandOutput,
    CommandSpec,
    FileInfo,
    FileListing,
    NetworkInfo,
    NetworkTotals,
    SandboxInfo,
    SandboxPage,
    SandboxSpec,
    SandboxState,
    Screenshot,
    ScreenshotSpec,
    ScreenSource,
    SnapshotInfo,
    TemplateInfo,
)
from desktop_sandbox.node.interface import Heard, NodeNews
from desktop_sandbox.screen.encode import Cursor
from tests.fake_code import FakeContext
from tests.fake_elements import FakeElements
from tests.fake_reach import FakeReach

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
MEDIA = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "raw": "application/octet-stream"}


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


class FakeNode(FakeElements, FakeReach):
    """In-memory desktops. `before[name]` is awaited in a method before it works; `fail[name]` is raised by it."""

    def __init__(self, *, capacity: int = 1000) -> None:
        super().__init__()
        self.job_kinds[PROGRAM] = FakeContext
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

    def _replace(self, sandbox_id: str, **changes: Any) -> SandboxInfo:
        box = self._sandbox(sandbox_id)
        box.info = dataclasses.replace(box.info, **changes)
        return box.info

    async def kill(self, sandbox_id: str) -> None:
        await self._enter("kill")
        self._sandbox(sandbox_id)
        self._replace(sandbox_id, state=SandboxState.DEAD, reason="killed")

    def _snapshot(self, snapshot_id: str) -> SnapshotInfo:
        if snapshot_id not in self.saved:
            raise errors.NotFoundError(f"there is no snapshot {snapshot_id}", hint="list them")
        return self.saved[snapshot_id]

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

    async def act(
        self,
        sandbox_id: str,
        actions: Sequence[Action],
        *,
        batch_id: str,
        screenshot: ScreenshotSpec | None = None,
        timeout_s: float | None = None,
    ) -> BatchResult:
        await self._enter("act")
        box = self._sandbox(sandbox_id, running=True)
        if batch_id in box.batches:
            return box.batches[batch_id]
        try:
            check_on_screen(actions, *box.info.resolution)
        except ActionValueError as error:
            raise errors.InvalidActionError(error.message, hint=error.hint, index=error.index) from None
        results: list[dict[str, Any]] = []
        shots: dict[int, Screenshot] = {}
        failed = None
        for index, action in enumerate(actions):
            if isinstance(action, model.Type) and "unmappable" in action.text:
                failed = {
                    "index": index,
                    "code": "keymap",
                    "message": "no keycode",
                    "hint": "x",
                    "partial": {"typed": 2},
                }
                break
            box.acted.append(action)
            if isinstance(action, (model.Move, model.Click)) and action.x is not None and action.y is not None:
                box.pointer = (action.x, action.y)
            if isinstance(action, model.Screenshot):
                shots[index] = self._shot(ScreenshotSpec(format=action.format), box)
            if isinstance(action, model.CursorPosition):
                results.append({"x": box.pointer[0], "y": box.pointer[1]})
            elif isinstance(action, model.Type):
                results.append({"typed": len(action.text)})
            else:
                results.append({})
        final = None if screenshot is None else self._shot(screenshot, box)
        box.batches[batch_id] = result = BatchResult(results, failed, shots, final)
        return result

    def _shot(self, spec: ScreenshotSpec, box: FakeSandbox) -> Screenshot:
        width, height = spec.region[2:] if spec.region else box.info.resolution
        width, height = max(1, int(width * spec.scale)), max(1, int(height * spec.scale))
        data = bytes(width * height * 3) if spec.format == "raw" else PNG
        return Screenshot(data, MEDIA[spec.format], width, height, None if spec.stable_ms is None else True)

    async def screenshot(self, sandbox_id: str, spec: ScreenshotSpec) -> Screenshot:
        await self._enter("screenshot")
        return self._shot(spec, self._sandbox(sandbox_id, running=True))

    async def frame(self, sandbox_id: str, *, wake: bool = False) -> np.ndarray:
        await self._enter("frame")
        box = self._sandbox(sandbox_id, running=True)
        box.woken += wake
        if box.frame is None:
            width, height = box.info.resolution
            return np.full((height, width, 4), 128, np.uint8)
        return box.frame.copy()

    async def cursor(self, sandbox_id: str, *, name: bool = False) -> tuple[Cursor, str | None]:
        await self._enter("cursor")
        x, y = self._sandbox(sandbox_id, running=True).pointer
        arrow = np.zeros((3, 2, 4), np.uint8)
        arrow[0] = 255
        return Cursor(x, y, 1, 0, arrow), "left_ptr" if name else None

    async def set_resolution(self, sandbox_id: str, width: int, height: int) -> SandboxInfo:
        await self._enter("set_resolution")
        self._sandbox(sandbox_id, running=True)
        if width > 1920 or height > 1200:
            raise errors.InvalidRequestError(f"{width}×{height} is too large", hint="at most 1920×1200")
        return self._replace(sandbox_id, resolution=(width, height))

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

    async def launch(self, sandbox_id: str, argv: Sequence[str] | str, uri: str | None = None) -> int:
        await self._enter("launch")
        box = self._sandbox(sandbox_id, running=True)
        box.launched.append((argv, uri))
        return 1000 + len(box.launched)

    async def open(self, sandbox_id: str, target: str) -> None:
        await self._enter("open")
        self._sandbox(sandbox_id, running=True).launched.append(("open", target))

    async def windows(self, sandbox_id: str) -> list[dict[str, Any]]:
        await self._enter("windows")
        box = self._sandbox(sandbox_id, running=True)
        place: dict[str, Any] = {"pid": 7, "x": 1, "y": 2, "width": 300, "height": 200}
        place["states"] = []
        return [
            {"id": 0x200001, "title": "files", "class": "Thunar", "active": False, **place},
            *(
                {"id": 0x300001 + i, "title": str(argv), "class": str(argv).title(), "active": True, **place}
                for i, (argv, _) in enumerate(box.launched)
            ),
        ]

    def _info(self, box: FakeSandbox, path: str) -> FileInfo:
        if path in box.files:
            return FileInfo(path, "file", len(box.files[path]), 0o100644, 1_700_000_000.5)
        if path in box.folders:
            return FileInfo(path, "directory", 4096, 0o40755, 1_700_000_000.5)
        raise errors.NotFoundError(f"there is no file {path}", hint="list the folder", path=path)

    async def read_file(
        self, sandbox_id: str, path: str, *, user: str = "user", offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        await self._enter("read_file")
        box = self._sandbox(sandbox_id, running=True)
        if self._info(box, path).type != "file":
            raise errors.InvalidRequestError(f"{path} is a folder", hint="list it")
        data = box.files[path][offset:][:length]
        for start in range(0, len(data), 32768):
            yield data[start : start + 32768]

    async def write_file(
        self,
        sandbox_id: str,
        path: str,
        data: AsyncIterator[bytes],
        *,
        user: str = "user",
        mode: int | None = None,
    ) -> FileInfo:
        await self._enter("write_file")
        box = self._sandbox(sandbox_id, running=True)
        content = bytearray()
        async for chunk in data:
            content += chunk
        box.files[path] = bytes(content)
        return self._info(box, path)

    async def list_files(self, sandbox_id: str, path: str, *, depth: int = 1, user: str = "user") -> FileListing:
        await self._enter("list_files")
        box = self._sandbox(sandbox_id, running=True)
        self._info(box, path)
        root = path.rstrip("/") + "/"
        names = sorted({*box.files, *box.folders} - {path, "/"})
        found = [self._info(box, n) for n in names if n.startswith(root) and n[len(root) :].count("/") < depth]
        return FileListing(found[:5000], len(found) > 5000)

    async def stat_file(self, sandbox_id: str, path: str, *, user: str = "user", follow: bool = False) -> FileInfo:
        await self._enter("stat_file")
        return self._info(self._sandbox(sandbox_id, running=True), path)

    async def make_folder(self, sandbox_id: str, path: str, *, user: str = "user") -> FileInfo:
        await self._enter("make_folder")
        box = self._sandbox(sandbox_id, running=True)
        box.folders.add(path)
        return self._info(box, path)

    async def remove_file(self, sandbox_id: str, path: str, *, recursive: bool = False, user: str = "user") -> None:
        await self._enter("remove_file")
        box = self._sandbox(sandbox_id, running=True)
        self._info(box, path)
        box.files.pop(path, None)
        box.folders.discard(path)

    async def rename_file(self, sandbox_id: str, source: str, target: str, *, user: str = "user") -> None:
        await self._enter("rename_file")
        box = self._sandbox(sandbox_id, running=True)
        self._info(box, source)
        if source in box.files:
            box.files[target] = box.files.pop(source)
        else:
            box.folders.discard(source)
            box.folders.add(target)

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

    # --- what the live view asks

    def listen(self, heard: Heard) -> None:
        self.listeners.append(heard)

    def tell(self, sandbox_id: str, news: NodeNews, reason: str = "") -> None:
        for heard in self.listeners:
            heard(sandbox_id, news, reason)

    async def screen_source(self, sandbox_id: str, *, fresh: bool = False) -> ScreenSource:
        await self._enter("screen_source")
        if self.replaced:
            self.replaced -= 1
            raise errors.ConflictError(f"{sandbox_id} was ended or replaced meanwhile", hint="look at it")
        width, height = self._sandbox(sandbox_id, running=True).info.resolution
        self.sources.append(fresh)
        return ScreenSource({"kind": "xwd", "width": width, "height": height}, os.open("/dev/null", os.O_RDONLY))

    async def press(self, sandbox_id: str, actions: Sequence[Action]) -> Mapping[str, Any] | None:
        await self._enter("press")
        self._sandbox(sandbox_id, running=True).pressed.extend(actions)
        return None

    async def get_clipboard(self, sandbox_id: str, *, resume: bool = True) -> str:
        await self._enter("get_clipboard")
        return self._sandbox(sandbox_id, running=True).clipboard

    async def set_clipboard(self, sandbox_id: str, text: str) -> None:
        await self._enter("set_clipboard")
        self.copy(sandbox_id, text)

    def copy(self, sandbox_id: str, text: str) -> None:
        """As if a program in the desktop copied it."""
        box = self._sandbox(sandbox_id, running=True)
        box.clipboard = text
        box.clipboard_serial += 1
        self._copied.set()
        self._copied = asyncio.Event()

    async def get_clipboard_picture(self, sandbox_id: str) -> bytes:
        await self._enter("get_clipboard_picture")
        return self._sandbox(sandbox_id, running=True).picture

    async def set_clipboard_picture(self, sandbox_id: str, picture: bytes) -> None:
        await self._enter("set_clipboard_picture")
        self._sandbox(sandbox_id, running=True).picture = picture

    async def clipboard_change(self, sandbox_id: str, after: int, wait_s: float) -> int:
        await self._enter("clipboard_change")
        box = self._sandbox(sandbox_id, running=True)
        if box.clipboard_serial == after:
            try:
                async with asyncio.timeout(wait_s):
                    await self._copied.wait()
            except TimeoutError:
                pass
        return box.clipboard_serial

    async def note(self, sandbox_id: str, kind: str, data: Mapping[str, Any]) -> None:
        await self._enter("note")
        self._sandbox(sandbox_id).notes.append((kind, dict(data)))

    async def folder(self, sandbox_id: str) -> Path:
        await self._enter("folder")
        self._sandbox(sandbox_id)
        folder = self.home / sandbox_id
        folder.mkdir(exist_ok=True)
        return folder
