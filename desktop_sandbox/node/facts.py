"""What a node is asked with, and what it tells: of sandboxes, snapshots, templates, screens, commands and files.

All times are seconds since the epoch (float) unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from desktop_sandbox.elements import Match, Scope

if TYPE_CHECKING:
    pass


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
    node does by itself. `network`: what it may reach (docs/network.md); None: as the sandbox of `snapshot`, else the
    internet. `network_of`, with a snapshot: as this sandbox, secrets included.
    """

    template: str = "desktop"
    resolution: tuple[int, int] | None = None
    timeout_s: float | None = 300.0
    metadata: Mapping[str, str] = field(default_factory=dict)
    snapshot: str | None = None
    on_timeout: str = "kill"
    auto_resume: bool = False
    freeze_after_s: float | None = None
    network: object = field(default=None, repr=False)
    network_of: str | None = None


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
    network: Any = "internet"
    """What it may reach: "none", "internet", or allow and deny, each a list of rules."""


@dataclass(frozen=True)
class NetworkInfo:
    """A sandbox's network. `available`: whether its machine has one; if not, `why`. `counters`: connections, refused,
    failed, lookups, sent_bytes, received_bytes, open."""

    policy: Any
    available: bool
    why: str | None
    counters: Mapping[str, int]


@dataclass(frozen=True)
class NetworkTotals:
    """What passed for all sandboxes since the server began, and for each that runs; whether a gateway runs, and how
    often one has ended by itself."""

    running: bool
    ends: int
    total: Mapping[str, int]
    by_sandbox: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class SnapshotInfo:
    """A snapshot of a sandbox. `kind`: "checkpoint", "fork" (made for a fork), "pause" (of a paused sandbox),
    "import".

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
    """A template: `state` is "ready", "building", "missing" (recipe without template) or "stale" (and `why`).

    `promoted_from`: the snapshot that it was made of; None for one that is built of a recipe.
    """

    name: str
    state: str
    why: str | None = None
    digest: str | None = None
    created_at: float | None = None
    size_bytes: int | None = None
    resolution: tuple[int, int] | None = None
    promoted_from: str | None = None


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
class TreeSpec:
    """Which elements to read. `scope`: "focused" (the window with the focus), or "all"; `app` names one app instead: a
    part of its name, or its process id. `hidden`: also what cannot be seen. Times in seconds, sizes in bytes."""

    scope: Scope = "focused"
    app: str | None = None
    hidden: bool = False
    max_depth: int = 60
    max_nodes: int = 500
    max_bytes: int = 256 << 10
    timeout_s: float = 10.0


@dataclass(frozen=True)
class ElementQuery:
    """Which elements are meant; `match` says how `name` is; all `states` must hold ("-focused": must not)."""

    role: str | None = None
    name: str | None = None
    match: Match = "substring"
    states: Sequence[str] = ()
    limit: int = 20


@dataclass(frozen=True)
class ClickSpec:
    """How an element is clicked; `count` 2 is a double click; `modifiers` as in the action click."""

    button: str = "left"
    count: int = 1
    modifiers: Sequence[str] = ()


@dataclass(frozen=True)
class WindowChange:
    """What to do to a window: `window` is its id, or (a part of) its title or class; `verb` one of activate, close,
    minimise, maximise, restore, fullscreen, move (x, y), resize (width, height); pixels."""

    window: str
    verb: str
    x: int | None = None
    y: int | None = None
    width: int | None = None
    height: int | None = None
    timeout_s: float = 3.0


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
class FileListing:
    """What lies below a folder; `truncated`: there is more than could be told."""

    files: Sequence[FileInfo]
    truncated: bool = False


@dataclass(frozen=True)
class ScreenSource:
    """What the media process of the same host needs to read a screen: `facts` as `source` in docs/streaming.md, and a
    read-only descriptor that now belongs to the caller."""

    facts: Mapping[str, Any]
    fd: int
