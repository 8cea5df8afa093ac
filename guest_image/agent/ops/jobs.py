"""job.start, .list, .attach, .resize, .signal, .end: commands and terminals that outlive their request."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.jobs import Job, Reader
from guest_image.agent.ops.commands import check_environment
from guest_image.agent.protocol import STREAM_OUT
from guest_image.agent.registry import boolean, command_line, integer, mapping, op, string
from guest_image.agent.spawn import spawn

if TYPE_CHECKING:
    from guest_image.agent.accounts import Account
    from guest_image.agent.call import Call

MAX_ATTACHED = 96
_TTY_GROUP = 5
_MAX_NAME = 64


@op(
    "job.start",
    job=string(),
    command=command_line(None),
    user=string("user"),
    cwd=string(None),
    env=mapping(None),
    stdin=boolean(False),
    terminal=boolean(False),
    rows=integer(24, 1, 1000),
    columns=integer(80, 1, 1000),
    timeout_ms=integer(None, 1),
)
async def job_start(
    call: Call,
    *,
    job: str,
    command: str | list[str] | None,
    user: str,
    cwd: str | None,
    env: dict[str, Any] | None,
    stdin: bool,
    terminal: bool,
    rows: int,
    columns: int,
    timeout_ms: int | None,
) -> dict[str, Any]:
    """Start a shell line (bash), an argument vector, or by default the user's shell, under an id of the host's choice.

    What is told of it, as by job.list. An id that is known already starts nothing.
    """
    agent = call.agent
    known = agent.jobs.find(job)
    if known is not None:
        return known.describe()
    if not 0 < len(job) <= _MAX_NAME:
        raise OpError("invalid", f"a job's id has 1 to {_MAX_NAME} letters, not {len(job)}")
    agent.jobs.check_room()
    account = agent.accounts.get(user)
    argv = [account.shell, "-l"] if command is None else command
    argv = ["/bin/bash", "-c", argv] if isinstance(argv, str) else argv
    environment = agent.accounts.environment(account)
    if terminal:
        environment |= {"TERM": "xterm-256color"}
    environment |= check_environment(env)
    with ExitStack() as theirs, ExitStack() as ours:
        if terminal:
            master, files = _terminal(account, theirs, ours)
            given, outputs = master, [master]
        else:
            master, files, given, outputs = _pipes(theirs, ours, stdin=stdin)
        child = await spawn(
            argv,
            account=account,
            env=environment,
            cwd=cwd or account.home,
            files=files,
            procs_file=agent.cgroups.procs_file(),
            terminal=terminal,
        )
        ours.pop_all()
    made = Job(job, argv, user, child, terminal=master, stdin=given, outputs=outputs)
    if terminal:
        made.resize(rows, columns)
    agent.jobs.add(made)
    timeout_s = None if timeout_ms is None else timeout_ms / 1000
    config = agent.config
    work = made.run(timeout_s, term_grace_s=config.term_grace_s, drain_grace_s=config.drain_grace_s)
    agent.background(work, f"job {job}")
    return made.describe()


def _terminal(account: Account, theirs: ExitStack, ours: ExitStack) -> tuple[int, tuple[int, int, int]]:
    master, slave = os.openpty()
    ours.callback(os.close, master)
    theirs.callback(os.close, slave)
    with suppress(PermissionError):
        os.fchown(slave, account.uid, _TTY_GROUP)
        os.fchmod(slave, 0o620)
    return master, (slave, slave, slave)


def _pipes(theirs: ExitStack, ours: ExitStack, *, stdin: bool) -> tuple[int, tuple[int, int, int], int, list[int]]:
    def pipe(end: int) -> tuple[int, int]:
        pair = os.pipe2(os.O_CLOEXEC)
        theirs.callback(os.close, pair[end])
        ours.callback(os.close, pair[1 - end])
        return pair

    out, err = pipe(1), pipe(1)
    if stdin:
        given, mine = pipe(0)
    else:
        given, mine = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), -1
        theirs.callback(os.close, given)
    return -1, (given, out[1], err[1]), mine, [out[0], err[0]]


@op("job.list")
async def job_list(call: Call) -> dict[str, Any]:
    """{"jobs"}: those that run, and those that ended not long ago."""
    return {"jobs": [job.describe() for job in call.agent.jobs.all()]}


@op("job.attach", job=string(), after=integer(None, 0), stdin=boolean(False))
async def job_attach(call: Call, *, job: str, after: int | None, stdin: bool) -> dict[str, Any]:
    """Stream a job's output from the offset `after` on (null: all that is kept), stream 0 to it: what is told of it.

    The first 8 bytes of stream 1 are the offset (big endian) at which the output then begins. Ends with the job;
    a host that goes away ends nothing.
    """
    found = call.agent.jobs.get(job)
    if sum(len(each.readers) for each in call.agent.jobs.all()) >= MAX_ATTACHED:
        raise OpError("busy", f"{MAX_ATTACHED} connections to terminals and commands are open", hint="close some")
    task = asyncio.current_task()
    reader = Reader(found.kept.nearest(after), lambda: task.cancel() if task is not None else None)
    found.readers.add(reader)
    try:
        async with asyncio.TaskGroup() as tasks:
            feeding = tasks.create_task(_feed(call, found)) if stdin else None
            await call.out(STREAM_OUT).write(reader.offset.to_bytes(8, "big"))
            while (piece := await found.next_piece(reader, (await call.out(STREAM_OUT).room()))) is not None:
                await call.out(piece[0]).write(piece[1])
                found.took(reader, len(piece[1]))
            if feeding is not None:
                feeding.cancel()
    except asyncio.CancelledError:
        if reader.is_cut and call.cause is None:
            raise OpError("busy", "the output was not taken for too long", hint="attach again") from None
        raise
    finally:
        found.leave(reader)
    return found.describe()


async def _feed(call: Call, job: Job) -> None:
    while data := await call.incoming.read():
        await job.write(data)
    await job.end_input()


@op("job.resize", job=string(), rows=integer(minimum=1, maximum=1000), columns=integer(minimum=1, maximum=1000))
async def job_resize(call: Call, *, job: str, rows: int, columns: int) -> dict[str, Any]:
    """Change the size of a job's terminal, in characters."""
    call.agent.jobs.get(job).resize(rows, columns)
    return {}


@op("job.signal", job=string(), signal=integer(minimum=1, maximum=64))
async def job_signal(call: Call, *, job: str, signal: int) -> dict[str, Any]:
    """Send a signal to a job's process group; in a terminal to the group in the foreground."""
    call.agent.jobs.get(job).send_signal(signal)
    return {}


@op("job.end", job=string())
async def job_end(call: Call, *, job: str) -> dict[str, Any]:
    """End a job and all of its session: a terminal is hung up, then SIGTERM, soon SIGKILL: what is told of it."""
    found = call.agent.jobs.get(job)
    if not found.over:
        await found.end(call.agent.config.term_grace_s)
    return found.describe()
