# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""A desktop sandbox."""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from desktop_sandbox import errors
from desktop_sandbox.sdk._sync.commands import Commands
from desktop_sandbox.sdk._sync.connection import Connection
from desktop_sandbox.sdk._sync.desktop import Desktop
from desktop_sandbox.sdk._sync.files import Files
from desktop_sandbox.sdk.models import SandboxInfo, parse_sandbox
from desktop_sandbox.sdk.requests import Point, create_body

if TYPE_CHECKING:
    from types import TracebackType

CREATE_TIMEOUT_S = 1200.0  # a create builds its template first where there is none


@dataclass(frozen=True)
class SandboxList:
    """One page of sandboxes, newest first; `cursor` leads to the next page and is None on the last."""

    sandboxes: Sequence[SandboxInfo]
    cursor: str | None


class Sandbox(Desktop):
    """A Linux desktop in a microVM of its own. Used with `with`, it is ended at the block's end.

    `commands` runs commands in it, `files` reads and writes its files.
    """

    def __init__(self, connection: Connection, info: SandboxInfo) -> None:
        """Not to be called: use `create` or `connect`."""
        self._connection = connection
        self._info = info
        self._path = f"/v1/sandboxes/{info.sandbox_id}"
        self._released = False
        self.commands = Commands(connection, self._path)
        self.files = Files(connection, self._path)

    def __repr__(self) -> str:
        return f"<Sandbox {self.sandbox_id} {self._info.template}>"

    @property
    def sandbox_id(self) -> str:
        """The sandbox's id."""
        return self._info.sandbox_id

    @classmethod
    def create(
        cls,
        template: str = "desktop",
        *,
        resolution: Point | None = None,
        timeout: float | None = 300,
        metadata: Mapping[str, str] | None = None,
        url: str | None = None,
        api_key: str | None = None,
    ) -> Self:
        """Create a desktop from a template. It ends by itself after `timeout` seconds (None: never).

        `resolution` is (width, height); `metadata` are names to find it by. `url` and `api_key` default to the
        environment (DESKTOP_SANDBOX_URL, DESKTOP_SANDBOX_API_KEY), the latter on the server's host to its key file.
        Raises CapacityError if the host has no room, NotFoundError for an unknown template.
        """
        connection = Connection.shared(url, api_key)
        try:
            body = create_body(template, resolution, timeout, metadata)
            answer = connection.request("POST", "/v1/sandboxes", body=body, timeout=CREATE_TIMEOUT_S)
            return cls(connection, parse_sandbox(answer.json()))
        except BaseException:
            connection.release()
            raise

    @classmethod
    def connect(cls, sandbox_id: str, *, url: str | None = None, api_key: str | None = None) -> Self:
        """A sandbox that exists; NotFoundError if there is none."""
        connection = Connection.shared(url, api_key)
        try:
            answer = connection.request("GET", f"/v1/sandboxes/{sandbox_id}")
            return cls(connection, parse_sandbox(answer.json()))
        except BaseException:
            connection.release()
            raise

    @classmethod
    def list(
        cls,
        *,
        state: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
        template: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        url: str | None = None,
        api_key: str | None = None,
    ) -> SandboxList:
        """One page of sandboxes, newest first, that match all that is given."""
        params: dict[str, str | builtins.list[str]] = {"limit": str(limit)}
        if state:
            params["state"] = [*state]
        if metadata:
            params["metadata"] = [f"{name}={value}" for name, value in metadata.items()]
        if template is not None:
            params["template"] = template
        if cursor is not None:
            params["cursor"] = cursor
        connection = Connection.shared(url, api_key)
        try:
            page = (connection.request("GET", "/v1/sandboxes", params=params)).json()
        finally:
            connection.release()
        return SandboxList([parse_sandbox(item) for item in page["sandboxes"]], page["cursor"])

    def get_info(self) -> SandboxInfo:
        """What the server knows of it now."""
        return self._learn((self._connection.request("GET", self._path)).json())

    def set_timeout(self, timeout: float | None) -> SandboxInfo:
        """Let it end by itself `timeout` seconds from now (None: never)."""
        body = {"timeout": timeout}
        return self._learn((self._connection.request("PUT", f"{self._path}/timeout", body=body)).json())

    def get_screen_size(self) -> tuple[int, int]:
        """The screen's (width, height)."""
        return (self.get_info()).resolution

    def set_screen_size(self, width: int, height: int) -> SandboxInfo:
        """Change the screen's size, live."""
        body = {"width": width, "height": height}
        return self._learn((self._connection.request("PUT", f"{self._path}/resolution", body=body)).json())

    def why(self) -> dict[str, Any]:
        """Everything that explains its state: spec, events, tails of its logs."""
        answer: dict[str, Any] = (self._connection.request("GET", f"{self._path}/why")).json()
        return answer

    def kill(self) -> None:
        """End it for good; returns when its process is gone."""
        self._connection.request("DELETE", self._path)
        self.close()

    def close(self) -> None:
        """Let go of the connection; the sandbox runs on."""
        if not self._released:
            self._released = True
            if self._connection.screens is not None:
                self._connection.screens.forget(self.sandbox_id)
            self._connection.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._released:
            return
        # what went wrong in the block matters more than a kill that fails after it
        ignored = (errors.NotFoundError,) if error is None else (errors.DesktopSandboxError,)
        try:
            with contextlib.suppress(*ignored):
                self._connection.request("DELETE", self._path)
        finally:
            self.close()

    def _learn(self, data: Mapping[str, Any]) -> SandboxInfo:
        self._info = parse_sandbox(data)
        return self._info
