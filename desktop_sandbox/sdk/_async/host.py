"""What a server has besides sandboxes: templates, snapshots, and its host's capacity."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from typing import Any, BinaryIO, Self

from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk._async.connection import AsyncConnection
from desktop_sandbox.sdk.models import BuildStep, SnapshotInfo, TemplateInfo, parse_snapshot, parse_template
from desktop_sandbox.sdk.requests import segment, snapshot_id

PROMOTE_TIMEOUT_S = 300.0


class AsyncHost:
    """A server's templates, snapshots and usage; use it with `async with`."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Not to be called: use `connect`."""
        self._connection = connection

    @classmethod
    async def connect(cls, *, url: str | None = None, api_key: str | None = None) -> Self:
        """The server at an address; nothing is sent yet."""
        return cls(AsyncConnection.shared(url, api_key))

    async def templates(self) -> builtins.list[TemplateInfo]:
        """All recipes and templates."""
        answer = await self._connection.request("GET", "/v1/templates")
        return [parse_template(item) for item in answer.json()["templates"]]

    async def build_template(self, name: str, *, rebuild: bool = False) -> AsyncIterator[BuildStep]:
        """Build a template where needed, with progress. Closing the iterator does not stop the build."""
        params = {"rebuild": "true"} if rebuild else {}
        async for line in self._connection.lines("POST", f"/v1/templates/{segment(name)}/build", params=params):
            if line.get("step") is not None:
                yield BuildStep(line["step"], line.get("fraction"), line.get("message") or "")

    async def remove_template(self, name: str) -> None:
        """Remove a template from the server's disk."""
        await self._connection.request("DELETE", f"/v1/templates/{segment(name)}")

    async def export_template(self, name: str) -> AsyncIterator[bytes]:
        """A template, with the image below it, as one signed file, in pieces, to be written to disk.

        `name` is its own, or its folder's, as a snapshot that needs it names it. It takes seconds to begin.
        """
        async with self._connection.stream("GET", f"/v1/templates/{segment(name)}/export") as response:
            async for piece in response.aiter_bytes():
                yield piece

    async def import_template(self, data: BinaryIO | Iterable[bytes] | AsyncIterable[bytes]) -> TemplateInfo:
        """Take a template, and its image unless it is there, from such a file: an open one, or its pieces.

        It is there whole afterwards or not at all. Its `state` is `stale` where sandboxes are not made from it any
        more, because its recipe is another here; snapshots taken over it fit all the same.

        Raises UntrustedError unless this host or one that is trusted signed it, SnapshotMismatchError that says what
        does not fit, ConflictError if it is there already.
        """
        content = runtime.async_chunks(data)
        answer = await self._connection.request("PUT", "/v1/templates/import", content=content, timeout=None)
        return parse_template(answer.json())

    async def snapshots(self) -> builtins.list[SnapshotInfo]:
        """All snapshots, oldest first."""
        answer = await self._connection.request("GET", "/v1/snapshots")
        return [parse_snapshot(item) for item in answer.json()["snapshots"]]

    async def get_snapshot(self, snapshot: str | SnapshotInfo) -> SnapshotInfo:
        """One snapshot; NotFoundError if there is none."""
        return parse_snapshot(
            (await self._connection.request("GET", f"/v1/snapshots/{segment(snapshot_id(snapshot))}")).json()
        )

    async def change_snapshot(
        self,
        snapshot: str | SnapshotInfo,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> SnapshotInfo:
        """Name, describe, tag a snapshot; what is None stays."""
        body = {"name": name, "description": description, "tags": None if tags is None else [*tags]}
        path = f"/v1/snapshots/{segment(snapshot_id(snapshot))}"
        return parse_snapshot((await self._connection.request("PATCH", path, body=body)).json())

    async def delete_snapshot(self, snapshot: str | SnapshotInfo) -> None:
        """Remove a snapshot from the server's disk; ConflictError while a paused sandbox rests on it."""
        await self._connection.request("DELETE", f"/v1/snapshots/{segment(snapshot_id(snapshot))}")

    async def promote_snapshot(self, snapshot: str | SnapshotInfo, name: str) -> TemplateInfo:
        """Make a template `name` of a snapshot: log in once, then create a thousand desktops from there.

        It stays until `remove_template`, also without the snapshot. ConflictError where the name is taken.
        """
        path = f"/v1/snapshots/{segment(snapshot_id(snapshot))}/promote"
        answer = await self._connection.request("POST", path, body={"name": name}, timeout=PROMOTE_TIMEOUT_S)
        return parse_template(answer.json())

    async def export_snapshot(self, snapshot: str | SnapshotInfo) -> AsyncIterator[bytes]:
        """A snapshot as one signed file, in pieces, to be written to disk."""
        path = f"/v1/snapshots/{segment(snapshot_id(snapshot))}/export"
        async with self._connection.stream("GET", path) as response:
            async for piece in response.aiter_bytes():
                yield piece

    async def import_snapshot(
        self, data: BinaryIO | Iterable[bytes] | AsyncIterable[bytes], *, name: str | None = None
    ) -> SnapshotInfo:
        """Take a snapshot from such a file: an open one, or its pieces. It is there whole afterwards or not at all.

        `name` is what it is called here; one that is here already then comes once more, under another id.

        Raises UntrustedError unless this host or one that is trusted signed it, SnapshotMismatchError that says what
        does not fit, ConflictError if it is there already.
        """
        content = runtime.async_chunks(data)
        params = {} if name is None else {"name": name}
        answer = await self._connection.request(
            "PUT", "/v1/snapshots/import", content=content, params=params, timeout=None
        )
        return parse_snapshot(answer.json())

    async def signing_key(self) -> str:
        """The server's public key, to be trusted elsewhere."""
        key: str = (await self._connection.request("GET", "/v1/trust")).json()["own"]
        return key

    async def trusted(self) -> dict[str, str]:
        """Keys whose snapshots and templates may be imported, by name."""
        found = (await self._connection.request("GET", "/v1/trust")).json()["keys"]
        return {item["name"]: item["key"] for item in found}

    async def trust(self, name: str, key: str) -> None:
        """Trust a key under a name: what it signed may be imported."""
        await self._connection.request("PUT", f"/v1/trust/{segment(name)}", body={"key": key})

    async def distrust(self, name: str) -> None:
        """Trust it no longer; NotFoundError if it was not."""
        await self._connection.request("DELETE", f"/v1/trust/{segment(name)}")

    async def thumbnail(self, snapshot: str | SnapshotInfo, width: int = 320) -> bytes:
        """What a snapshot showed, as a JPEG at most `width` pixels wide; nothing is started for it."""
        path = f"/v1/snapshots/{segment(snapshot_id(snapshot))}/thumbnail"
        return (await self._connection.request("GET", path, params={"width": str(width)})).content

    async def usage(self) -> dict[str, Any]:
        """The host's capacity, and what is used of it."""
        answer: dict[str, Any] = (await self._connection.request("GET", "/v1/usage")).json()
        return answer

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._connection.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
