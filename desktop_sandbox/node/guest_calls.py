"""What callers do with a running sandbox: act, look, run commands, move files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from actions.model import Action
from desktop_sandbox.errors import ConflictError, DesktopSandboxError, InvalidRequestError, MachineError
from desktop_sandbox.microvm.channel import AgentChannel
from desktop_sandbox.microvm.guest import Guest
from desktop_sandbox.node.attachment import NOTHING
from desktop_sandbox.node.core import NodeCore
from desktop_sandbox.node.facts import (
    BatchResult,
    CommandExit,
    CommandOutput,
    CommandSpec,
    FileInfo,
    FileListing,
    SandboxInfo,
    Screenshot,
    ScreenshotSpec,
)
from desktop_sandbox.node.halt import Halt
from desktop_sandbox.node.interface import NodeNews
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.windows import parse_windows
from desktop_sandbox.screen.encode import Cursor
from desktop_sandbox.screen.framebuffer import Frame

T = TypeVar("T")
MIN_SCREEN_PX = 64
_STREAMS = {1: "stdout", 2: "stderr"}
# what the guest may take beyond the caller's own timeout to end a command and say so
_GRACE_S = 10.0


class GuestCalls(NodeCore):
    """The part of a node that needs a live sandbox and nothing else of the node."""

    @abstractmethod
    async def get(self, sandbox_id: str) -> SandboxInfo:
        """What is known of a sandbox."""

    async def act(
        self,
        sandbox_id: str,
        actions: Sequence[Action],
        *,
        batch_id: str,
        screenshot: ScreenshotSpec | None = None,
        timeout_s: float | None = None,
        halt: Halt | None = None,
    ) -> BatchResult:
        """Run a batch in order, up to the first failure."""
        try:
            return await (await self.live(sandbox_id)).act(actions, batch_id, screenshot, timeout_s, halt)
        except ConflictError as error:
            if error.evidence.get("done") != NOTHING:
                raise
            return await (await self.live(sandbox_id)).act(actions, batch_id, screenshot, timeout_s, halt)

    async def screenshot(self, sandbox_id: str, spec: ScreenshotSpec, *, resume: bool = True) -> Screenshot:
        """The screen as it is now (or once it is stable)."""
        return await self._look(sandbox_id, lambda live: live.screenshot(spec), resume=resume)

    async def frame(self, sandbox_id: str, *, wake: bool = False) -> Frame:
        """The screen's pixels now, without the pointer."""
        return await self._look(sandbox_id, lambda live: live.frame(wake=wake))

    async def _look(self, sandbox_id: str, look: Callable[[LiveSandbox], Awaitable[T]], *, resume: bool = True) -> T:
        """Look at a sandbox; once more where its machine was paused or taken back under who looked."""
        live = await self.live(sandbox_id, resume=resume)
        try:
            return await look(live)
        except (MachineError, ConflictError):
            if (now := await self.live(sandbox_id, resume=resume)) is live:
                raise
            return await look(now)

    async def cursor(self, sandbox_id: str, *, name: bool = False) -> tuple[Cursor, str | None]:
        """The pointer's place and picture, and its name."""
        return await (await self.live(sandbox_id)).cursor(name=name)

    async def set_resolution(self, sandbox_id: str, width: int, height: int) -> SandboxInfo:
        """Change the screen's size, live; the guest knows its largest."""
        if min(width, height) < MIN_SCREEN_PX:
            raise InvalidRequestError(f"a screen of {width}×{height}", hint=f"at least {MIN_SCREEN_PX}×{MIN_SCREEN_PX}")
        live = await self.live(sandbox_id)
        await live.set_size(width, height)
        self.tell(sandbox_id, NodeNews.RESIZED)
        return (await self.store.set_resolution(sandbox_id, width, height)).info()

    async def run_command(self, sandbox_id: str, spec: CommandSpec) -> AsyncIterator[CommandOutput | CommandExit]:
        """Run a command; output as it comes, CommandExit last. Closing the iterator kills it."""
        channel = (await (await self.live(sandbox_id)).guest()).channel
        params: dict[str, Any] = {
            "command": spec.command if isinstance(spec.command, str) else list(spec.command),
            "user": spec.user,
            "cwd": spec.cwd,
            "env": dict(spec.env),
            "stdin": spec.stdin is not None,
            "timeout_ms": None if spec.timeout_s is None else int(spec.timeout_s * 1000),
        }
        patience = None if spec.timeout_s is None else spec.timeout_s + _GRACE_S
        stdin = _once(spec.stdin) if spec.stdin is not None else None
        async with channel.stream("command.run", params, timeout_s=patience, stdin=stdin) as stream:
            async for number, data in stream:
                yield CommandOutput(_STREAMS[number], data)
            answer = await stream.result()
        yield CommandExit(int(answer["exit_code"]), answer["signal"], bool(answer["timed_out"]))

    async def launch(self, sandbox_id: str, argv: Sequence[str] | str, uri: str | None = None) -> int:
        """Start an app detached; its pid."""
        guest = await (await self.live(sandbox_id)).guest()
        return await guest.launch(argv, uri)

    async def open(self, sandbox_id: str, target: str) -> None:
        """Open a file or an address with the desktop's default app."""
        guest = await (await self.live(sandbox_id)).guest()
        try:
            await guest.channel.request("app.launch", {"uri": target}, timeout_s=60)
        except DesktopSandboxError as error:
            if error.hint is None and "xdg-open" in error.message:
                error.hint = "this template has nothing that opens files; use desktop, or launch a program by name"
            raise

    async def windows(self, sandbox_id: str) -> list[dict[str, Any]]:
        """Windows, bottom to top."""
        return parse_windows(await self._ask(sandbox_id, "windows.list", {}))

    async def read_file(
        self, sandbox_id: str, path: str, *, user: str = "user", offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """A file's content in chunks."""
        channel = (await (await self.live(sandbox_id)).guest()).channel
        params = {"path": path, "user": user, "offset": offset, "length": length}
        async with channel.stream("file.read", params, timeout_s=None) as stream:
            async for _, data in stream:
                yield data
            await stream.result()

    async def write_file(
        self, sandbox_id: str, path: str, data: AsyncIterator[bytes], *, user: str = "user", mode: int | None = None
    ) -> FileInfo:
        """Write a file whole."""
        channel = (await (await self.live(sandbox_id)).guest()).channel
        await channel.request("file.write", {"path": path, "user": user, "mode": mode}, timeout_s=None, stdin=data)
        return await self.stat_file(sandbox_id, path, user=user)

    async def list_files(self, sandbox_id: str, path: str, *, depth: int = 1, user: str = "user") -> FileListing:
        """Entries below a folder."""
        answer = await self._ask(sandbox_id, "file.list", {"path": path, "depth": depth, "user": user})
        return FileListing([_file(entry) for entry in answer["entries"]], bool(answer["truncated"]))

    async def stat_file(self, sandbox_id: str, path: str, *, user: str = "user", follow: bool = False) -> FileInfo:
        """One entry. An older agent is not asked to follow links: it does not know how."""
        params = {"path": path, "user": user} | ({"follow": True} if follow else {})
        return _file(await self._ask(sandbox_id, "file.stat", params))

    async def make_folder(self, sandbox_id: str, path: str, *, user: str = "user") -> FileInfo:
        """Make a folder and those above it."""
        await self._ask(sandbox_id, "file.mkdir", {"path": path, "user": user})
        return await self.stat_file(sandbox_id, path, user=user)

    async def remove_file(self, sandbox_id: str, path: str, *, recursive: bool = False, user: str = "user") -> None:
        """Remove a file or folder."""
        await self._ask(sandbox_id, "file.remove", {"path": path, "recursive": recursive, "user": user})

    async def rename_file(self, sandbox_id: str, source: str, target: str, *, user: str = "user") -> None:
        """Move a file or folder."""
        await self._ask(sandbox_id, "file.rename", {"source": source, "target": target, "user": user})

    async def _ask(self, sandbox_id: str, op: str, params: dict[str, Any], timeout_s: float = 30.0) -> Any:
        guest: Guest = await (await self.live(sandbox_id)).guest()
        channel: AgentChannel = guest.channel
        return await channel.request(op, params, timeout_s=timeout_s)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


def _file(entry: dict[str, Any]) -> FileInfo:
    return FileInfo(
        path=str(entry["path"]),
        type=str(entry["type"]),
        size_bytes=int(entry["size"]),
        mode=int(entry["mode"]),
        modified_at=int(entry["modified_ns"]) / 1e9,
    )
