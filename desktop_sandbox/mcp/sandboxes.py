"""Tools that manage desktops: sandbox_…"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from desktop_sandbox import AsyncSandbox
from desktop_sandbox.agents.extras import extra
from desktop_sandbox.cli.output import jsonable
from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.mcp.answers import data, line
from desktop_sandbox.mcp.reading import read_beginning

with extra("mcp"):
    from mcp.types import CallToolResult

if TYPE_CHECKING:
    from desktop_sandbox.mcp.desks import Desks

Id = Annotated[str, Field(description="The desktop's id.")]
Timeout = Annotated[float, Field(description="Seconds until it ends by itself.", gt=0, le=7 * 86400)]
MOST_TEXT = 200_000


class Sandboxes:
    """The sandbox_… tools; each method is one."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def sandbox_create(
        self,
        template: Annotated[
            str, Field(description="desktop (browser, panel, apps) or minimal (a terminal).")
        ] = "desktop",
        width: int | None = None,
        height: int | None = None,
        timeout: Timeout = 3600,
        snapshot: Annotated[str | None, Field(description="Begin where this snapshot was taken.")] = None,
        metadata: dict[str, str] | None = None,
    ) -> CallToolResult:
        """Make a new desktop: a Linux machine of its own. Returns its id."""
        if (width is None) != (height is None):
            raise InvalidRequestError("width and height go together", hint="give both, or neither")
        size = None if width is None or height is None else (width, height)
        sandbox = await AsyncSandbox.create(
            template, resolution=size, timeout=timeout, snapshot=snapshot, metadata=metadata
        )
        self._desks.keep(sandbox)
        return data(jsonable(await sandbox.get_info()))

    async def sandbox_list(
        self,
        state: Annotated[list[str] | None, Field(description="Of these only; default: those that are alive.")] = None,
        limit: Annotated[int, Field(ge=1, le=1000)] = 100,
        cursor: str | None = None,
    ) -> CallToolResult:
        """List desktops, newest first."""
        alive = ["creating", "running", "paused"]
        page = await AsyncSandbox.list(state=alive if state is None else state, limit=limit, cursor=cursor)
        return data({"sandboxes": jsonable(page.sandboxes), "cursor": page.cursor})

    async def sandbox_info(self, sandbox: Id) -> CallToolResult:
        """What is known of a desktop: state, template, size, when it ends."""
        return data(jsonable(await (await self._find(sandbox)).get_info()))

    async def sandbox_set_timeout(self, sandbox: Id, timeout: Timeout) -> CallToolResult:
        """Let a desktop end by itself so many seconds from now."""
        return data(jsonable(await (await self._find(sandbox)).set_timeout(timeout)))

    async def sandbox_kill(self, sandbox: Id) -> CallToolResult:
        """End a desktop for good. What is on it is lost; snapshots of it stay."""
        desktop = await self._find(sandbox)
        await desktop.kill()
        await self._desks.forget(sandbox)
        return line(f"{sandbox} is ended.")

    async def sandbox_checkpoint(self, sandbox: Id, name: str | None = None, description: str = "") -> CallToolResult:
        """Save a desktop as it is, with all that runs on it; it goes on. Returns the snapshot to roll back to."""
        snapshot = await (await self._find(sandbox)).checkpoint(name, description=description)
        return data(jsonable(snapshot))

    async def sandbox_snapshots(self, sandbox: Id) -> CallToolResult:
        """List a desktop's snapshots, and those it descends from."""
        return data({"snapshots": jsonable(await (await self._find(sandbox)).snapshots())})

    async def sandbox_rollback(
        self, sandbox: Id, snapshot: Annotated[str, Field(description="The snapshot's id.")]
    ) -> CallToolResult:
        """Bring a desktop back to a snapshot. What it did since then is lost."""
        return data(jsonable(await (await self._find(sandbox)).rollback(snapshot)))

    async def sandbox_fork(
        self, sandbox: Id, count: Annotated[int, Field(ge=1, le=64)] = 1, timeout: Timeout = 3600
    ) -> CallToolResult:
        """Make desktops that begin where this one is now, each a machine of its own."""
        made = await (await self._find(sandbox)).fork(count, timeout=timeout)
        infos: list[Any] = []
        for desktop in made:
            self._desks.keep(desktop)
            infos.append(jsonable(await desktop.get_info()))
        return data({"sandboxes": infos})

    async def sandbox_pause(self, sandbox: Id) -> CallToolResult:
        """Put a desktop to disk; nothing of it runs until it is resumed."""
        return data(jsonable(await (await self._find(sandbox)).pause()))

    async def sandbox_resume(self, sandbox: Id) -> CallToolResult:
        """Bring a paused desktop back where it was."""
        return data(jsonable(await (await self._find(sandbox)).resume()))

    async def sandbox_view_link(self, sandbox: Id, view_only: bool = True) -> CallToolResult:
        """A link with which a person watches the desktop live, or also drives it."""
        desktop = await self._find(sandbox)
        return line(await desktop.stream.get_url(view_only=view_only))

    async def sandbox_run(
        self,
        sandbox: Id,
        command: Annotated[str, Field(description="A line of bash.")],
        timeout: Annotated[float, Field(gt=0, le=3600)] = 60,
    ) -> CallToolResult:
        """Run a command on a desktop and return its output. A failing one is no error: look at exit_code."""
        result = await (await self._find(sandbox)).commands.run(command, timeout=timeout, check=False)
        found = {**jsonable(result), "stdout": _cut(result.stdout), "stderr": _cut(result.stderr)}
        return data(found)

    async def sandbox_read_file(self, sandbox: Id, path: str) -> CallToolResult:
        """Read a text file of a desktop, the beginning where it is long."""
        return line(await read_beginning((await self._find(sandbox)).files, path, MOST_TEXT))

    async def sandbox_write_file(
        self, sandbox: Id, path: str, content: Annotated[str, Field(description="All that is in it then.")]
    ) -> CallToolResult:
        """Write a text file on a desktop."""
        await (await self._find(sandbox)).files.write(path, content)
        return line(f"Wrote {path}.")

    async def _find(self, sandbox: str) -> AsyncSandbox:
        return (await self._desks.find(sandbox)).sandbox


def _cut(said: str) -> str:
    """Text of a length that a model can read; the middle goes."""
    if len(said) <= MOST_TEXT:
        return said
    half = MOST_TEXT // 2
    return f"{said[:half]}\n… {len(said) - MOST_TEXT} characters left out …\n{said[-half:]}"
