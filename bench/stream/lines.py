"""JSON objects, one a line, between the bench and its child processes (load, relay)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

READ_LIMIT = 8 << 20


class ChildError(RuntimeError):
    """A child process of the bench ended, or did not answer in time."""


class Child:
    """A child that answers each JSON line with one."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int:
        """Of the child process."""
        return self._process.pid

    async def ready(self, timeout_s: float = 30.0) -> None:
        """Wait for its first line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(timeout_s):
            if not await self._process.stdout.readline():
                raise ChildError(f"{self.name} did not start; its last words are above")

    async def ask(self, timeout_s: float = 10.0, **request: Any) -> dict[str, Any]:
        """Send a request and return its answer. ChildError when none comes within `timeout_s`, or it is an error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            try:
                async with asyncio.timeout(timeout_s):
                    line = await self._process.stdout.readline()
            except TimeoutError:
                raise ChildError(f"{self.name} did not answer {request} within {timeout_s} s") from None
        if not line:
            raise ChildError(f"{self.name} ended; its last words are above")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ChildError(f"{self.name}: {answer['error']}")
        return answer


@contextlib.asynccontextmanager
async def child(name: str, module: str, *arguments: str, env: dict[str, str] | None = None) -> AsyncIterator[Child]:
    """Run `python -m module`, and end it at the end by closing its input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=READ_LIMIT,
    )
    try:
        yield Child(name, process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
