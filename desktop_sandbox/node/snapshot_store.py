"""What a node remembers of snapshots, in the same SQLite file as its sandboxes. Decides nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, replace

from desktop_sandbox.errors import ConflictError, NotFoundError
from desktop_sandbox.node.database import Database
from desktop_sandbox.node.facts import SandboxState, SnapshotInfo

_COLUMNS = (
    "id", "name", "sandbox", "parent", "template", "kind", "created_at", "size_bytes", "width", "height", "quiesced",
    "stopped_ms", "description", "tags",
)  # fmt: skip


class SnapshotStore:
    """The records. All methods raise NotFoundError for unknown ids unless they say otherwise."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, info: SnapshotInfo) -> None:
        """Insert a record."""
        marks = ",".join("?" * len(_COLUMNS))

        def work(link: sqlite3.Connection) -> None:
            query = f"INSERT INTO snapshots ({','.join(_COLUMNS)}) VALUES ({marks})"  # noqa: S608
            link.execute(query, _values(info))

        # what a caller was told to be saved is saved
        await self._database.write(work, durable=True)

    async def get(self, snapshot_id: str, *, settled: bool = False) -> SnapshotInfo:
        """One record; `settled`: after all writes that were asked for before."""
        look = self._database.write if settled else self._database.read
        return await look(lambda link: _get(link, snapshot_id))

    async def all(self) -> list[SnapshotInfo]:
        """Every record, oldest first."""

        def work(link: sqlite3.Connection) -> list[SnapshotInfo]:
            return [_info(row) for row in link.execute("SELECT * FROM snapshots ORDER BY seq").fetchall()]

        return await self._database.read(work)

    async def change(
        self, snapshot_id: str, *, name: str | None, description: str | None, tags: Sequence[str] | None
    ) -> SnapshotInfo:
        """Change what people say of it; the record as it is now. What is None stays."""

        def work(link: sqlite3.Connection) -> SnapshotInfo:
            info = _get(link, snapshot_id)
            changed = replace(
                info,
                name=info.name if name is None else name,
                description=info.description if description is None else description,
                tags=info.tags if tags is None else tuple(tags),
            )
            link.execute(
                "UPDATE snapshots SET name = ?, description = ?, tags = ? WHERE id = ?",
                (changed.name, changed.description, json.dumps(list(changed.tags)), snapshot_id),
            )
            return changed

        return await self._database.write(work)

    async def remove(self, snapshot_id: str) -> None:
        """Forget a snapshot; its children hang on its parent from now on.

        ConflictError if a paused sandbox rests on it.
        """

        def work(link: sqlite3.Connection) -> None:
            query = "SELECT id FROM sandboxes WHERE snapshot = ? AND state = ?"
            resting = link.execute(query, (snapshot_id, str(SandboxState.PAUSED))).fetchone()
            if resting is not None:
                raise ConflictError(
                    f"{resting['id']} is paused at snapshot {snapshot_id}", hint="resume or kill that sandbox first"
                )
            _forget(link, snapshot_id)

        await self._database.write(work)

    async def forget(self, snapshot_id: str) -> None:
        """The same for one whose files are gone: whoever rests on it learns that when it is to come back."""

        await self._database.write(lambda link: _forget(link, snapshot_id))

    async def begin_fork(self, snapshot_id: str) -> None:
        """Children of this snapshot are being made: until `end_fork` none of them counts."""
        await self._database.write(lambda link: link.execute("INSERT INTO forks VALUES (?)", (snapshot_id,)).close())

    async def end_fork(self, snapshot_id: str) -> None:
        """All its children are there, or none of them any more."""
        query = "DELETE FROM forks WHERE snapshot = ?"
        await self._database.write(lambda link: link.execute(query, (snapshot_id,)).close())

    async def unfinished_forks(self) -> dict[str, list[str]]:
        """Ids of the sandboxes that stand at a snapshot from which a fork was begun and not ended, by that."""

        def work(link: sqlite3.Connection) -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            for row in link.execute("SELECT snapshot FROM forks").fetchall():
                query = "SELECT id FROM sandboxes WHERE snapshot = ? AND state = ? AND id NOT IN (SELECT sandbox FROM"
                query += " snapshots WHERE id = ?)"
                values = (row["snapshot"], str(SandboxState.RUNNING), row["snapshot"])
                found[row["snapshot"]] = [each["id"] for each in link.execute(query, values).fetchall()]
            return found

        return await self._database.read(work)


def _forget(link: sqlite3.Connection, snapshot_id: str) -> None:
    info = _get(link, snapshot_id)
    link.execute("UPDATE snapshots SET parent = ? WHERE parent = ?", (info.parent, snapshot_id))
    link.execute(
        "UPDATE sandboxes SET snapshot = ? WHERE snapshot = ? AND state != ?",
        (info.parent, snapshot_id, str(SandboxState.PAUSED)),
    )
    link.execute("DELETE FROM snapshots WHERE id = ?", (snapshot_id,))
    link.execute("DELETE FROM forks WHERE snapshot = ?", (snapshot_id,))


def _values(info: SnapshotInfo) -> tuple[object, ...]:
    data = {**asdict(info), "width": info.resolution[0], "height": info.resolution[1]}
    data["tags"] = json.dumps(list(info.tags))
    return tuple(data[column] for column in _COLUMNS)


def _get(link: sqlite3.Connection, snapshot_id: str) -> SnapshotInfo:
    row = link.execute("SELECT * FROM snapshots WHERE id = ?", (snapshot_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no snapshot {snapshot_id}", hint='"desktop-sandbox snapshot ls" lists them')
    return _info(row)


def _info(row: sqlite3.Row) -> SnapshotInfo:
    kept = {column: row[column] for column in _COLUMNS if column not in ("width", "height", "quiesced", "tags")}
    return SnapshotInfo(
        **kept,
        resolution=(row["width"], row["height"]),
        quiesced=bool(row["quiesced"]),
        tags=tuple(json.loads(row["tags"])),
    )
