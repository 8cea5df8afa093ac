"""The part of the fake node that reaches inside: archives, watches, jobs that echo, ports with an echo server."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import tarfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from desktop_sandbox import errors
from desktop_sandbox.node.reach_interface import FileChange, JobInfo, JobOutput, JobSpec


@dataclasses.dataclass
class FakeJob:
    """Says "ready", then what it is told; "exit N" ends it."""

    info: JobInfo
    spec: JobSpec
    output: bytearray = dataclasses.field(default_factory=lambda: bytearray(b"ready\n"))
    news: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    signals: list[int] = dataclasses.field(default_factory=list)
    sizes: list[tuple[int, int]] = dataclasses.field(default_factory=list)

    def say(self, data: bytes) -> None:
        self.output += data
        self._tell()

    def hear(self, data: bytes) -> None:
        if not self.info.running:
            return
        if data.startswith(b"exit "):
            self.end(int(data[5:]))
        else:
            self.say(data)

    def end(self, code: int, number: int | None = None) -> None:
        if self.info.running:
            now = time.time()
            self.info = dataclasses.replace(self.info, running=False, ended_at=now, exit_code=code, signal=number)
            self._tell()

    def _tell(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    def now(self) -> JobInfo:
        return dataclasses.replace(self.info, end=len(self.output))


class FakeLink:
    def __init__(self, job: FakeJob, offset: int) -> None:
        self.job = job
        self.offset = offset

    async def __aiter__(self) -> AsyncIterator[JobOutput]:
        at = self.offset
        while True:
            if at < len(self.job.output):
                data = bytes(self.job.output[at:])
                at += len(data)
                yield JobOutput("stdout", data)
            elif not self.job.info.running:
                return
            else:
                await self.job.news.wait()

    async def ended(self) -> JobInfo:
        return self.job.now()


class FakePort:
    def __init__(self, stdin: AsyncIterator[bytes]) -> None:
        self._stdin = stdin
        self._over = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"hello "
        async for data in self._stdin:
            yield data
        self._over.set()

    async def closed(self) -> None:
        await self._over.wait()


class DialledPort:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stdin: AsyncIterator[bytes]) -> None:
        self._reader, self._writer, self._stdin = reader, writer, stdin

    async def _feed(self) -> None:
        async for data in self._stdin:
            self._writer.write(data)
            await self._writer.drain()

    async def __aenter__(self) -> DialledPort:
        self._feeding = asyncio.create_task(self._feed())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._feeding.cancel()
        await asyncio.wait([self._feeding])
        self._writer.transport.abort()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._reader.read(65536):
            yield data

    async def closed(self) -> None:
        return None


class FakeReach:
    """Mixed into the fake node, which has `_enter` and `_sandbox`."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[FileChange | BaseException | None] = asyncio.Queue()
        self.watches_end = False
        """Whether a watch is over once it has begun: for those who read every answer to its end."""
        self.watches_ended = 0
        self.fake_jobs: dict[tuple[str, str], FakeJob] = {}
        self.job_kinds: dict[str, Callable[[JobInfo, JobSpec], FakeJob]] = {}
        """What plays a program, by its path; others echo."""
        self.attached = 0
        self.resumed: list[bool] = []
        self.archives: dict[str, bytes] = {}
        self.guest_ports: dict[int, int] = {}
        self.dialled = 0

    async def watch_files(
        self, sandbox_id: str, path: str, *, recursive: bool = False, user: str = "user"
    ) -> AsyncIterator[FileChange]:
        await self._enter("watch_files")
        self._info(self._sandbox(sandbox_id, running=True), path)
        try:
            yield FileChange("ready", path, False)
            while not self.watches_end and (change := await self.changes.get()) is not None:
                if isinstance(change, BaseException):
                    raise change
                yield change
        finally:
            self.watches_ended += 1

    async def read_archive(
        self, sandbox_id: str, path: str, *, user: str = "user", gzip: bool = False
    ) -> AsyncIterator[bytes]:
        await self._enter("read_archive")
        box = self._sandbox(sandbox_id, running=True)
        self._info(box, path)
        data = self.archives.get(path)
        if data is None:
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w:gz" if gzip else "w") as tar:
                for name, content in sorted(box.files.items()):
                    if name.startswith(f"{path}/"):
                        member = tarfile.TarInfo(f"./{name[len(path) + 1 :]}")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
            data = out.getvalue()
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    async def write_archive(
        self, sandbox_id: str, path: str, data: AsyncIterator[bytes], *, user: str = "user"
    ) -> None:
        await self._enter("write_archive")
        box = self._sandbox(sandbox_id, running=True)
        content = b"".join([piece async for piece in data])
        box.folders.add(path)
        try:
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                for member in tar:
                    if member.isreg():
                        name = member.name.removeprefix("./")
                        box.files[f"{path}/{name}"] = tar.extractfile(member).read()  # type: ignore[union-attr]
        except tarfile.TarError as error:
            raise errors.InvalidRequestError(f"the guest's tar could not unpack {path}: {error}") from None

    def _job(self, sandbox_id: str, job_id: str) -> FakeJob:
        self._sandbox(sandbox_id, running=True)
        found = self.fake_jobs.get((sandbox_id, job_id))
        if found is None:
            raise errors.NotFoundError(f"nothing runs here as {job_id!r}", hint="list them")
        return found

    async def start_job(self, sandbox_id: str, job_id: str, spec: JobSpec) -> JobInfo:
        await self._enter("start_job")
        self._sandbox(sandbox_id, running=True)
        if spec.command == ["/no/such"]:
            raise errors.NotFoundError("cannot run '/no/such'")
        if (sandbox_id, job_id) not in self.fake_jobs:
            command = spec.command if spec.command is not None else ["/bin/bash", "-l"]
            words = ["/bin/bash", "-c", command] if isinstance(command, str) else list(command)
            info = JobInfo(
                job_id, words, spec.user, 77, spec.terminal, spec.rows, spec.columns, True, time.time(),
                None, None, None, False, 0, 0, 0,
            )  # fmt: skip
            self.fake_jobs[sandbox_id, job_id] = self.job_kinds.get(words[0], FakeJob)(info, spec)
        return self.fake_jobs[sandbox_id, job_id].now()

    async def jobs(self, sandbox_id: str, *, resume: bool = True) -> Sequence[JobInfo]:
        await self._enter("jobs")
        self.resumed.append(resume)
        self._sandbox(sandbox_id, running=True)
        return [job.now() for (box, _), job in self.fake_jobs.items() if box == sandbox_id]

    @asynccontextmanager
    async def attach_job(
        self,
        sandbox_id: str,
        job_id: str,
        *,
        after: int | None = None,
        stdin: AsyncIterator[bytes] | None = None,
        resume: bool = True,
    ) -> AsyncIterator[Any]:
        await self._enter("attach_job")
        job = self._job(sandbox_id, job_id)

        async def feed() -> None:
            assert stdin is not None
            async for data in stdin:
                job.hear(data)
            if job.info.running:
                job.say(b"end of input\n")

        self.attached += 1
        feeding = asyncio.create_task(feed()) if stdin is not None else None
        try:
            yield FakeLink(job, min(after or 0, len(job.output)))
        finally:
            self.attached -= 1
            if feeding is not None:
                feeding.cancel()
                await asyncio.wait([feeding])

    async def resize_job(self, sandbox_id: str, job_id: str, rows: int, columns: int) -> None:
        job = self._job(sandbox_id, job_id)
        job.sizes.append((rows, columns))
        job.info = dataclasses.replace(job.info, rows=rows, columns=columns)

    async def signal_job(self, sandbox_id: str, job_id: str, number: int) -> None:
        self._job(sandbox_id, job_id).signals.append(number)

    async def end_job(self, sandbox_id: str, job_id: str) -> None:
        self._job(sandbox_id, job_id).end(143, 15)

    @asynccontextmanager
    async def connect_port(self, sandbox_id: str, port: int, stdin: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        await self._enter("connect_port")
        self._sandbox(sandbox_id, running=True)
        if port in self.guest_ports:  # a real server on this host stands for the guest's
            reader, writer = await asyncio.open_connection("127.0.0.1", self.guest_ports[port])
            self.dialled += 1
            try:
                async with DialledPort(reader, writer, stdin) as link:
                    yield link
            finally:
                self.dialled -= 1
            return
        if port != 8080:
            raise errors.NotFoundError(f"nothing answers on port {port} in the desktop")
        yield FakePort(stdin)
