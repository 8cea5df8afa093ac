# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""What a server has besides sandboxes: templates, snapshots, and its host's capacity."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Self

from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk._sync.connection import Connection
from desktop_sandbox.sdk.models import BuildStep, SnapshotInfo, TemplateInfo, parse_snapshot, parse_template
from desktop_sandbox.sdk.requests import segment, snapshot_id

PROMOTE_TIMEOUT_S = 300.0


class Host:
    """A server's templates, snapshots and usage; use it with `with`."""

    def __init__(self, connection: Connection) -> None:
        """Not to be called: use `connect`."""
        self._connection = connection

    @classmethod
    def connect(cls, *, url: str | None = None, api_key: str | None = None) -> Self:
        """The server at an address; nothing is sent yet."""
        return cls(Connection.shared(url, api_key))

    def templates(self) -> builtins.list[TemplateInfo]:
        """All recipes and templates."""
        answer = self._connection.request("GET", "/v1/templates")
        return [parse_template(item) for item in answer.json()["templates"]]

    def build_template(self, name: str, *, rebuild: bool = False) -> Iterator[BuildStep]:
        """Build a template where needed, with progress. Closing the iterator does not stop the build."""
        params = {"rebuild": "true"} if rebuild else {}
        for line in self._connection.lines("POST", f"/v1/templates/{segment(name)}/build", params=params):
            if line.get("step") is not None:
                yield BuildStep(line["step"], line.get("fraction"), line.get("message") or "")

    def remove_template(self, name: str) -> None:
        """Remove a template from the server's disk."""
        self._connection.request("DELETE", f"/v1/templates/{segment(name)}")

    def export_template(self, name: str) -> Iterator[bytes]:
        """A template, with the image below it, as one signed file, in pieces, to be written to disk.

        `name` is its own, or its folder's, as a snapshot that needs it names it. It takes seconds to begin.
        """
        with self._connection.stream("GET", f"/v1/templates/{segment(name)}/export") as response:
            yield from response.iter_bytes()

    def import_template(self, data: BinaryIO | Iterable[bytes] | Iterable[bytes]) -> TemplateInfo:
        """Take a template, and its image unless it is there, from such a file: an open one, or its pieces.

        It is there whole afterwards or not at all. Its `state` is `stale` where sandboxes are not made from it any
        more, because its recipe is another here; snapshots taken over it fit all the same.

        Raises UntrustedError unless this host or one that is trusted signed it, SnapshotMismatchError that says what
        does not fit, ConflictError if it is there already.
        """
        content = runtime.sync_chunks(data)
        answer = self._connection.request("PUT", "/v1/templates/import", content=content, timeout=None)
        return parse_template(answer.json())

    def snapshots(self) -> builtins.list[SnapshotInfo]:
        """All snapshots, oldest first."""
        answer = self._connection.request("GET", "/v1/snapshots")
        return [parse_snapshot(item) for item in answer.json()["snapshots"]]

    def get_snapshot(self, snapshot: str | SnapshotInfo) -> SnapshotInfo:
        """One snapshot; NotFoundError if there is none."""
        return parse_snapshot(
            (self._connection.request("GET", f"/v1/snapshots/{segment(snapshot_id(snapshot))}")).json()
        )

    def change_snapshot(
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
        return parse_snapshot((self._connection.request("PATCH", path, body=body)).json())

    def delete_snapshot(self, snapshot: str | SnapshotInfo) -> None:
        """Remove a snapshot from the server's disk; ConflictError while a paused sandbox rests on it."""
        self._connection.request("DELETE", f"/v1/snapshots/{segment(snapshot_id(snapshot))}")

    def promote_snapshot(self, snapshot: str | SnapshotInfo, name: str) -> TemplateInfo:
        """Make a template `name` of a snapshot: log in once, then create a thousand desktops from there.

        It stays until `remove_template`, also without the snapshot. ConflictError where the name is taken.
        """
        path = f"/v1/snapshots/{segment(snapshot_id(snapshot))}/promote"
        answer = self._connection.request("POST", path, body={"name": name}, timeout=PROMOTE_TIMEOUT_S)
        return parse_template(answer.json())

    def export_snapshot(self, snapshot: str | SnapshotInfo) -> Iterator[bytes]:
        """A snapshot as one signed file, in pieces, to be written to disk."""
        path = f"/v1/snapshots/{segment(snapshot_id(snapshot))}/export"
        with self._connection.stream("GET", path) as response:
            yield from response.iter_bytes()

    def import_snapshot(
        self, data: BinaryIO | Iterable[bytes] | Iterable[bytes], *, name: str | None = None
    ) -> SnapshotInfo:
        """Take a snapshot from such a file: an open one, or its pieces. It is there whole afterwards or not at all.

        `name` is what it is called here; one that is here already then comes once more, under another id.

        Raises UntrustedError unless this host or one that is trusted signed it, SnapshotMismatchError that says what
        does not fit, ConflictError if it is there already.
        """
        content = runtime.sync_chunks(data)
        params = {} if name is None else {"name": name}
        answer = self._connection.request("PUT", "/v1/snapshots/import", content=content, params=params, timeout=None)
        return parse_snapshot(answer.json())

    def signing_key(self) -> str:
        """The server's public key, to be trusted elsewhere."""
        key: str = (self._connection.request("GET", "/v1/trust")).json()["own"]
        return key

    def trusted(self) -> dict[str, str]:
        """Keys whose snapshots and templates may be imported, by name."""
        found = (self._connection.request("GET", "/v1/trust")).json()["keys"]
        return {item["name"]: item["key"] for item in found}

    def trust(self, name: str, key: str) -> None:
        """Trust a key under a name: what it signed may be imported."""
        self._connection.request("PUT", f"/v1/trust/{segment(name)}", body={"key": key})

    def distrust(self, name: str) -> None:
        """Trust it no longer; NotFoundError if it was not."""
        self._connection.request("DELETE", f"/v1/trust/{segment(name)}")

    def thumbnail(self, snapshot: str | SnapshotInfo, width: int = 320) -> bytes:
        """What a snapshot showed, as a JPEG at most `width` pixels wide; nothing is started for it."""
        path = f"/v1/snapshots/{segment(snapshot_id(snapshot))}/thumbnail"
        return (self._connection.request("GET", path, params={"width": str(width)})).content

    def usage(self) -> dict[str, Any]:
        """The host's capacity, and what is used of it."""
        answer: dict[str, Any] = (self._connection.request("GET", "/v1/usage")).json()
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
