"""command.run, command.signal: programs with streamed input and output."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.protocol import STREAM_ERR, STREAM_OUT
from guest_image.agent.pump import OutputPump, feed_input
from guest_image.agent.registry import boolean, command_line, integer, mapping, op, string
from guest_image.agent.spawn import Child, spawn

if TYPE_CHECKING:
    from guest_image.agent.call import Call


@op(
    "command.run",
    command=command_line(),
    user=string("user"),
    cwd=string(None),
    env=mapping(None),
    stdin=boolean(False),
    timeout_ms=integer(None, 0),
)
async def command_run(
    call: Call,
    *,
    command: str | list[str],
    user: str,
    cwd: str | None,
    env: dict[str, Any] | None,
    stdin: bool,
    timeout_ms: int | None,
) -> dict[str, Any]:
    """Run a shell line (bash) or an argument vector: {exit_code, signal, timed_out}.

    Time out, cancellation and the request's own deadline end the whole process group.
    """
    argv = ["/bin/bash", "-c", command] if isinstance(command, str) else command
    extra = check_environment(env)
    account = call.agent.accounts.get(user)
    environment = call.agent.accounts.environment(account) | extra
    with ExitStack() as theirs:
        given, stdin_in = _pipe(theirs, 0) if stdin else (_null(theirs), -1)
        stdout, out = _pipe(theirs, 1)
        stderr, err = _pipe(theirs, 1)
        try:
            child = await spawn(
                argv,
                account=account,
                env=environment,
                cwd=cwd or account.home,
                files=(given, out, err),
                procs_file=call.agent.cgroups.procs_file(),
            )
        except BaseException:
            for fd in (stdin_in, stdout, stderr):
                if fd >= 0:
                    os.close(fd)
            raise
    call.agent.children[call.id] = child
    try:
        return await _attend(call, child, (stdin_in, stdout, stderr), timeout_ms)
    finally:
        call.agent.children.pop(call.id, None)


def check_environment(env: dict[str, Any] | None) -> dict[str, str]:
    """The extra environment, checked. OpError "invalid"."""
    for key, value in (env or {}).items():
        if not key or "=" in key or not isinstance(value, str) or "\0" in key + value:
            raise OpError("invalid", f"environment entry {key!r:.80}={value!r:.80}")
    return dict(env or {})


def _pipe(theirs: ExitStack, end: int) -> tuple[int, int]:
    """(read, write) of a pipe whose `end` is the program's, closed here once it has it."""
    pair = os.pipe2(os.O_CLOEXEC)
    theirs.callback(os.close, pair[end])
    return pair


def _null(theirs: ExitStack) -> int:
    fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    theirs.callback(os.close, fd)
    return fd


async def _attend(call: Call, child: Child, pipes: tuple[int, int, int], timeout_ms: int | None) -> dict[str, Any]:
    """Move bytes until the program has ended; end it when its time is over or nobody wants it."""
    grace_s = call.agent.config.drain_grace_s
    stdin_in, stdout, stderr = pipes
    pumps = [
        OutputPump(stdout, call.out(STREAM_OUT), grace_s),
        OutputPump(stderr, call.out(STREAM_ERR), grace_s),
    ]
    timed_out = False
    try:
        async with asyncio.TaskGroup() as tasks:
            for pump in pumps:
                tasks.create_task(pump.run())
            feeding = tasks.create_task(feed_input(stdin_in, call.incoming)) if stdin_in >= 0 else None
            if not await child.wait(None if timeout_ms is None else timeout_ms / 1000):
                timed_out = True
                await child.terminate(call.agent.config.term_grace_s)
            for pump in pumps:
                with suppress(OSError):
                    pump.program_ended()
            if feeding is not None:
                feeding.cancel()
    except asyncio.CancelledError:
        await child.terminate(call.agent.config.term_grace_s)
        raise OpError("cancelled", "the command was ended", detail=_ended(child, timed_out)) from None
    except BaseExceptionGroup as group:
        await child.terminate(call.agent.config.term_grace_s)
        raise OpError("failed", f"the command was ended, its output cannot be moved: {group.exceptions[0]}") from group
    return _ended(child, timed_out)


def _ended(child: Child, timed_out: bool) -> dict[str, Any]:
    if not child.exited.done():
        raise OpError("failed", f"process {child.pid} does not end, even when killed")
    code = child.reap()
    if code < 0:
        return {"exit_code": 128 - code, "signal": -code, "timed_out": timed_out}
    return {"exit_code": code, "signal": None, "timed_out": timed_out}


@op("command.signal", request=integer(), signal=integer(minimum=1, maximum=64))
async def command_signal(call: Call, *, request: int, signal: int) -> dict[str, Any]:
    """Send a signal to the process group of a running command."""
    child = call.agent.children.get(request)
    if child is None:
        raise OpError("not-found", f"no command runs as request {request}")
    child.kill_group(signal)
    return {}
