"""The agent's side of the reader's process: starts it, asks one thing at a time, and ends it when it is overdue.

What comes from it is checked like what comes from any program of the user.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.protocol import ProtocolError, load_object
from guest_image.agent.spawn import Child, settle, spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from guest_image.agent.server import Agent

MAX_ANSWER_BYTES = 960 << 10
_GRACE_S = 2.0
"""How long the reader may take, beyond the time it was given, to say what it has."""
_START_S = 20.0
"""… and when it has to be started first, which takes seconds in an emulated machine."""
_READ_BYTES = 1 << 16
_SILENT = "the accessibility reader said nothing"


class Reader:
    """The accessibility reader of one agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._turn = asyncio.Lock()
        self._process: _Process | None = None

    async def ask(self, wish: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """What the reader answers. OpError: its own; "busy" while others' reads take too long; "deadline"."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s + _GRACE_S
        try:
            async with asyncio.timeout_at(until):
                await self._turn.acquire()
        except TimeoutError:
            hint = "reads are done one after another; ask for less, or later"
            raise OpError(
                "busy", f"the accessibility tree is being read for others for {timeout_s:.1f} s", hint=hint
            ) from None
        try:
            return await self._ask(wish, max(0.5, until - _GRACE_S - loop.time()))
        except _Refused:
            raise
        except BaseException:
            self._end()
            raise
        finally:
            self._turn.release()

    async def _ask(self, wish: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        process = self._process
        if process is None or process.child.exited.done():
            self._end()
            process = self._process = await _start(self._agent)
            await _in_time(process.line(), _START_S, "the accessibility reader did not start", "ask again")
        line = json.dumps({**wish, "timeout_ms": int(timeout_s * 1000)}).encode() + b"\n"
        hint = "a regular expression may have been too slow, or the machine is very busy"
        said = await _in_time(process.exchange(line), timeout_s + _GRACE_S, _SILENT, hint)
        try:
            answer = load_object(said)
        except ProtocolError as error:
            raise OpError("failed", f"the accessibility reader's answer makes no sense: {error}") from error
        refused, result = answer.get("error"), answer.get("ok")
        if isinstance(refused, dict):
            raise _Refused(str(refused.get("code")), str(refused.get("message")), hint=str(refused.get("hint") or ""))
        if not isinstance(result, dict):
            raise OpError("failed", "the accessibility reader's answer makes no sense")
        return result

    async def aclose(self) -> None:
        """End the reader with the agent."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            if await process.child.wait(_GRACE_S):
                process.child.reap()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            self._agent.background(process.child.reap_later(), f"reap {process.child.pid}")


class _Refused(OpError):
    """The reader itself said no; it is well."""


class _Process:
    """A running reader: a line in, a line out."""

    def __init__(self, child: Child, into: int, out: int) -> None:
        self.child = child
        self._into = into
        self._out = out
        self._buffer = bytearray()
        os.set_blocking(into, False)
        os.set_blocking(out, False)

    async def exchange(self, line: bytes) -> bytes:
        """Send a line and wait for one. OpError if it ends instead, or says too much."""
        try:
            while line:
                try:
                    line = line[os.write(self._into, line) :]
                except BlockingIOError:
                    await _ready(self._into, writing=True)
        except BrokenPipeError:
            raise _ended() from None
        return await self.line()

    async def line(self) -> bytes:
        """Wait for a line."""
        while b"\n" not in self._buffer:
            try:
                piece = os.read(self._out, _READ_BYTES)
            except BlockingIOError:
                await _ready(self._out)
                continue
            if not piece:
                raise _ended()
            self._buffer += piece
            if len(self._buffer) > MAX_ANSWER_BYTES:
                raise OpError(
                    "too-large", f"the tree is more than {MAX_ANSWER_BYTES} bytes", hint="ask for fewer nodes"
                )
        said, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        return said

    def kill(self) -> None:
        """Kill it; who calls reaps it."""
        self.child.kill_group(signal.SIGKILL)
        for fd in (self._into, self._out):
            with suppress(OSError):
                os.close(fd)


def _ended() -> OpError:
    return OpError("failed", "the accessibility reader ended", hint="ask again: another one is started")


async def _in_time(waiting: Awaitable[bytes], timeout_s: float, what: str, hint: str) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await waiting
    except TimeoutError:
        raise OpError("deadline", f"{what} in {timeout_s:.1f} s", hint=hint) from None


async def _ready(fd: int, *, writing: bool = False) -> None:
    loop = asyncio.get_running_loop()
    news: asyncio.Future[None] = loop.create_future()
    (loop.add_writer if writing else loop.add_reader)(fd, settle, news)
    try:
        await news
    finally:
        (loop.remove_writer if writing else loop.remove_reader)(fd)


async def _start(agent: Agent) -> _Process:
    """A new reader, as the desktop's user and among the user's programs."""
    account = agent.accounts.get(agent.config.user)
    environment = agent.accounts.environment(account)
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    stdin, into = os.pipe2(os.O_CLOEXEC)
    out, stdout = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        child = await spawn(
            [sys.executable, "-P", "-S", "-m", "guest_image.agent.a11y.worker"],
            account=account,
            env=environment,
            cwd="/",
            files=(stdin, stdout, null),
            procs_file=agent.cgroups.procs_file(),
        )
    except BaseException:
        os.close(into)
        os.close(out)
        raise
    finally:
        for fd in (stdin, stdout, null):
            os.close(fd)
    return _Process(child, into, out)
