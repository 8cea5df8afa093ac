"""Commands in a desktop."""

from __future__ import annotations

import base64
import builtins
import codecs
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from desktop_sandbox import errors
from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk._async.background import AsyncBackgroundCommand
from desktop_sandbox.sdk.models import CommandExit, CommandOutput, CommandResult
from desktop_sandbox.sdk.reach import JobInfo, parse_job
from desktop_sandbox.sdk.requests import command_body, segment

if TYPE_CHECKING:
    from desktop_sandbox.sdk._async.connection import AsyncConnection

Callback = Callable[[str], Any]


class AsyncCommands:
    """Runs commands in one sandbox."""

    def __init__(self, connection: AsyncConnection, path: str) -> None:
        self._connection = connection
        self._path = f"{path}/commands"
        self._jobs = f"{path}/jobs"

    async def run(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = 60,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str = "user",
        stdin: str | bytes | None = None,
        on_stdout: Callback | None = None,
        on_stderr: Callback | None = None,
        check: bool = True,
    ) -> CommandResult:
        """Run a line of bash, or a program with arguments, and wait for its end.

        `on_stdout` and `on_stderr` get the output as it comes. With `check`, another exit code than 0 raises
        CommandFailedError, and a timeout DeadlineError; the `evidence` of both has stdout, stderr and exit_code.
        """
        if on_stdout is None and on_stderr is None:
            body = command_body(command, timeout=timeout, cwd=cwd, env=env, user=user)
            if stdin is not None:
                data = stdin.encode() if isinstance(stdin, str) else stdin
                body |= {"stdin": base64.b64encode(data).decode()}
            body |= {"encoding": "base64"}
            wait = None if timeout is None else timeout + 30
            answer = (await self._connection.request("POST", self._path, body=body, timeout=wait)).json()
            texts = {n: base64.b64decode(answer[n]).decode("utf-8", "replace") for n in ("stdout", "stderr")}
            result = CommandResult(**{**answer, **texts})
            return _checked(command, result, timeout) if check else result
        parts: dict[str, list[str]] = {"stdout": [], "stderr": []}
        decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in parts}
        callbacks = {"stdout": on_stdout, "stderr": on_stderr}
        end = CommandExit(-1, None, False)
        running = self.stream(command, timeout=timeout, cwd=cwd, env=env, user=user, stdin=stdin)
        async for event in running:
            if isinstance(event, CommandExit):
                end = event
                continue
            text = decoders[event.stream].decode(event.data)
            await _tell(callbacks[event.stream], text)
            parts[event.stream].append(text)
        for name, decoder in decoders.items():
            text = decoder.decode(b"", final=True)
            await _tell(callbacks[name], text)
            parts[name].append(text)
        result = CommandResult(
            "".join(parts["stdout"]), "".join(parts["stderr"]), end.exit_code, end.signal, end.timed_out
        )
        return _checked(command, result, timeout) if check else result

    async def stream(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = 60,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str = "user",
        stdin: str | bytes | None = None,
    ) -> AsyncIterator[CommandOutput | CommandExit]:
        """Run a command and yield its output as it comes, CommandExit last. Closing the iterator ends it."""
        body = command_body(command, timeout=timeout, cwd=cwd, env=env, user=user)
        body |= {"stream": True, "encoding": "base64"}
        if stdin is not None:
            data = stdin.encode() if isinstance(stdin, str) else stdin
            body |= {"stdin": base64.b64encode(data).decode()}
        ended = False
        async for line in self._connection.lines("POST", self._path, body=body):
            if line.get("stream"):
                yield CommandOutput(line["stream"], base64.b64decode(line["data"]))
            else:
                ended = True
                yield CommandExit(line["exit_code"], line["signal"], line["timed_out"])
        if not ended:
            raise errors.ServerError(
                "the command's output broke off before its end was told", hint="was the server stopped?"
            )

    async def start(
        self,
        command: str | Sequence[str],
        *,
        stdin: bool = False,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str = "user",
    ) -> AsyncBackgroundCommand:
        """Start a command in the background and connect to it. It goes on when you let go, or the connection breaks.

        `stdin=True` gives it input, which you send.
        """
        body = command_body(command, timeout=timeout, cwd=cwd, env=env, user=user) | {"stdin": stdin}
        info = parse_job((await self._connection.request("POST", self._jobs, body=body)).json())
        return await AsyncBackgroundCommand(self._connection, f"{self._jobs}/{segment(info.id)}", info, None).attach()

    async def list(self) -> builtins.list[JobInfo]:
        """Background commands that run, and those that ended in the last minutes, the oldest first."""
        return [parse_job(each) for each in (await self._connection.request("GET", self._jobs)).json()["jobs"]]

    async def connect(self, command_id: str, *, after: int | None = None) -> AsyncBackgroundCommand:
        """Connect to a background command: its output comes from the byte `after` on (default: all that is kept).

        NotFoundError if there is none, or it ended long ago.
        """
        path = f"{self._jobs}/{segment(command_id)}"
        info = parse_job((await self._connection.request("GET", path)).json())
        return await AsyncBackgroundCommand(self._connection, path, info, after).attach()

    async def send_signal(self, command_id: str, number: int) -> None:
        """Send a signal to a background command and its process group."""
        path = f"{self._jobs}/{segment(command_id)}/signal"
        await self._connection.request("POST", path, body={"signal": number})

    async def kill(self, command_id: str) -> None:
        """End a background command and all of its session."""
        await self._connection.request("DELETE", f"{self._jobs}/{segment(command_id)}")


async def _tell(callback: Callback | None, text: str) -> None:
    if callback is not None and text:
        await runtime.async_tell(callback, text)


def _checked(command: str | Sequence[str], result: CommandResult, timeout: float | None) -> CommandResult:
    shown = command if isinstance(command, str) else " ".join(command)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}…"
    seen = {"stdout": result.stdout, "stderr": result.stderr, "exit_code": result.exit_code}
    if result.timed_out:
        raise errors.DeadlineError(
            f"{shown!r} had not ended after {timeout} s, and was killed", hint="give a longer timeout", **seen
        )
    if result.exit_code != 0:
        last = result.stderr.strip().rpartition("\n")[2][:200]
        raise errors.CommandFailedError(
            f"{shown!r} ended with exit code {result.exit_code}" + (f": {last}" if last else ""),
            hint="check=False returns the result whatever the exit code",
            **seen,
        )
    return result
