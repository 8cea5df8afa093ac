"""What the SDK returns, as frozen values. Pixels are screen pixels, times are aware datetimes in UTC."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from desktop_sandbox.sdk.eyes import Changes


@dataclass(frozen=True)
class SandboxInfo:
    """One sandbox: `state` is creating, running, paused, killing or dead; `reason` says why it is dead.

    `snapshot` is its place in the tree: what it began from, was rolled back to, or left behind last.
    """

    sandbox_id: str
    template: str
    state: str
    created_at: datetime
    expires_at: datetime | None
    metadata: Mapping[str, str]
    resolution: tuple[int, int]
    reason: str | None = None
    snapshot: str | None = None
    on_timeout: str = "kill"
    auto_resume: bool = False
    freeze_after: float | None = None
    frozen: bool = False
    """It is running, but stands still in memory, being idle; the next call wakes it."""
    network: Any = "internet"
    """What it may reach: "none", "internet", or allow and deny, each a list of rules."""


@dataclass(frozen=True)
class SnapshotInfo:
    """A saved sandbox. `kind` is checkpoint, fork (made for a fork) or pause (of a paused sandbox).

    `parent` is the snapshot before it in the tree; `quiesced`: programs stood still and the file system was written
    out when it was taken; `stopped_ms`: for how long the sandbox stood still.
    """

    snapshot_id: str
    name: str | None
    sandbox_id: str
    parent: str | None
    template: str
    kind: str
    created_at: datetime
    size_bytes: int
    resolution: tuple[int, int]
    quiesced: bool
    stopped_ms: float
    description: str
    tags: Sequence[str]


@dataclass(frozen=True)
class Screenshot:
    """A picture: its bytes, media type and size; `stable` None where that was not asked for.

    The format "raw" has width × height × 3 bytes: RGB rows from top to bottom.
    """

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int
    stable: bool | None = None
    moment: str | None = None
    """Stands for what the whole screen showed then, where it was kept."""


@dataclass(frozen=True)
class ActResult:
    """What a batch did: one result per action, pictures by the index of their action, the screen at the end, and what
    changed on it, where that was asked for."""

    results: Sequence[Mapping[str, Any]]
    screenshots: Mapping[int, Screenshot]
    screenshot: Screenshot | None = None
    changes: Changes | None = None


@dataclass(frozen=True)
class CommandResult:
    """A command's whole output; `exit_code` is 128 + signal where a signal ended it."""

    stdout: str
    stderr: str
    exit_code: int
    signal: int | None = None
    timed_out: bool = False


@dataclass(frozen=True)
class CommandOutput:
    """A piece of a running command's output: `stream` is "stdout" or "stderr"."""

    stream: str
    data: bytes

    @property
    def text(self) -> str:
        """The piece as text; a character may be cut at its ends."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True)
class CommandExit:
    """How a streamed command ended."""

    exit_code: int
    signal: int | None
    timed_out: bool


@dataclass(frozen=True)
class FileInfo:
    """One entry of the desktop's file system; `type`: file, directory, symlink or other; `mode` as in stat(2)."""

    path: str
    type: str
    size_bytes: int
    mode: int
    modified_at: datetime

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rpartition("/")[2] or "/"


class FileList(list[FileInfo]):
    """Entries of a folder; `truncated`: there are more than the 5000 that are told."""

    truncated = False


@dataclass(frozen=True)
class Window:
    """One window; `states` of "minimised", "maximised", "fullscreen", "modal", "above", "attention"."""

    id: str
    title: str
    window_class: str
    pid: int | None
    x: int
    y: int
    width: int
    height: int
    active: bool
    states: Sequence[str] = ()


@dataclass(frozen=True)
class TemplateInfo:
    """A template: `state` is ready, building, missing or stale (`why` says what changed).

    `promoted_from`: the snapshot that it was made of, None for one that is built of a recipe.
    """

    name: str
    state: str
    why: str | None
    digest: str | None
    created_at: datetime | None
    size_bytes: int | None
    resolution: tuple[int, int] | None
    promoted_from: str | None = None


@dataclass(frozen=True)
class BuildStep:
    """Progress of a build: what is done now, and how much is done (0 to 1, None if nobody knows)."""

    step: str
    fraction: float | None
    message: str


def parse_sandbox(data: Mapping[str, Any]) -> SandboxInfo:
    """A sandbox out of the API's JSON."""
    created, size = parse_time(data["created_at"]), data["resolution"]
    assert created is not None
    return SandboxInfo(
        sandbox_id=data["id"],
        template=data["template"],
        state=data["state"],
        created_at=created,
        expires_at=parse_time(data["expires_at"]),
        metadata=data["metadata"],
        resolution=(size["width"], size["height"]),
        reason=data["reason"],
        snapshot=data["snapshot"],
        on_timeout=data["on_timeout"],
        auto_resume=data["auto_resume"],
        freeze_after=data.get("freeze_after"),
        frozen=data.get("frozen", False),
        network=data.get("network", "internet"),
    )


def parse_snapshot(data: Mapping[str, Any]) -> SnapshotInfo:
    """A snapshot out of the API's JSON."""
    created, size = parse_time(data["created_at"]), data["resolution"]
    assert created is not None
    return SnapshotInfo(
        snapshot_id=data["id"],
        name=data["name"],
        sandbox_id=data["sandbox"],
        parent=data["parent"],
        template=data["template"],
        kind=data["kind"],
        created_at=created,
        size_bytes=data["size_bytes"],
        resolution=(size["width"], size["height"]),
        quiesced=data["quiesced"],
        stopped_ms=data["stopped_ms"],
        description=data["description"],
        tags=tuple(data["tags"]),
    )


def parse_batch(data: Mapping[str, Any]) -> ActResult:
    """A batch's result out of the API's JSON."""
    from desktop_sandbox.sdk.eyes import parse_changes  # which has windows and pictures from here

    final, changes = data.get("screenshot"), data.get("changes")
    return ActResult(
        results=data["results"],
        screenshots={int(index): parse_picture(picture) for index, picture in data["screenshots"].items()},
        screenshot=None if final is None else parse_picture(final),
        changes=None if changes is None else parse_changes(changes),
    )


def parse_picture(data: Mapping[str, Any]) -> Screenshot:
    """A picture out of the API's JSON."""
    return Screenshot(base64.b64decode(data["data"]), data["media_type"], data["width"], data["height"], data["stable"])


def parse_file(data: Mapping[str, Any]) -> FileInfo:
    """A file out of the API's JSON."""
    modified = parse_time(data["modified_at"])
    assert modified is not None
    return FileInfo(data["path"], data["type"], data["size_bytes"], data["mode"], modified)


def parse_window(data: Mapping[str, Any]) -> Window:
    """A window out of the API's JSON."""
    return Window(
        id=str(data["id"]),
        title=data["title"],
        window_class=str(data.get("class") or ""),
        pid=data.get("pid"),
        x=data["x"],
        y=data["y"],
        width=data["width"],
        height=data["height"],
        active=data["active"],
        states=tuple(data.get("states") or ()),
    )


def parse_template(data: Mapping[str, Any]) -> TemplateInfo:
    """A template out of the API's JSON."""
    size = data["resolution"]
    return TemplateInfo(
        name=data["name"],
        state=data["state"],
        why=data["why"],
        digest=data["digest"],
        created_at=parse_time(data["created_at"]),
        size_bytes=data["size_bytes"],
        resolution=None if size is None else (size["width"], size["height"]),
        promoted_from=data.get("promoted_from"),
    )


def parse_time(text: str | None) -> datetime | None:
    """An RFC 3339 time."""
    return None if text is None else datetime.fromisoformat(text)
