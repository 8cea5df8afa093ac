"""What the API may ask of a node. A node on another host can implement the same; nothing here knows HTTP.

All times are seconds since the epoch (float) unless a name says otherwise; all methods raise errors of
`desktop_sandbox.errors` only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from actions.model import Action
from desktop_sandbox.elements import Element, ElementTree
from desktop_sandbox.node.reach_interface import Reach

if TYPE_CHECKING:
    from desktop_sandbox.node.halt import Halt
    from desktop_sandbox.screen.encode import Cursor
    from desktop_sandbox.screen.framebuffer import Frame

from desktop_sandbox.node.facts import (
    BatchResult,
    ClickSpec,
    CommandExit,
    CommandOutput,
    CommandSpec,
    ElementQuery,
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
    TreeSpec,
    WindowChange,
)


class NodeNews(StrEnum):
    """What a node tells its listeners of a sandbox: it is no more, it was put away, it is back (from a pause or a
    rollback, in another process), or its screen has another size."""

    ENDED = "ended"
    PAUSED = "paused"
    BACK = "back"
    RESIZED = "resized"


Heard = Callable[[str, NodeNews, str], None]
"""A listener: sandbox id, what happened, and why (maybe empty)."""


class Node(Reach, Protocol):
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

    async def network(self, sandbox_id: str) -> NetworkInfo:
        """A sandbox's policy, whether it has a network at all, and what has passed."""
        ...

    async def set_network(self, sandbox_id: str, network: object) -> SandboxInfo:
        """Change what a sandbox may reach; connections that are not allowed any more have ended when this returns."""
        ...

    async def network_log(self, sandbox_id: str, limit: int = 100) -> Sequence[Mapping[str, Any]]:
        """The last connections and lookups, oldest first; those that go on have the outcome `open`."""
        ...

    def network_totals(self) -> NetworkTotals:
        """What passed for all sandboxes since this server began."""
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

    async def resume(self, sandbox_id: str, timeout_s: float | None = None, *, from_disk: bool = False) -> SandboxInfo:
        """Bring a paused sandbox back, for `timeout_s` (None: as long as it was made for); a running one stays.

        `from_disk`: boot it from its disk, without what it had in memory.
        """
        ...

    async def freeze(self, sandbox_id: str) -> SandboxInfo:
        """Let it stand still in memory until the next call. ConflictError while it is watched or in use."""
        ...

    async def thaw(self, sandbox_id: str) -> SandboxInfo:
        """Wake it, with the right time; of one that is awake nothing changes."""
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

    async def promote_snapshot(self, snapshot_id: str, name: str) -> TemplateInfo:
        """A template `name` that begins where the snapshot was taken. ConflictError where the name is taken."""
        ...

    async def export_snapshot(self, snapshot_id: str) -> tuple[int, AsyncIterator[bytes]]:
        """A snapshot as one signed file: its length in bytes, and its content in pieces."""
        ...

    async def import_snapshot(self, data: AsyncIterator[bytes], *, name: str | None = None) -> SnapshotInfo:
        """A snapshot out of such a file, whole or not at all. `name`: what it is called here, then with another id."""
        ...

    async def export_template(self, name: str) -> tuple[int, AsyncIterator[bytes]]:
        """A template (by its name or its folder's) and its image as one signed file: its length, and its content."""
        ...

    async def import_template(self, data: AsyncIterator[bytes]) -> TemplateInfo:
        """A template out of such a file; it is there whole afterwards, or not at all."""
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
        halt: Halt | None = None,
    ) -> BatchResult:
        """Run a batch in order, up to the first failure; `screenshot` returns the settled screen at the end.

        `halt`: once it is asked, the batch stops soon, fails with the code "cancelled", and tells what was done.
        DeadlineError after `timeout_s`, which tells that in its evidence.
        """
        ...

    async def screenshot(self, sandbox_id: str, spec: ScreenshotSpec, *, resume: bool = True) -> Screenshot:
        """The screen as it is now (or once it is stable); ConflictError if it is paused and `resume` is false."""
        ...

    async def frame(self, sandbox_id: str, *, wake: bool = False) -> Frame:
        """The screen's pixels now, without the pointer, the caller's to change. A frozen sandbox is looked at as it
        is, or with `wake` woken first: whoever waits for it to do something must let it."""
        ...

    async def cursor(self, sandbox_id: str, *, name: bool = False) -> tuple[Cursor, str | None]:
        """The pointer's place and picture, and with `name` what its program called it, if it did and it is awake."""
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
        """Windows, bottom to top: id, title, class, pid, x, y, width, height, active, states (minimised, maximised,
        fullscreen, modal, above, attention)."""
        ...

    async def tree(self, sandbox_id: str, spec: TreeSpec) -> ElementTree:
        """Read elements of the accessibility tree."""
        ...

    async def find_elements(self, sandbox_id: str, query: ElementQuery, spec: TreeSpec) -> ElementTree:
        """Find elements; NotFoundError says what there is instead."""
        ...

    async def element(self, sandbox_id: str, element_id: str, verb: str, action: str | None = None) -> Element:
        """Do "look", "show", "focus" or "invoke" (`action`; None: the first) to an element; as it is afterwards.
        NotFoundError if it is gone."""
        ...

    async def set_element(self, sandbox_id: str, element_id: str, value: str, *, batch_id: str) -> Element:
        """Set an element's text or number; typed, where its app takes text from the keyboard only."""
        ...

    async def click_element(
        self, sandbox_id: str, element_id: str, click: ClickSpec, *, batch_id: str
    ) -> tuple[Element, tuple[int, int]]:
        """Click the middle of what can be seen of an element; it, and where."""
        ...

    async def change_window(self, sandbox_id: str, change: WindowChange) -> dict[str, Any]:
        """Change a window: {"done", "window"}, null once it is closed; `done` false: asked for, and not so in time.
        NotFoundError lists the windows."""
        ...

    async def launch_window(
        self, sandbox_id: str, argv: Sequence[str] | str, uri: str | None, wait_s: float
    ) -> tuple[int, dict[str, Any]]:
        """Start an app and wait for a new window: its process id and the window. DeadlineError lists the windows."""
        ...

    def read_file(
        self, sandbox_id: str, path: str, *, user: str = "user", offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """A file's content in chunks, from the byte `offset` on, at most `length` bytes."""
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

    async def list_files(self, sandbox_id: str, path: str, *, depth: int = 1, user: str = "user") -> FileListing:
        """Entries below a folder."""
        ...

    async def stat_file(self, sandbox_id: str, path: str, *, user: str = "user", follow: bool = False) -> FileInfo:
        """One entry, or NotFoundError; with `follow`, what a link leads to."""
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

    async def get_clipboard_picture(self, sandbox_id: str) -> bytes:
        """The picture in the desktop's clipboard as PNG, empty if it holds none; not decoded, and not to be trusted."""
        ...

    async def set_clipboard_picture(self, sandbox_id: str, picture: bytes) -> None:
        """Put a PNG into the desktop's clipboard."""
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
