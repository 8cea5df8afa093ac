"""What the API may ask of a node to get inside a machine: folders, changes of files, jobs, ports. Part of `interface`.

A *job* is a command or a terminal that goes on whoever comes and goes. All times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class FileChange:
    """A change below a watched path. `event`: ready (the watch has begun), created, changed, written (closed after
    writing), attributes, removed, moved (`source`: from where) or overflow (more happened than could be told)."""

    event: str
    path: str
    folder: bool
    source: str | None = None


@dataclass(frozen=True)
class JobSpec:
    """A job to start: a shell line, an argument vector, or None for the user's own shell.

    `terminal` gives it one of `rows` × `columns` characters; without, `stdin` says whether it gets input.
    """

    command: str | Sequence[str] | None = None
    user: str = "user"
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bool = False
    terminal: bool = False
    rows: int = 24
    columns: int = 80
    timeout_s: float | None = None


@dataclass(frozen=True)
class JobInfo:
    """A job: `start` and `end` are offsets of the output that is kept, in bytes of all that it ever wrote.

    `exit_code` (128 + signal where a signal ended it) is None while it runs; `attached` counts connections to it.
    """

    id: str
    command: Sequence[str]
    user: str
    pid: int
    terminal: bool
    rows: int
    columns: int
    running: bool
    started_at: float
    ended_at: float | None
    exit_code: int | None
    signal: int | None
    timed_out: bool
    attached: int
    start: int
    end: int


@dataclass(frozen=True)
class JobOutput:
    """A piece of a job's output: `stream` is "stdout" (a terminal has no other) or "stderr"."""

    stream: str
    data: bytes


class JobLink(Protocol):
    """Somebody attached to a job. Iterating gives its output, from `offset` on, until it ends."""

    offset: int

    def __aiter__(self) -> AsyncIterator[JobOutput]:
        """What it writes."""
        ...

    async def ended(self) -> JobInfo:
        """How it ended, once all output was read."""
        ...


class PortLink(Protocol):
    """A connection to a port of the guest. Iterating gives what comes, until the other side has no more."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """What it sends."""
        ...

    async def closed(self) -> None:
        """Return once both ways are at their end."""
        ...


class Reach(Protocol):
    """What a node gives of the inside of its machines."""

    def watch_files(
        self, sandbox_id: str, path: str, *, recursive: bool = False, user: str = "user"
    ) -> AsyncIterator[FileChange]:
        """Changes of a file or a folder as they happen, "ready" first; ends when the path is gone."""
        ...

    def read_archive(
        self, sandbox_id: str, path: str, *, user: str = "user", gzip: bool = False
    ) -> AsyncIterator[bytes]:
        """A folder with all that is in it, as a tar archive; what that user may not read is left out."""
        ...

    async def write_archive(
        self, sandbox_id: str, path: str, data: AsyncIterator[bytes], *, user: str = "user"
    ) -> None:
        """Unpack a tar archive (plain or gzip) into a folder of the guest, which is made if need be."""
        ...

    async def start_job(self, sandbox_id: str, job_id: str, spec: JobSpec) -> JobInfo:
        """Start a job under an id of the caller's choice; one that is there already is told, and not started again."""
        ...

    async def jobs(self, sandbox_id: str, *, resume: bool = True) -> Sequence[JobInfo]:
        """Jobs that run, and those that ended some minutes ago at most, the oldest first. `resume`: as of all calls,
        a paused sandbox comes back by this, where its maker chose so."""
        ...

    def attach_job(
        self,
        sandbox_id: str,
        job_id: str,
        *,
        after: int | None = None,
        stdin: AsyncIterator[bytes] | None = None,
        resume: bool = True,
    ) -> AbstractAsyncContextManager[JobLink]:
        """Attach to a job: output from the offset `after` on (None: all that is kept), `stdin` to it.

        The end of `stdin` is the end of its input; leaving the block before ends nothing.
        """
        ...

    async def resize_job(self, sandbox_id: str, job_id: str, rows: int, columns: int) -> None:
        """Change the size of a job's terminal."""
        ...

    async def signal_job(self, sandbox_id: str, job_id: str, number: int) -> None:
        """Send a signal to a job's process group."""
        ...

    async def end_job(self, sandbox_id: str, job_id: str) -> None:
        """End a job and all of its session. NotFoundError if there is none."""
        ...

    def connect_port(
        self, sandbox_id: str, port: int, stdin: AsyncIterator[bytes]
    ) -> AbstractAsyncContextManager[PortLink]:
        """Connect to what listens on the guest's loopback; NotFoundError where nothing does."""
        ...
