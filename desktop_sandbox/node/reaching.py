"""Inside a machine: whole folders, changes of files, jobs, ports. What the guest says of them is checked here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from desktop_sandbox.errors import DesktopSandboxError, GuestError, InvalidRequestError
from desktop_sandbox.node.core import NodeCore
from desktop_sandbox.node.reach_facts import read_change, read_job
from desktop_sandbox.node.reach_interface import FileChange, JobInfo, JobOutput, JobSpec

if TYPE_CHECKING:
    from desktop_sandbox.microvm.channel import AgentChannel
    from desktop_sandbox.microvm.channel_exchange import Exchange

_ASK_S = 30.0
_MAX_LINE_BYTES = 64 << 10
_MAX_SAID_BYTES = 2000
_GZIP = b"\x1f\x8b"
_OFFSET_BYTES = 8
_STREAMS = {1: "stdout", 2: "stderr"}


class Reaching(NodeCore):
    """The part of a node that gets inside its machines."""

    async def _channel_of(self, sandbox_id: str, *, resume: bool = True) -> AgentChannel:
        return (await (await self.live(sandbox_id, resume=resume)).guest()).channel

    async def _tell_guest(self, sandbox_id: str, op: str, params: dict[str, Any], *, resume: bool = True) -> Any:
        channel = await self._channel_of(sandbox_id, resume=resume)
        try:
            return await channel.request(op, params, timeout_s=_ASK_S)
        except DesktopSandboxError as error:
            raise _of_old_agents(error) from None

    # --- files

    async def watch_files(
        self, sandbox_id: str, path: str, *, recursive: bool = False, user: str = "user"
    ) -> AsyncIterator[FileChange]:
        """Changes as they happen."""
        channel = await self._channel_of(sandbox_id)
        params = {"path": path, "recursive": recursive, "user": user}
        rest = bytearray()
        try:
            async with channel.stream("file.watch", params, timeout_s=None) as stream:
                async for _, data in stream:
                    rest += data
                    *lines, rest = rest.split(b"\n")
                    for line in lines:
                        yield read_change(line)
                    if len(rest) > _MAX_LINE_BYTES:
                        raise GuestError("the guest's agent told of a change in a line without an end")
                await stream.result()
        except DesktopSandboxError as error:
            raise _of_old_agents(error) from None

    async def read_archive(
        self, sandbox_id: str, path: str, *, user: str = "user", gzip: bool = False
    ) -> AsyncIterator[bytes]:
        """A folder as a tar archive, made by the guest's own tar with that user's rights."""
        channel = await self._channel_of(sandbox_id)
        folder = await channel.request("file.stat", {"path": path, "user": user}, timeout_s=_ASK_S)
        if folder["type"] not in ("directory", "symlink"):
            raise InvalidRequestError(f"{path} is no folder", hint="read it as a file")
        command = ["tar", "--create", "--file=-", "--ignore-failed-read", "--one-file-system"]
        command += ["--gzip"] if gzip else []
        command += [f"--directory={folder['path']}", "."]
        said = bytearray()
        async with channel.stream("command.run", {"command": command, "user": user}, timeout_s=None) as stream:
            async for number, data in stream:
                if number == 1:
                    yield data
                else:
                    said = (said + data)[-_MAX_SAID_BYTES:]
            answer = await stream.result()
        # 1: some file changed while it was read
        if answer.get("exit_code") not in (0, 1):
            raise GuestError(_failed("pack", path, answer, said))

    async def write_archive(
        self, sandbox_id: str, path: str, data: AsyncIterator[bytes], *, user: str = "user"
    ) -> None:
        """Unpack a tar archive in the guest, by its own tar with that user's rights."""
        channel = await self._channel_of(sandbox_id)
        first = await anext(data, b"")
        if not first:
            raise InvalidRequestError("the archive is empty", hint="send a tar archive, plain or with gzip")
        folder = await channel.request("file.mkdir", {"path": path, "user": user}, timeout_s=_ASK_S)
        command = ["tar", "--extract", "--file=-", "--no-same-owner", f"--directory={folder['path']}"]
        command += ["--gzip"] if first.startswith(_GZIP) else []
        said = bytearray()

        async def all_of_it() -> AsyncIterator[bytes]:
            yield first
            async for piece in data:
                yield piece

        params = {"command": command, "user": user, "stdin": True}
        async with channel.stream("command.run", params, timeout_s=None, stdin=all_of_it()) as stream:
            async for number, piece in stream:
                if number == 2:
                    said = (said + piece)[-_MAX_SAID_BYTES:]
            answer = await stream.result()
        if answer.get("exit_code") != 0:
            hint = (
                "send a tar archive, plain or with gzip, into a folder that the user may write, with room on the disk"
            )
            raise InvalidRequestError(_failed("unpack", path, answer, said), hint=hint)

    # --- jobs

    async def start_job(self, sandbox_id: str, job_id: str, spec: JobSpec) -> JobInfo:
        """Start a job, or tell of the one that is there."""
        command = spec.command
        params: dict[str, Any] = {
            "job": job_id,
            "command": command if command is None or isinstance(command, str) else list(command),
            "user": spec.user,
            "cwd": spec.cwd,
            "env": dict(spec.env),
            "stdin": spec.stdin,
            "terminal": spec.terminal,
            "rows": spec.rows,
            "columns": spec.columns,
            "timeout_ms": None if spec.timeout_s is None else max(1, int(spec.timeout_s * 1000)),
        }
        return read_job(await self._tell_guest(sandbox_id, "job.start", params))

    async def jobs(self, sandbox_id: str, *, resume: bool = True) -> Sequence[JobInfo]:
        """Jobs that run or ended not long ago."""
        answer = await self._tell_guest(sandbox_id, "job.list", {}, resume=resume)
        found = answer.get("jobs") if isinstance(answer, dict) else None
        if not isinstance(found, list):
            raise GuestError("the guest's agent told of no jobs")
        return [read_job(each) for each in found]

    @asynccontextmanager
    async def attach_job(
        self,
        sandbox_id: str,
        job_id: str,
        *,
        after: int | None = None,
        stdin: AsyncIterator[bytes] | None = None,
        resume: bool = True,
    ) -> AsyncIterator[_JobLink]:
        """Attach to a job."""
        channel = await self._channel_of(sandbox_id, resume=resume)
        params = {"job": job_id, "after": after, "stdin": stdin is not None}
        try:
            async with channel.stream("job.attach", params, timeout_s=None, stdin=stdin) as stream:
                link = _JobLink(stream)
                await link.begin()
                yield link
        except DesktopSandboxError as error:
            raise _of_old_agents(error) from None

    async def resize_job(self, sandbox_id: str, job_id: str, rows: int, columns: int) -> None:
        """Change the size of a job's terminal."""
        await self._tell_guest(sandbox_id, "job.resize", {"job": job_id, "rows": rows, "columns": columns})

    async def signal_job(self, sandbox_id: str, job_id: str, number: int) -> None:
        """Send a signal to a job."""
        await self._tell_guest(sandbox_id, "job.signal", {"job": job_id, "signal": number})

    async def end_job(self, sandbox_id: str, job_id: str) -> None:
        """End a job."""
        await self._tell_guest(sandbox_id, "job.end", {"job": job_id})

    # --- ports

    @asynccontextmanager
    async def connect_port(self, sandbox_id: str, port: int, stdin: AsyncIterator[bytes]) -> AsyncIterator[_PortLink]:
        """Connect to a port of the guest."""
        channel = await self._channel_of(sandbox_id)
        try:
            async with channel.stream("tcp.connect", {"port": port}, timeout_s=None, stdin=stdin) as stream:
                link = _PortLink(stream)
                await link.begin()
                yield link
        except DesktopSandboxError as error:
            raise _of_old_agents(error) from None


class _Link:
    """A stream that begins with some bytes of the agent's own."""

    def __init__(self, stream: Exchange, head_bytes: int) -> None:
        self._stream = stream
        self._head = bytearray()
        self._head_bytes = head_bytes
        self._first: tuple[int, bytes] | None = None

    async def begin(self) -> None:
        """Wait for the head, which says that it works out; what the guest reports is raised."""
        async for number, data in self._stream:
            if number != 1:
                raise GuestError("the guest's agent began a stream with the wrong one")
            self._head += data
            if len(self._head) >= self._head_bytes:
                self._first = (1, bytes(self._head[self._head_bytes :]))
                return
        await self._stream.result()
        raise GuestError("the guest's agent ended a stream before it began")

    async def pieces(self) -> AsyncIterator[tuple[int, bytes]]:
        """(stream, bytes) after the head."""
        if self._first is not None and self._first[1]:
            yield self._first
        self._first = None
        async for piece in self._stream:
            yield piece


class _JobLink(_Link):
    offset = 0

    def __init__(self, stream: Exchange) -> None:
        super().__init__(stream, _OFFSET_BYTES)

    async def begin(self) -> None:
        await super().begin()
        self.offset = int.from_bytes(self._head[:_OFFSET_BYTES], "big")

    async def __aiter__(self) -> AsyncIterator[JobOutput]:
        async for number, data in self.pieces():
            yield JobOutput(_STREAMS[number], data)

    async def ended(self) -> JobInfo:
        return read_job(await self._stream.result())


class _PortLink(_Link):
    def __init__(self, stream: Exchange) -> None:
        super().__init__(stream, 1)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for _, data in self.pieces():
            yield data

    async def closed(self) -> None:
        await self._stream.result()


def _of_old_agents(error: DesktopSandboxError) -> DesktopSandboxError:
    """An agent of an old snapshot does not know these operations: say so."""
    if error.evidence.get("code") == "unknown-op":
        error.hint = "this desktop began from a snapshot of an older version; make one from the template"
    return error


def _failed(verb: str, path: str, answer: dict[str, Any], said: bytearray) -> str:
    last = said.decode("utf-8", "replace").strip()[-500:]
    code = answer.get("exit_code")
    return f"the guest's tar could not {verb} {path} (exit code {code}): {last}"
