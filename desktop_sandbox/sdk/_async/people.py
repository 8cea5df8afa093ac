"""People at a desktop: links for them, who drives, the clipboard they share, and recordings for later."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Literal, overload

from desktop_sandbox import errors
from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk.people import (
    ControlState,
    RecordingInfo,
    StreamToken,
    parse_control,
    parse_recording,
    parse_token,
)
from desktop_sandbox.sdk.requests import segment, waiting

if TYPE_CHECKING:
    from desktop_sandbox.sdk._async.connection import AsyncConnection

POLL_S = 0.25
STOP_TIMEOUT_S = 60.0
PICTURE_TIMEOUT_S = 90.0
_SET_TIMEOUT_S = 120.0


class AsyncStream:
    """Links to watch a desktop live, and to drive it. Nothing has to be started: who opens one sees the screen."""

    def __init__(self, connection: AsyncConnection, path: str) -> None:
        self._connection = connection
        self._path = path

    async def get_url(
        self, *, view_only: bool = False, ttl: float = 3600, name: str = "", takes_control: bool = False
    ) -> str:
        """A page that shows this desktop to whoever has the address, for `ttl` seconds.

        `name` is shown to the others. Who opens it takes control by a button, or with `takes_control` by the first key
        or click while the agent does nothing; with `view_only` never.
        """
        token = await self.create_token(view_only=view_only, ttl=ttl, name=name, takes_control=takes_control)
        return token.url

    async def create_token(
        self, *, view_only: bool = False, ttl: float = 3600, name: str = "", takes_control: bool = False
    ) -> StreamToken:
        """As `get_url`, with the token itself and the id to revoke it by."""
        body = {
            "rights": "view" if view_only else "control",
            "ttl": ttl,
            "name": name,
            "takes_control": takes_control,
        }
        return parse_token((await self._connection.request("POST", f"{self._path}/tokens", body=body)).json())

    async def revoke(self, token: StreamToken | str) -> None:
        """Let a link be good for nothing; who watches with it is cut off."""
        token_id = token if isinstance(token, str) else token.id
        await self._connection.request("DELETE", f"{self._path}/tokens/{segment(token_id)}")


class AsyncControl:
    """Who drives: the agent, that is this program, or a person. While a person does, actions are refused or wait."""

    def __init__(self, connection: AsyncConnection, path: str) -> None:
        self._connection = connection
        self._path = f"{path}/control"

    async def get(self) -> ControlState:
        """Who drives now, and who wants to."""
        return parse_control((await self._connection.request("GET", self._path)).json())

    async def take(self) -> ControlState:
        """Take the control back from a person."""
        return await self._ask("take")

    async def give(self) -> ControlState:
        """Give the control to the person who asked; if nobody did, to the first who takes it.

        The next action takes it again from nobody, but not from a person.
        """
        return await self._ask("give")

    async def release(self) -> ControlState:
        """Let anyone have the control."""
        return await self._ask("release")

    async def wait(self, timeout: float = 600) -> ControlState:
        """Wait until no person drives any more. DeadlineError after `timeout` seconds."""
        left = timeout
        while (state := await self.get()).holder == "viewer":
            if left <= 0:
                raise errors.DeadlineError(
                    f"{state.name} still drives after {timeout:g} s", hint="take() takes it back"
                )
            await runtime.async_sleep(min(POLL_S, max(left, 0.01)))
            left -= POLL_S
        return state

    async def _ask(self, want: str) -> ControlState:
        return parse_control((await self._connection.request("POST", self._path, body={"want": want})).json())


class AsyncClipboard:
    """Text in the desktop's clipboard, or a picture. While a person drives, who may be pasting, it is not changed:
    that waits `wait_for_control` seconds, the sandbox's attribute, then raises ControlHeldError."""

    def __init__(self, connection: AsyncConnection, path: str, patience_s: Callable[[], float]) -> None:
        self._connection = connection
        self._path = f"{path}/clipboard"
        self._patience_s = patience_s

    async def get(self) -> str:
        """The text, empty if the clipboard holds none. DeadlineError if its owner does not hand it over."""
        text: str = (await self._connection.request("GET", self._path)).json()["text"]
        return text

    async def set(self, text: str) -> None:
        """Put text there, at most 1 MiB, for Ctrl+V and the middle button."""
        patience_s = self._patience_s()
        wait = _SET_TIMEOUT_S + patience_s
        await self._connection.request("PUT", self._path, body=waiting({"text": text}, patience_s), timeout=wait)

    async def get_picture(self) -> bytes | None:
        """The picture in the clipboard as PNG, None if it holds none. A program in the desktop wrote it."""
        try:
            answer = await self._connection.request("GET", f"{self._path}/picture", timeout=PICTURE_TIMEOUT_S)
        except errors.NotFoundError as error:
            if "no picture" in error.message:
                return None
            raise
        return answer.content

    async def set_picture(self, picture: bytes) -> None:
        """Put a PNG there, at most 16 MiB, for programs to paste."""
        patience_s = self._patience_s()
        await self._connection.request(
            "PUT",
            f"{self._path}/picture",
            params={"wait_for_control": f"{patience_s:g}"},
            content=picture,
            media_type="image/png",
            timeout=PICTURE_TIMEOUT_S + patience_s,
        )


class AsyncRecordings:
    """Recordings of a desktop as MP4. They belong to the sandbox, and go when it is killed."""

    def __init__(self, connection: AsyncConnection, path: str) -> None:
        self._connection = connection
        self._path = path

    async def start(self, *, cursor: bool = True) -> RecordingInfo:
        """Begin to record, with the pointer or without. ConflictError if there is one going on."""
        body = {"cursor": cursor}
        return parse_recording((await self._connection.request("POST", f"{self._path}/recording", body=body)).json())

    async def stop(self) -> RecordingInfo:
        """End the recording; its file is whole then."""
        answer = await self._connection.request("DELETE", f"{self._path}/recording", timeout=STOP_TIMEOUT_S)
        return parse_recording(answer.json())

    async def list(self) -> builtins.list[RecordingInfo]:
        """All recordings, newest first."""
        answer = await self._connection.request("GET", f"{self._path}/recordings")
        return [parse_recording(found) for found in answer.json()["recordings"]]

    @overload
    async def read(self, recording: RecordingInfo | str, format: Literal["bytes"] = "bytes") -> bytes: ...

    @overload
    async def read(self, recording: RecordingInfo | str, format: Literal["stream"]) -> AsyncIterator[bytes]: ...

    async def read(
        self, recording: RecordingInfo | str, format: Literal["bytes", "stream"] = "bytes"
    ) -> bytes | AsyncIterator[bytes]:
        """A recording's MP4, whole or in chunks."""
        name = recording if isinstance(recording, str) else recording.id
        path = f"{self._path}/recordings/{segment(name)}"
        if format == "stream":
            return self._chunks(path)
        return (await self._connection.request("GET", path, timeout=None)).content

    async def remove(self, recording: RecordingInfo | str) -> None:
        """Delete a recording that has ended."""
        name = recording if isinstance(recording, str) else recording.id
        await self._connection.request("DELETE", f"{self._path}/recordings/{segment(name)}")

    async def _chunks(self, path: str) -> AsyncIterator[bytes]:
        async with self._connection.stream("GET", path) as response:
            async for chunk in response.aiter_bytes():
                yield chunk
