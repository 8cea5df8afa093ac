# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""People at a desktop: links for them, who drives, the clipboard they share, and recordings for later."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
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
    from desktop_sandbox.sdk._sync.connection import Connection

POLL_S = 0.25
STOP_TIMEOUT_S = 60.0
PICTURE_TIMEOUT_S = 90.0
_SET_TIMEOUT_S = 120.0


class Stream:
    """Links to watch a desktop live, and to drive it. Nothing has to be started: who opens one sees the screen."""

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._path = path

    def get_url(
        self, *, view_only: bool = False, ttl: float = 3600, name: str = "", takes_control: bool = False
    ) -> str:
        """A page that shows this desktop to whoever has the address, for `ttl` seconds.

        `name` is shown to the others. Who opens it takes control by a button, or with `takes_control` by the first key
        or click while the agent does nothing; with `view_only` never.
        """
        token = self.create_token(view_only=view_only, ttl=ttl, name=name, takes_control=takes_control)
        return token.url

    def create_token(
        self, *, view_only: bool = False, ttl: float = 3600, name: str = "", takes_control: bool = False
    ) -> StreamToken:
        """As `get_url`, with the token itself and the id to revoke it by."""
        body = {
            "rights": "view" if view_only else "control",
            "ttl": ttl,
            "name": name,
            "takes_control": takes_control,
        }
        return parse_token((self._connection.request("POST", f"{self._path}/tokens", body=body)).json())

    def revoke(self, token: StreamToken | str) -> None:
        """Let a link be good for nothing; who watches with it is cut off."""
        token_id = token if isinstance(token, str) else token.id
        self._connection.request("DELETE", f"{self._path}/tokens/{segment(token_id)}")


class Control:
    """Who drives: the agent, that is this program, or a person. While a person does, actions are refused or wait."""

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._path = f"{path}/control"

    def get(self) -> ControlState:
        """Who drives now, and who wants to."""
        return parse_control((self._connection.request("GET", self._path)).json())

    def take(self) -> ControlState:
        """Take the control back from a person."""
        return self._ask("take")

    def give(self) -> ControlState:
        """Give the control to the person who asked; if nobody did, to the first who takes it.

        The next action takes it again from nobody, but not from a person.
        """
        return self._ask("give")

    def release(self) -> ControlState:
        """Let anyone have the control."""
        return self._ask("release")

    def wait(self, timeout: float = 600) -> ControlState:
        """Wait until no person drives any more. DeadlineError after `timeout` seconds."""
        left = timeout
        while (state := self.get()).holder == "viewer":
            if left <= 0:
                raise errors.DeadlineError(
                    f"{state.name} still drives after {timeout:g} s", hint="take() takes it back"
                )
            runtime.sync_sleep(min(POLL_S, max(left, 0.01)))
            left -= POLL_S
        return state

    def _ask(self, want: str) -> ControlState:
        return parse_control((self._connection.request("POST", self._path, body={"want": want})).json())


class Clipboard:
    """Text in the desktop's clipboard, or a picture. While a person drives, who may be pasting, it is not changed:
    that waits `wait_for_control` seconds, the sandbox's attribute, then raises ControlHeldError."""

    def __init__(self, connection: Connection, path: str, patience_s: Callable[[], float]) -> None:
        self._connection = connection
        self._path = f"{path}/clipboard"
        self._patience_s = patience_s

    def get(self) -> str:
        """The text, empty if the clipboard holds none. DeadlineError if its owner does not hand it over."""
        text: str = (self._connection.request("GET", self._path)).json()["text"]
        return text

    def set(self, text: str) -> None:
        """Put text there, at most 1 MiB, for Ctrl+V and the middle button."""
        patience_s = self._patience_s()
        wait = _SET_TIMEOUT_S + patience_s
        self._connection.request("PUT", self._path, body=waiting({"text": text}, patience_s), timeout=wait)

    def get_picture(self) -> bytes | None:
        """The picture in the clipboard as PNG, None if it holds none. A program in the desktop wrote it."""
        try:
            answer = self._connection.request("GET", f"{self._path}/picture", timeout=PICTURE_TIMEOUT_S)
        except errors.NotFoundError as error:
            if "no picture" in error.message:
                return None
            raise
        return answer.content

    def set_picture(self, picture: bytes) -> None:
        """Put a PNG there, at most 16 MiB, for programs to paste."""
        patience_s = self._patience_s()
        self._connection.request(
            "PUT",
            f"{self._path}/picture",
            params={"wait_for_control": f"{patience_s:g}"},
            content=picture,
            media_type="image/png",
            timeout=PICTURE_TIMEOUT_S + patience_s,
        )


class Recordings:
    """Recordings of a desktop as MP4. They belong to the sandbox, and go when it is killed."""

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._path = path

    def start(self, *, cursor: bool = True) -> RecordingInfo:
        """Begin to record, with the pointer or without. ConflictError if there is one going on."""
        body = {"cursor": cursor}
        return parse_recording((self._connection.request("POST", f"{self._path}/recording", body=body)).json())

    def stop(self) -> RecordingInfo:
        """End the recording; its file is whole then."""
        answer = self._connection.request("DELETE", f"{self._path}/recording", timeout=STOP_TIMEOUT_S)
        return parse_recording(answer.json())

    def list(self) -> builtins.list[RecordingInfo]:
        """All recordings, newest first."""
        answer = self._connection.request("GET", f"{self._path}/recordings")
        return [parse_recording(found) for found in answer.json()["recordings"]]

    @overload
    def read(self, recording: RecordingInfo | str, format: Literal["bytes"] = "bytes") -> bytes: ...

    @overload
    def read(self, recording: RecordingInfo | str, format: Literal["stream"]) -> Iterator[bytes]: ...

    def read(
        self, recording: RecordingInfo | str, format: Literal["bytes", "stream"] = "bytes"
    ) -> bytes | Iterator[bytes]:
        """A recording's MP4, whole or in chunks."""
        name = recording if isinstance(recording, str) else recording.id
        path = f"{self._path}/recordings/{segment(name)}"
        if format == "stream":
            return self._chunks(path)
        return (self._connection.request("GET", path, timeout=None)).content

    def remove(self, recording: RecordingInfo | str) -> None:
        """Delete a recording that has ended."""
        name = recording if isinstance(recording, str) else recording.id
        self._connection.request("DELETE", f"{self._path}/recordings/{segment(name)}")

    def _chunks(self, path: str) -> Iterator[bytes]:
        with self._connection.stream("GET", path) as response:
            yield from response.iter_bytes()
