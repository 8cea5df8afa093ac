"""A connection to a terminal or background command, which is made again when it breaks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from desktop_sandbox import errors
from desktop_sandbox.problem import from_problem
from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk.reach import JobInfo, parse_job
from desktop_sandbox.sdk.requests import pauses

if TYPE_CHECKING:
    from types import TracebackType

    from desktop_sandbox.sdk._async.connection import AsyncConnection

_TRIES = 3


class AsyncAttached:
    """Common to terminals and background commands. Used with `async with`, it is let go at the block's end: what runs
    goes on.

    A connection that breaks is made again, for `reconnect` seconds; of the last 256 KiB of output nothing is lost, and
    nothing comes twice. One task reads, others may write.
    """

    def __init__(self, connection: AsyncConnection, path: str, info: JobInfo, after: int | None) -> None:
        """Not to be called: use `create`, `start` or `connect`."""
        self._connection = connection
        self._path = path
        self._socket: Any = None
        self._lock = runtime.async_lock()
        self._ended = False
        self._closed = False
        self._pauses: list[float] = []
        self.info = info
        self.offset = after
        """Up to which byte of its output everything was read; `connect` takes it as `after`."""
        self.reconnect = 30.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {' '.join(self.info.command)[:60]!r}>"

    @property
    def id(self) -> str:
        """What to connect to it again by."""
        return self.info.id

    async def attach(self) -> Self:
        """Connect, if it is not connected. Done by whatever gave you this."""
        await self._again(None)
        return self

    async def _receive(self) -> bytes | None:
        """The next binary message, None at the end."""
        while not self._ended and not self._closed:
            socket = self._socket
            message = await runtime.async_receive(socket)
            if isinstance(message, bytes):
                return message
            if message is None:
                await self._again(socket)
            else:
                await self._heard(json.loads(message))
        return None

    async def _heard(self, said: dict[str, Any]) -> None:
        match said.get("t"):
            case "attached":
                self.offset = int(said["offset"])
                self._pauses = []
            case "ended":
                self._ended = True
                self.info = parse_job(said["job"])
            case "problem":
                error = from_problem(said["problem"], said["problem"].get("status", 500))
                # the desktop is rolled back, or its agent starts anew: it may be there again in a moment
                if not isinstance(error, errors.ChannelError) or len(self._pauses) == 1:
                    raise error
                self._pauses = self._pauses[1:] or pauses(self.reconnect)
                await runtime.async_sleep(self._pauses[0])

    async def _again(self, broken: Any) -> None:
        """Connect, unless somebody else has meanwhile."""
        async with self._lock:
            if self._socket is not broken or self._closed:
                return
            query = f"?again={0 if broken is None else 1}" + ("" if self.offset is None else f"&after={self.offset}")
            for pause in [*pauses(0.0 if broken is None else self.reconnect), None]:
                try:
                    self._socket = await self._connection.socket(f"{self._path}/connect{query}")
                    return
                except errors.ServerError:
                    if pause is None or self._closed:
                        raise
                    await runtime.async_sleep(pause)

    async def _send(self, data: bytes | str) -> None:
        """Send once. ConflictError if it has ended."""
        for _ in range(_TRIES):
            if self._ended or self._closed:
                break
            socket = self._socket
            if await runtime.async_send(socket, data):
                return
            await self._again(socket)
        raise errors.ConflictError(f"{self.id} has ended, or was let go", hint="get_info() tells what became of it")

    async def send_signal(self, number: int) -> None:
        """Send a signal to its process group; in a terminal to the group in the foreground."""
        await self._send(json.dumps({"t": "signal", "signal": number}))

    async def kill(self) -> None:
        """End it, and all of its session."""
        await self._connection.request("DELETE", self._path)

    async def get_info(self) -> JobInfo:
        """What the server knows of it now."""
        self.info = parse_job((await self._connection.request("GET", self._path)).json())
        return self.info

    async def aclose(self) -> None:
        """Let go of it; it runs on."""
        self._closed = True
        if self._socket is not None:
            await self._socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
