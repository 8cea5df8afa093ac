"""What the API may ask of a node. A node on another host can implement the same; nothing here knows HTTP.

All times are seconds since the epoch (float) unless a name says otherwise; all methods raise errors of
`desktop_sandbox.errors` only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from actions.model import Action


class SandboxState(StrEnum):
    """Life of a sandbox. `dead` keeps its reason until it is removed from the list."""

    CREATING = "creating"
    RUNNING = "running"
    PAUSED = "paused"
    KILLING = "killing"
    DEAD = "dead"


@dataclass(frozen=True)
class SandboxSpec:
    """What a caller asks for. `timeout_s` None means: never expires.

    `snapshot`: begin from this snapshot instead of the template. `on_timeout`: "kill", or "pause" when it expires.
    `auto_resume`: a paused sandbox resumes by itself when somebody acts on it or looks at it.
    `freeze_after_s`: idle and unwatched for so long, its vCPUs stand still until the next call; 0: never, None: as the
    node does by itself.
    """

    template: str = "desktop"
    resolution: tuple[int, int] | None = None
    timeout_s: float | None = 300.0
    metadata: Mapping[str, str] = field(default_factory=dict)
    snapshot: str | None = None
    on_timeout: str = "kill"
    auto_resume: bool = False
    freeze_after_s: float | None = None


@dataclass(frozen=True)
class SandboxInfo:
    """What a node knows of one sandbox."""

    id: str
    template: str
    state: SandboxState
    created_at: float
    expires_at: float | None
    metadata: Mapping[str, str]
    resolution: tuple[int, int]
    reason: str | None = None
    snapshot: str | None = None
    """The snapshot that it began from, was rolled back to, or left behind last: its place in the tree."""
    on_timeout: str = "kill"
    auto_resume: bool = False
    freeze_after_s: float | None = None
    frozen: bool = False
    """Whether it stands still in memory, being idle; it is running all the same, and the next call wakes it."""


@dataclass(frozen=True)
class SnapshotInfo:
    """A snapshot of a sandbox. `kind`: "checkpoint", "fork" (made for a fork) or "pause" (of a paused sandbox).

    `parent`: the snapshot before it in the tree. `quiesced`: the user's programs stood still, and the disk's file
    system was written out, when it was taken. `stopped_ms`: for how long the sandbox stood still.
    """

    id: str
    name: str | None
    sandbox: str
    parent: str | None
    template: str
    kind: str
    created_at: float
    size_bytes: int
    resolution: tuple[int, int]
    quiesced: bool
    stopped_ms: float
    description: str = ""
    tags: Sequence[str] = ()


@dataclass(frozen=True)
class SandboxPage:
    """One page of a list, newest first; `cursor` None means: the last page."""

    sandboxes: Sequence[SandboxInfo]
    cursor: str | None


@dataclass(frozen=True)
class TemplateInfo:
    """A template: `state` is "ready", "building", "missing" (recipe without template) or "stale" (and `why`)."""

    name: str
    state: str
    why: str | None = None
    digest: str | None = None
    created_at: float | None = None
    size_bytes: int | None = None
    resolution: tuple[int, int] | None = None


@dataclass(frozen=True)
class ScreenshotSpec:
    """How a screenshot is made. `format`: png, jpeg, webp or raw (tight RGB rows top to bottom, 3 bytes a pixel).

    `region` is (x, y, width, height) in screen pixels; `scale` in (0, 1]; `quality` 1 to 100 (jpeg, webp);
    `stable_ms`: wait until the picture has not changed for so long, within `deadline_ms`.
    """

    format: str = "png"
    quality: int = 80
    scale: float = 1.0
    region: tuple[int, int, int, int] | None = None
    cursor: bool = True
    stable_ms: int | None = None
    deadline_ms: int = 5000


@dataclass(frozen=True)
class Screenshot:
    """An encoded screenshot; `stable` None where none was asked for."""

    data: bytes
    media_type: str
    width: int
    height: int
    stable: bool | None = None


@dataclass(frozen=True)
class BatchResult:
    """What a batch did. `results` has one entry per action done; `failed` says which stopped it (index, code, message,
    hint, partial) and None if all were done. `screenshots` maps the index of a screenshot action to its picture."""

    results: Sequence[Mapping[str, Any]]
    failed: Mapping[str, Any] | None
    screenshots: Mapping[int, Screenshot]
    final: Screenshot | None = None


@dataclass(frozen=True)
class CommandSpec:
    """A command to run in the desktop: a shell line (run by bash) or an argument vector."""

    command: str | Sequence[str]
    user: str = "user"
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = 60.0
    stdin: bytes | None = None


@dataclass(frozen=True)
class CommandOutput:
    """A piece of a running command's output: `stream` is "stdout" or "stderr"."""

    stream: str
    data: bytes


@dataclass(frozen=True)
class CommandExit:
    """How a command ended; `exit_code` is 128 + signal where a signal ended it."""

    exit_code: int
    signal: int | None
    timed_out: bool


@dataclass(frozen=True)
class FileInfo:
    """One entry of the guest's file system. `type`: file, directory, symlink or other; `mode` as in stat(2)."""

    path: str
    type: str
    size_bytes: int
    mode: int
    modified_at: float


@dataclass(frozen=True)
class ScreenSource:
    """What the media process of the same host needs to read a screen: `facts` as `source` in docs/streaming.md, and a
    read-only descriptor that now belongs to the caller."""

    facts: Mapping[str, Any]
    fd: int


class NodeNews(StrEnum):
    """What a node tells its listeners of a sandbox: it is no more, it was put away, it is back (from a pause or a
    rollback, in another process), or its screen has another size."""

    ENDED = "ended"
    PAUSED = "paused"
    BACK = "back"
    RESIZED = "resized"


Heard = Callable[[str, NodeNews, str], None]
"""A listener: sandbox id, what happened, and why (maybe empty)."""


class Node(Protocol):
    """One host's desktops."""

    async def create(self, spec: SandboxSpec, *, key: str | None = None) -> SandboxInfo:
        """Make a sandbox; the same idempotency `key` gives the same sandbox."""
        ...

    async def get(self, sandbox_id: str) -> SandboxInfo:
        """One sandbox, or NotFoundError."""
        ...

    async def list(
        self,
        *,
        states: Sequence[SandboxState] = (),
        metadata: Mapping[str, str] | None = None,
        template: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> SandboxPage:
        """Sandboxes, newest first, filtered; `metadata` entries must all match."""
        ...

    async def kill(self, sandbox_id: str) -> None:
        """End a sandbox for good; returns when its process is gone. NotFoundError if there is none."""
        ...

    async def set_timeout(self, sandbox_id: str, timeout_s: float | None) -> SandboxInfo:
        """Let it expire `timeout_s` from now, or never."""
        ...

    async def checkpoint(
        self, sandbox_id: str, *, name: str | None = None, description: str = "", tags: Sequence[str] = ()
    ) -> SnapshotInfo:
        """Save a running sandbox as it is; it goes on after some tens of milliseconds."""
        ...

    async def fork(
        self,
        sandbox_id: str,
        count: int,
        *,
        timeout_s: float | None = 300.0,
        metadata: Mapping[str, str] | None = None,
    ) -> Sequence[SandboxInfo]:
        """`count` new sandboxes that begin where this one is now; all of them, or an error and none."""
        ...

    async def rollback(self, sandbox_id: str, snapshot_id: str) -> SandboxInfo:
        """The same sandbox, back at a snapshot; what it did since is gone."""
        ...

    async def pause(self, sandbox_id: str) -> SandboxInfo:
        """Put a sandbox away: to disk, no process left. Once more does nothing."""
        ...

    async def resume(self, sandbox_id: str, timeout_s: float | None = None) -> SandboxInfo:
        """Bring a paused sandbox back, for `timeout_s` (None: as long as it was made for); a running one stays."""
        ...

    async def snapshots(self, sandbox_id: str | None = None) -> Sequence[SnapshotInfo]:
        """All snapshots, or those of one sandbox and those that it descends from; oldest first."""
        ...

    async def get_snapshot(self, snapshot_id: str) -> SnapshotInfo:
        """One snapshot, or NotFoundError."""
        ...

    async def change_snapshot(
        self,
        snapshot_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> SnapshotInfo:
        """Name, describe, tag; what is None stays."""
        ...

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot. ConflictError while a paused sandbox rests on it."""
        ...

    async def export_snapshot(self, snapshot_id: str) -> tuple[int, AsyncIterator[bytes]]:
        """A snapshot as one signed file: its length in bytes, and its content in pieces."""
        ...

    async def import_snapshot(self, data: AsyncIterator[bytes]) -> SnapshotInfo:
        """A snapshot out of such a file; it is there whole afterwards, or not at all."""
        ...

    async def signing_key(self) -> str:
        """This host's public key, as `ed25519:BASE64`."""
        ...

    async def trusted(self) -> Mapping[str, str]:
        """Keys whose snapshots may be imported, by name."""
        ...

    async def trust(self, name: str, key: str) -> None:
        """Trust a key under a name."""
        ...

    async def distrust(self, name: str) -> None:
        """Trust it no longer. NotFoundError."""
        ...

    async def thumbnail(self, snapshot_id: str, width: int = 320) -> Screenshot:
        """What a snapshot showed, as a JPEG at most `width` pixels wide."""
        ...

    async def act(
        self,
        sandbox_id: str,
        actions: Sequence[Action],
        *,
        batch_id: str,
        screenshot: ScreenshotSpec | None = None,
        timeout_s: float | None = None,
    ) -> BatchResult:
        """Run a batch in order, halting at the first failure; `screenshot` returns the settled screen at the end."""
        ...

    async def screenshot(self, sandbox_id: str, spec: ScreenshotSpec) -> Screenshot:
        """The screen as it is now (or once it is stable)."""
        ...

    async def set_resolution(self, sandbox_id: str, width: int, height: int) -> SandboxInfo:
        """Change the screen's size, live."""
        ...

    def run_command(self, sandbox_id: str, spec: CommandSpec) -> AsyncIterator[CommandOutput | CommandExit]:
        """Run a command; yields output as it comes and CommandExit last. Closing the iterator kills it."""
        ...

    async def launch(self, sandbox_id: str, argv: Sequence[str] | str, uri: str | None = None) -> int:
        """Start an app detached (argument vector, or the name of an app or desktop file); its pid."""
        ...

    async def open(self, sandbox_id: str, target: str) -> None:
        """Open a file or an address with the desktop's default app."""
        ...

    async def windows(self, sandbox_id: str) -> Sequence[dict[str, Any]]:
        """Windows, bottom to top: id, title, class, pid, x, y, width, height, active."""
        ...

    def read_file(self, sandbox_id: str, path: str, *, user: str = "user") -> AsyncIterator[bytes]:
        """A file's content in chunks."""
        ...

    async def write_file(
        self,
        sandbox_id: str,
        path: str,
        data: AsyncIterator[bytes],
        *,
        user: str = "user",
        mode: int | None = None,
    ) -> FileInfo:
        """Write a file whole (it appears complete or not at all); folders on the way are made."""
        ...

    async def list_files(self, sandbox_id: str, path: str, *, depth: int = 1, user: str = "user") -> Sequence[FileInfo]:
        """Entries below a folder."""
        ...

    async def stat_file(self, sandbox_id: str, path: str, *, user: str = "user") -> FileInfo:
        """One entry, or NotFoundError."""
        ...

    async def make_folder(self, sandbox_id: str, path: str, *, user: str = "user") -> FileInfo:
        """Make a folder and those above it."""
        ...

    async def remove_file(self, sandbox_id: str, path: str, *, recursive: bool = False, user: str = "user") -> None:
        """Remove a file, or a folder (with `recursive` if it is not empty)."""
        ...

    async def rename_file(self, sandbox_id: str, source: str, target: str, *, user: str = "user") -> None:
        """Move a file or folder."""
        ...

    async def why(self, sandbox_id: str) -> dict[str, Any]:
        """Everything that explains a sandbox's state: spec, state, reason, events, tails of its logs."""
        ...

    async def templates(self) -> Sequence[TemplateInfo]:
        """All recipes and templates."""
        ...

    def build_template(self, name: str, *, rebuild: bool = False) -> AsyncIterator[Mapping[str, Any]]:
        """Build image and template as needed; yields {"step", "fraction", "message"} as it goes."""
        ...

    async def remove_template(self, name: str) -> None:
        """Remove a template's snapshot and image from the disk. ConflictError while a build is running."""
        ...

    async def usage(self) -> dict[str, Any]:
        """Capacity and what is used of it: memory, disk, sandboxes."""
        ...

    def watched(self, sandbox_ids: Collection[str]) -> None:
        """Say which sandboxes, and no others, people watch or record now: they do not stand still."""
        ...

    def listen(self, heard: Heard) -> None:
        """Have `heard` called (in the node's loop) whenever there is news of a sandbox."""
        ...

    async def screen_source(self, sandbox_id: str, *, fresh: bool = False) -> ScreenSource:
        """How to read the screen from outside; `fresh` asks the guest where its pixels are now. Brings back nobody."""
        ...

    async def press(self, sandbox_id: str, actions: Sequence[Action]) -> Mapping[str, Any] | None:
        """Carry out a person's input at once, beside any batch, and at most once; what failed, or None. Brings back
        nobody."""
        ...

    async def get_clipboard(self, sandbox_id: str, *, resume: bool = True) -> str:
        """The text in the desktop's clipboard, empty if it holds none. `resume`: as of all calls, one that was paused
        comes back by this, where its maker chose so."""
        ...

    async def set_clipboard(self, sandbox_id: str, text: str) -> None:
        """Put text into the desktop's clipboard."""
        ...

    async def clipboard_change(self, sandbox_id: str, after: int, wait_s: float) -> int:
        """A number that changes whenever the clipboard does; waits at most `wait_s` while it is `after`. Brings back
        nobody."""
        ...

    async def note(self, sandbox_id: str, kind: str, data: Mapping[str, Any]) -> None:
        """Write something into the sandbox's event log, which keeps the newest few hundred of each kind."""
        ...

    async def folder(self, sandbox_id: str) -> Path:
        """The sandbox's folder on this host; it is removed with the sandbox."""
        ...
