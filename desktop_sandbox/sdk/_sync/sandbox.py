# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""A desktop sandbox."""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from desktop_sandbox import errors
from desktop_sandbox.sdk._sync.a11y import Elements
from desktop_sandbox.sdk._sync.code import AsyncCode
from desktop_sandbox.sdk._sync.commands import Commands
from desktop_sandbox.sdk._sync.connection import Connection
from desktop_sandbox.sdk._sync.desktop import Desktop
from desktop_sandbox.sdk._sync.eyes import Eyes
from desktop_sandbox.sdk._sync.files import Files
from desktop_sandbox.sdk._sync.network import Network
from desktop_sandbox.sdk._sync.people import Clipboard, Control, Recordings, Stream
from desktop_sandbox.sdk._sync.terminals import Ports, Terminals
from desktop_sandbox.sdk.code import CodeContext, CodeResult, Execution
from desktop_sandbox.sdk.models import SandboxInfo, SnapshotInfo, parse_sandbox, parse_snapshot
from desktop_sandbox.sdk.network import Policy
from desktop_sandbox.sdk.requests import Point, create_body, segment, snapshot_id

if TYPE_CHECKING:
    from types import TracebackType

CREATE_TIMEOUT_S = 1200.0  # a create builds its template first where there is none
SAVE_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class SandboxList:
    """One page of sandboxes, newest first; `cursor` leads to the next page and is None on the last."""

    sandboxes: Sequence[SandboxInfo]
    cursor: str | None


class Sandbox(Desktop, Elements, Eyes):
    """A Linux desktop in a microVM of its own. Used with `with`, it is ended at the block's end.

    `commands` runs commands in it, `code` code that keeps its state, `terminals` are its terminals, `files` reads and
    writes its files, `ports` connects to what listens in it, `stream` makes links for people to watch it,
    `control` says who drives, `clipboard` holds text or a picture, `recordings` are MP4s of it,
    `network` is what it may reach.
    """

    def __init__(self, connection: Connection, info: SandboxInfo) -> None:
        """Not to be called: use `create` or `connect`."""
        self._connection = connection
        self._info = info
        self._path = f"/v1/sandboxes/{segment(info.sandbox_id)}"
        self._released = False
        self.wait_for_control = 0.0
        self.commands = Commands(connection, self._path)
        self.code = AsyncCode(connection, self._path)
        self.files = Files(connection, self._path)
        self.terminals = Terminals(connection, self._path)
        self.ports = Ports(connection, self._path)
        self.stream = Stream(connection, self._path)
        self.control = Control(connection, self._path)
        self.clipboard = Clipboard(connection, self._path, lambda: self.wait_for_control)
        self.recordings = Recordings(connection, self._path)
        self.network = Network(connection, self._path)

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
        snapshot: str | SnapshotInfo | None = None,
        on_timeout: str = "kill",
        auto_resume: bool = False,
        freeze_after: float | None = None,
        network: Policy | str | None = None,
        url: str | None = None,
        api_key: str | None = None,
    ) -> Self:
        """Create a desktop from a template, or from a snapshot. After `timeout` seconds it ends (None: never).

        `on_timeout="pause"` puts it to disk then instead; with `auto_resume` it comes back when somebody acts or looks.

        After `freeze_after` seconds without use an idle desktop stands still in memory until the next call (0: never;
        None: as the server does by itself).

        `network` is what it may reach: "none", "internet" (every public address) or a Policy; None: as the desktop that
        `snapshot` is of, else the internet.

        `resolution` is (width, height); `metadata` are names to find it by. `url` and `api_key` default to the
        environment (DESKTOP_SANDBOX_URL, DESKTOP_SANDBOX_API_KEY), the latter on the server's host to its key file.
        Raises CapacityError if the host has no room, NotFoundError for an unknown template.
        """
        connection = Connection.shared(url, api_key)
        try:
            body = create_body(
                template,
                resolution,
                timeout,
                metadata,
                snapshot=None if snapshot is None else snapshot_id(snapshot),
                on_timeout=on_timeout,
                auto_resume=auto_resume,
                freeze_after=freeze_after,
                network=network,
            )
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
            answer = connection.request("GET", f"/v1/sandboxes/{segment(sandbox_id)}")
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
        return self._learn((self._driving("PUT", "resolution", body)).json())

    # --- saved and brought back

    def checkpoint(self, name: str | None = None, *, description: str = "", tags: Sequence[str] = ()) -> SnapshotInfo:
        """Save it as it is: memory, disk, every open window. It stands still for some tens of milliseconds."""
        body = {"name": name, "description": description, "tags": [*tags]}
        answer = self._connection.request("POST", f"{self._path}/checkpoint", body=body, timeout=SAVE_TIMEOUT_S)
        return parse_snapshot(answer.json())

    def fork(
        self, count: int = 1, *, timeout: float | None = 300, metadata: Mapping[str, str] | None = None
    ) -> builtins.list[Self]:
        """`count` new sandboxes that begin where this one is now; all of them, or an error and none.

        Each is a machine of its own, with its own names, clock and random numbers. `metadata` defaults to this one's.
        """
        body = {"count": count, "timeout": timeout, "metadata": None if metadata is None else dict(metadata)}
        answer = self._connection.request("POST", f"{self._path}/fork", body=body, timeout=CREATE_TIMEOUT_S)
        made = [parse_sandbox(item) for item in answer.json()["sandboxes"]]
        return [type(self)(self._connection.again(), info) for info in made]

    def rollback(self, snapshot: str | SnapshotInfo) -> SandboxInfo:
        """Bring it back to a snapshot, under the same id; what it did since is gone."""
        body = {"snapshot": snapshot_id(snapshot)}
        answer = self._connection.request("POST", f"{self._path}/rollback", body=body, timeout=SAVE_TIMEOUT_S)
        return self._moved(answer.json())

    def pause(self) -> SandboxInfo:
        """Put it to disk, with no process left; `resume` brings it back where it was."""
        answer = self._connection.request("POST", f"{self._path}/pause", timeout=SAVE_TIMEOUT_S)
        return self._moved(answer.json())

    def resume(self, timeout: float | None = None, *, from_disk: bool = False) -> SandboxInfo:
        """Bring it back from a pause, for `timeout` seconds (None: as long as it was made for).

        `from_disk` boots it from its disk, which takes as long as a boot; what it had in memory is not brought back. It
        is for one whose memory does not fit the host any more (SnapshotMismatchError), after an upgrade of QEMU say.
        """
        body = {"timeout": timeout, "from_disk": from_disk}
        patience = CREATE_TIMEOUT_S if from_disk else SAVE_TIMEOUT_S
        answer = self._connection.request("POST", f"{self._path}/resume", body=body, timeout=patience)
        return self._moved(answer.json())

    def freeze(self) -> SandboxInfo:
        """Let it stand still in memory at once, whatever works in it; the next call wakes it within milliseconds.

        Idle ones do so by themselves (`freeze_after`). Raises ConflictError while somebody watches it or waits for it.
        """
        return self._learn((self._connection.request("POST", f"{self._path}/freeze")).json())

    def thaw(self) -> SandboxInfo:
        """Wake it, with the right time. Any call does that, too."""
        return self._learn((self._connection.request("POST", f"{self._path}/thaw")).json())

    def snapshots(self) -> builtins.list[SnapshotInfo]:
        """Its snapshots, and those that it descends from, oldest first."""
        params: dict[str, str | builtins.list[str]] = {"sandbox": self.sandbox_id}
        answer = self._connection.request("GET", "/v1/snapshots", params=params)
        return [parse_snapshot(item) for item in answer.json()["snapshots"]]

    def _moved(self, data: Mapping[str, Any]) -> SandboxInfo:
        """It has another process now: what was known of the old one's memory is forgotten."""
        if self._connection.screens is not None:
            self._connection.screens.forget(self.sandbox_id)
        return self._learn(data)

    def why(self) -> dict[str, Any]:
        """Everything that explains its state: spec, events, tails of its logs."""
        answer: dict[str, Any] = (self._connection.request("GET", f"{self._path}/why")).json()
        return answer

    def run_code(
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
        """Run code that finds what earlier code defined: `code.run`, by the name that people look for."""
        return self.code.run(
            code,
            language=language,
            context=context,
            timeout=timeout,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
            on_result=on_result,
        )

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
