"""Code that keeps its state, in contexts of a desktop."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from desktop_sandbox import errors
from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk.code import (
    CodeContext,
    CodeResult,
    Execution,
    parse_context,
    parse_execution,
    parse_result,
)
from desktop_sandbox.sdk.requests import segment

if TYPE_CHECKING:
    from desktop_sandbox.sdk._async.connection import AsyncConnection


class AsyncCode:
    """Runs code in one sandbox. A context's state is there after a checkpoint, in each fork, and after a pause."""

    def __init__(self, connection: AsyncConnection, path: str) -> None:
        self._connection = connection
        self._path = f"{path}/code"

    async def run(
        self,
        code: str,
        *,
        language: str = "python",
        context: CodeContext | str | None = None,
        timeout: float | None = 60,
        on_stdout: Callable[[str], Any] | None = None,
        on_stderr: Callable[[str], Any] | None = None,
        on_result: Callable[[CodeResult], Any] | None = None,
    ) -> Execution:
        """Run code, in a context or in the one that the desktop has for its language, and wait for its end.

        What the code raises is in the Execution, not raised here. Seconds of `timeout`: then it is interrupted, and
        where that does not help, the kernel starts anew. The callbacks get what it says as it comes.
        """
        body: dict[str, Any] = {"code": code, "language": language, "timeout": timeout}
        if context is not None:
            body["context"] = context if isinstance(context, str) else context.id
        if on_stdout is None and on_stderr is None and on_result is None:
            wait = None if timeout is None else timeout + 330  # a kernel may have to start first
            answer = await self._connection.request("POST", f"{self._path}/run", body=body, timeout=wait)
            return parse_execution(answer.json())
        gathered: dict[str, Any] = {"results": [], "stdout": "", "stderr": "", "error": None}
        callbacks = {"stdout": on_stdout, "stderr": on_stderr}
        async for line in self._connection.lines("POST", f"{self._path}/run", body=body | {"stream": True}):
            if "status" in line:
                return parse_execution({**gathered, **line})
            if "text" in line:
                gathered[line["stream"]] += line["text"]
                await _tell(callbacks[line["stream"]], line["text"])
            elif "result" in line:
                gathered["results"].append(line["result"])
                await _tell(on_result, parse_result(line["result"]))
            else:
                gathered["error"] = line["error"]
        raise errors.ServerError("what the code said broke off before its end", hint="was the server stopped?")

    async def create_context(
        self,
        language: str = "python",
        *,
        user: str = "user",
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CodeContext:
        """Start a context; it takes code once this returns. GuestError where the template has no such kernel."""
        body = {"language": language, "user": user, "cwd": cwd, "env": dict(env or {})}
        answer = await self._connection.request("POST", f"{self._path}/contexts", body=body, timeout=300)
        return parse_context(answer.json())

    async def contexts(self) -> builtins.list[CodeContext]:
        """Contexts that run, and those that ended in the last minutes, the oldest first."""
        answer = await self._connection.request("GET", f"{self._path}/contexts")
        return [parse_context(each) for each in answer.json()["contexts"]]

    async def interrupt(self, context: CodeContext | str) -> None:
        """Interrupt the code that runs in a context; its state stays."""
        await self._connection.request("POST", f"{self._place(context)}/interrupt")

    async def restart(self, context: CodeContext | str) -> None:
        """Start a context's kernel anew, without what was defined in it; what runs is ended."""
        await self._connection.request("POST", f"{self._place(context)}/restart", timeout=300)

    async def remove(self, context: CodeContext | str) -> None:
        """End a context."""
        await self._connection.request("DELETE", self._place(context))

    def _place(self, context: CodeContext | str) -> str:
        return f"{self._path}/contexts/{segment(context if isinstance(context, str) else context.id)}"


async def _tell(callback: Callable[[Any], Any] | None, value: Any) -> None:
    if callback is not None:
        await runtime.async_tell(callback, value)
