"""Terminals in a desktop, and connections to its ports."""

from __future__ import annotations

import builtins
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from desktop_sandbox import errors
from desktop_sandbox.problem import from_problem
from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk._async.attached import AsyncAttached
from desktop_sandbox.sdk.reach import JobInfo, PortAddress, parse_address, parse_job
from desktop_sandbox.sdk.requests import segment

if TYPE_CHECKING:
    from types import TracebackType

    from desktop_sandbox.sdk._async.connection import AsyncConnection


class AsyncTerminal(AsyncAttached):
    """A terminal. Iterating gives what it shows, as bytes (escape sequences and all), until it ends."""

    async def read(self) -> bytes:
        """What it shows next, at least one byte; b"" once it has ended."""
        data = await self._receive() or b""
        self.offset = (self.offset or 0) + len(data)
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data

    async def write(self, data: str | bytes) -> None:
        r"""Type. Enter is \r; \x03 is Ctrl-C, \x04 Ctrl-D."""
        await self._send(data.encode() if isinstance(data, str) else data)

    async def resize(self, rows: int, columns: int) -> None:
        """Change its size, in characters (1 to 1000)."""
        await self._send(json.dumps({"t": "resize", "rows": rows, "columns": columns}))

    async def wait(self) -> JobInfo:
        """Read, and throw away, until it ends: how it did."""
        while await self.read():
            pass
        return self.info


class AsyncTerminals:
    """Terminals of one sandbox. They go on when nobody is connected, until they end or the desktop does."""

    def __init__(self, connection: AsyncConnection, path: str) -> None:
        self._connection = connection
        self._path = f"{path}/terminals"

    async def create(
        self,
        command: str | Sequence[str] | None = None,
        *,
        user: str = "user",
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        rows: int = 24,
        columns: int = 80,
    ) -> AsyncTerminal:
        """Start a terminal with the user's login shell, or another command, and connect to it."""
        body: dict[str, Any] = {"user": user, "cwd": cwd, "env": dict(env or {}), "rows": rows, "columns": columns}
        if command is not None:
            body["command"] = command if isinstance(command, str) else list(command)
        answer = await self._connection.request("POST", self._path, body=body)
        info = parse_job(answer.json())
        return await AsyncTerminal(self._connection, f"{self._path}/{segment(info.id)}", info, None).attach()

    async def list(self) -> builtins.list[JobInfo]:
        """Terminals that run, and those that ended in the last minutes, the oldest first."""
        return [parse_job(each) for each in (await self._connection.request("GET", self._path)).json()["jobs"]]

    async def connect(self, terminal_id: str, *, after: int | None = None) -> AsyncTerminal:
        """Connect to a terminal: what it showed comes first, from the byte `after` on (default: all that is kept).

        NotFoundError if there is none, or it ended long ago.
        """
        path = f"{self._path}/{segment(terminal_id)}"
        info = parse_job((await self._connection.request("GET", path)).json())
        return await AsyncTerminal(self._connection, path, info, after).attach()

    async def kill(self, terminal_id: str) -> None:
        """End a terminal with all that runs in it."""
        await self._connection.request("DELETE", f"{self._path}/{segment(terminal_id)}")


class AsyncPortConnection:
    """A connection to a port of the desktop. Iterating gives what comes, until the other side has no more."""

    def __init__(self, socket: Any) -> None:
        """Not to be called: use `ports.connect`."""
        self._socket = socket
        self._over = False

    async def read(self) -> bytes:
        """What comes next, at least one byte; b"" at the end. ServerError if the connection breaks."""
        while not self._over:
            message = await runtime.async_receive(self._socket)
            if isinstance(message, bytes):
                return message
            if message is None:
                raise errors.ServerError(
                    "the connection into the desktop broke", hint="is the server, and it, running?"
                )
            said = json.loads(message)
            if said.get("t") == "problem":
                raise from_problem(said["problem"], said["problem"].get("status", 500))
            self._over = said.get("t") == "eof"
        return b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data

    async def write(self, data: bytes) -> None:
        """Send. ServerError if the connection broke."""
        if not await runtime.async_send(self._socket, data):
            raise errors.ServerError("the connection into the desktop broke", hint="connect again")

    async def end(self) -> None:
        """Say that nothing more is sent; what comes can still be read."""
        await runtime.async_send(self._socket, json.dumps({"t": "eof"}))

    async def aclose(self) -> None:
        """Close it."""
        await self._socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncPorts:
    """TCP ports of one sandbox, on which something in it listens."""

    def __init__(self, connection: AsyncConnection, path: str) -> None:
        self._connection = connection
        self._path = f"{path}/ports"

    async def get_host(self, port: int, *, public: bool = False, expires_in: float = 86_400) -> PortAddress:
        """An address at which what listens on a port of the desktop's localhost is reached by HTTP and WebSocket.

        It holds a token that expires after so many seconds (7 days at most), or opens to everybody (`public`, until
        this is called again without). Nothing has to listen there yet.
        """
        body = {"public": public, "expires_in": expires_in}
        answer = await self._connection.request("POST", f"{self._path}/{port}/address", body=body)
        return parse_address(answer.json())

    async def connect(self, port: int) -> AsyncPortConnection:
        """Connect to a port of the desktop's localhost; NotFoundError if nothing listens there."""
        socket = await self._connection.socket(f"{self._path}/{port}/connect")
        message = await runtime.async_receive(socket)
        said = json.loads(message) if isinstance(message, str) else {}
        if said.get("t") == "connected":
            return AsyncPortConnection(socket)
        await socket.close()
        if said.get("t") == "problem":
            raise from_problem(said["problem"], said["problem"].get("status", 500))
        raise errors.ServerError("the connection into the desktop broke", hint="is the server running?")
