"""What a node remembers of its sandboxes across restarts: records and events, in SQLite. Decides nothing.

States move along `node.lifecycle.TRANSITIONS` only, checked in the same transaction that writes them. Lists
are newest first by a number that only grows, so pages stay whole while sandboxes come and go.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from desktop_sandbox.errors import ConflictError, NotFoundError
from desktop_sandbox.network.policy import masked_json
from desktop_sandbox.node.cursors import decode_cursor, encode_cursor
from desktop_sandbox.node.database import Database
from desktop_sandbox.node.facts import SandboxInfo, SandboxState
from desktop_sandbox.node.lifecycle import SandboxEvent, next_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MIGRATIONS = (
    """
    CREATE TABLE sandboxes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, create_key TEXT UNIQUE,
        template TEXT NOT NULL, state TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL,
        width INTEGER NOT NULL, height INTEGER NOT NULL, reason TEXT, pid INTEGER, pid_started INTEGER,
        directory TEXT, spec TEXT NOT NULL);
    CREATE TABLE metadata (
        sandbox TEXT NOT NULL REFERENCES sandboxes(id) ON DELETE CASCADE, name TEXT NOT NULL, value TEXT NOT
        NULL,
        PRIMARY KEY (sandbox, name)) WITHOUT ROWID;
    CREATE INDEX metadata_value ON metadata(name, value, sandbox);
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, sandbox TEXT NOT NULL REFERENCES sandboxes(id) ON DELETE
        CASCADE,
        time REAL NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL);
    CREATE INDEX events_sandbox ON events(sandbox, seq);
    """,
    """
    ALTER TABLE sandboxes ADD COLUMN snapshot TEXT;
    CREATE TABLE snapshots (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT, sandbox TEXT NOT NULL, parent TEXT,
        template TEXT NOT NULL, kind TEXT NOT NULL, created_at REAL NOT NULL, size_bytes INTEGER NOT NULL,
        width INTEGER NOT NULL, height INTEGER NOT NULL, quiesced INTEGER NOT NULL, stopped_ms REAL NOT NULL,
        description TEXT NOT NULL, tags TEXT NOT NULL);
    CREATE INDEX snapshots_sandbox ON snapshots(sandbox);
    """,
    "CREATE TABLE forks (snapshot TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;",
)

KEPT_NOTES = 200


@dataclass(frozen=True)
class SandboxRecord:
    """One sandbox as stored. `pid_started` is the process's start time in clock ticks (proc(5), field 22)."""

    id: str
    template: str
    state: SandboxState
    created_at: float
    expires_at: float | None
    resolution: tuple[int, int]
    metadata: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    pid: int | None = None
    pid_started: int | None = None
    directory: str | None = None
    create_key: str | None = None
    spec: Mapping[str, Any] = field(default_factory=dict, repr=False)
    snapshot: str | None = None

    @property
    def put_away(self) -> bool:
        """Whether it is paused because the node was short of memory, and comes back with the next call."""
        return self.state is SandboxState.PAUSED and bool(self.spec.get("put_away"))

    @property
    def network(self) -> Any:
        """What it may reach, with the secrets in it: never for callers."""
        return self.spec.get("network", "internet")

    def info(self, *, frozen: bool = False) -> SandboxInfo:
        """What callers may see of it."""
        return SandboxInfo(
            id=self.id,
            template=self.template,
            state=self.state,
            created_at=self.created_at,
            expires_at=self.expires_at,
            metadata=self.metadata,
            resolution=self.resolution,
            reason=self.reason,
            snapshot=self.snapshot,
            on_timeout=str(self.spec.get("on_timeout", "kill")),
            auto_resume=bool(self.spec.get("auto_resume", False)),
            freeze_after_s=self.spec.get("freeze_after_s"),
            frozen=frozen,
            network=masked_json(self.network),
        )


@dataclass(frozen=True)
class Event:
    """Something that happened to a sandbox: when (seconds since the epoch), what, and details."""

    time: float
    kind: str
    data: Mapping[str, Any]


class Store:
    """The node's records. All methods raise NotFoundError for unknown ids unless they say otherwise."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __repr__(self) -> str:
        return f"<Store {self._database!r}>"

    @property
    def database(self) -> Database:
        """The file, for the node's other tables."""
        return self._database

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open or make the store, migrating an older one."""
        return cls(await Database.open(path, MIGRATIONS))

    async def close(self) -> None:
        """Close the file; twice does no harm."""
        await self._database.close()

    async def add(self, record: SandboxRecord) -> tuple[SandboxRecord, bool]:
        """Insert a record. Where its `create_key` is known already.

        That sandbox's record and False, nothing stored.
        """

        def work(link: sqlite3.Connection) -> tuple[SandboxRecord, bool]:
            if record.create_key is not None:
                row = link.execute("SELECT * FROM sandboxes WHERE create_key = ?", (record.create_key,)).fetchone()
                if row is not None:
                    return _record(link, row), False
            try:
                link.execute(
                    "INSERT INTO sandboxes (id, create_key, template, state, created_at, expires_at, width, height,"
                    " reason, pid, pid_started, directory, spec, snapshot) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                    (record.id, record.create_key, record.template, str(record.state), record.created_at,
                     record.expires_at, *record.resolution, record.reason, record.pid, record.pid_started,
                     record.directory, json.dumps(dict(record.spec)), record.snapshot),
                )  # fmt: skip
            except sqlite3.IntegrityError as error:
                raise ConflictError(f"there is a sandbox {record.id} already") from error
            link.executemany(
                "INSERT INTO metadata (sandbox, name, value) VALUES (?, ?, ?)",
                [(record.id, name, value) for name, value in record.metadata.items()],
            )
            return record, True

        return await self._database.write(work)

    async def get(self, sandbox_id: str, *, settled: bool = False) -> SandboxRecord:
        """One record; `settled`: after all writes that were asked for before."""
        look = self._database.write if settled else self._database.read
        return await look(lambda link: _get(link, sandbox_id))

    async def move(
        self,
        sandbox_id: str,
        event: SandboxEvent,
        *,
        now: float,
        reason: str | None = None,
        data: Mapping[str, Any] | None = None,
        snapshot: str | None = None,
        spec: Mapping[str, Any] | None = None,
        durable: bool = False,
    ) -> SandboxRecord:
        """Apply a lifecycle event and note it in the events; `snapshot`: where in the tree it is from now on.

        `spec`: what changes in that. `durable`: so that a power cut does not take it back.

        ConflictError if it is illegal in the present state.
        """

        def work(link: sqlite3.Connection) -> SandboxRecord:
            record = _get(link, sandbox_id)
            moved = replace(
                record,
                state=next_state(record.state, event),
                reason=reason or record.reason,
                snapshot=snapshot or record.snapshot,
                spec={**record.spec, **(spec or {})},
            )
            link.execute(
                "UPDATE sandboxes SET state = ?, reason = ?, snapshot = ?, spec = ? WHERE id = ?",
                (str(moved.state), moved.reason, moved.snapshot, json.dumps(dict(moved.spec)), sandbox_id),
            )
            details = {
                "from": str(record.state),
                "to": str(moved.state),
                **({"reason": reason} if reason else {}),
            }
            _note(link, sandbox_id, now, str(event), {**details, **(data or {})})
            return moved

        return await self._database.write(work, durable=durable)

    async def keep_away(self, sandbox_id: str) -> SandboxRecord:
        """One that the node put away by itself is paused on purpose from now on; the record as it is now."""

        def work(link: sqlite3.Connection) -> SandboxRecord:
            record = _get(link, sandbox_id)
            kept = replace(record, spec={**record.spec, "put_away": False})
            link.execute("UPDATE sandboxes SET spec = ? WHERE id = ?", (json.dumps(dict(kept.spec)), sandbox_id))
            return kept

        return await self._database.write(work)

    async def set_process(self, sandbox_id: str, pid: int | None, pid_started: int | None, directory: str) -> None:
        """Remember the machine's process and folder."""
        await self._set(sandbox_id, "pid = ?, pid_started = ?, directory = ?", (pid, pid_started, directory))

    async def set_expiry(self, sandbox_id: str, expires_at: float | None) -> SandboxRecord:
        """Change when it expires; the record as it is now."""
        return await self._set(sandbox_id, "expires_at = ?", (expires_at,))

    async def postpone(self, sandbox_id: str, before: float | None, expires_at: float) -> None:
        """Change when it expires, unless somebody else did that meanwhile."""
        query = "UPDATE sandboxes SET expires_at = ? WHERE id = ? AND expires_at IS ?"
        await self._database.write(lambda link: link.execute(query, (expires_at, sandbox_id, before)).close())

    async def advance(self, sandbox_id: str, before: str | None, snapshot: str) -> bool:
        """Move a running sandbox from its place in the tree to a snapshot just taken of it; whether it was there."""

        def work(link: sqlite3.Connection) -> bool:
            query = "UPDATE sandboxes SET snapshot = ? WHERE id = ? AND state = ? AND snapshot IS ?"
            return link.execute(query, (snapshot, sandbox_id, str(SandboxState.RUNNING), before)).rowcount > 0

        return await self._database.write(work)

    async def set_resolution(self, sandbox_id: str, width: int, height: int) -> SandboxRecord:
        """Change the remembered screen size; the record as it is now."""
        return await self._set(sandbox_id, "width = ?, height = ?", (width, height))

    async def change_spec(self, sandbox_id: str, name: str, value: object) -> SandboxRecord:
        """Change one thing that it was made with; the record as it is now."""

        def work(link: sqlite3.Connection) -> SandboxRecord:
            spec = {**_get(link, sandbox_id).spec, name: value}
            link.execute("UPDATE sandboxes SET spec = ? WHERE id = ?", (json.dumps(spec), sandbox_id))
            return _get(link, sandbox_id)

        return await self._database.write(work)

    async def remove(self, sandbox_id: str) -> None:
        """Forget a sandbox with its metadata and events."""

        def work(link: sqlite3.Connection) -> None:
            if not link.execute("DELETE FROM sandboxes WHERE id = ?", (sandbox_id,)).rowcount:
                raise _unknown(sandbox_id)

        await self._database.write(work)

    async def forget_dead(self, before: float) -> list[str]:
        """Forget sandboxes that died before then (Unix time); their ids."""

        def work(link: sqlite3.Connection) -> list[str]:
            query = (
                "SELECT id FROM sandboxes WHERE state = ? AND"
                " COALESCE((SELECT MAX(time) FROM events WHERE sandbox = id), created_at) < ?"
            )
            gone = [row["id"] for row in link.execute(query, (str(SandboxState.DEAD), before)).fetchall()]
            link.executemany("DELETE FROM sandboxes WHERE id = ?", [(sandbox_id,) for sandbox_id in gone])
            return gone

        return await self._database.write(work)

    async def all(self, *states: SandboxState) -> list[SandboxRecord]:
        """Every record in one of the states (none given: every record), oldest first.

        For adoption at start.
        """

        def work(link: sqlite3.Connection) -> list[SandboxRecord]:
            marks = ",".join("?" * len(states))
            where = f"WHERE state IN ({marks})" if states else ""
            rows = link.execute(f"SELECT * FROM sandboxes {where} ORDER BY seq", [str(s) for s in states])  # noqa: S608
            return [_record(link, row) for row in rows.fetchall()]

        return await self._database.read(work)

    async def list(
        self,
        *,
        states: Sequence[SandboxState] = (),
        metadata: Mapping[str, str] | None = None,
        template: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[SandboxRecord], str | None]:
        """One page, newest first, and the cursor of the next.

        InvalidRequestError for a cursor not made here.
        """
        where, values = ["1"], []
        if states:
            where.append(f"state IN ({','.join('?' * len(states))})")
            values += [str(state) for state in states]
        if template is not None:
            where.append("template = ?")
            values.append(template)
        for name, value in (metadata or {}).items():
            where.append("EXISTS (SELECT 1 FROM metadata WHERE sandbox = sandboxes.id AND name = ? AND value = ?)")
            values += [name, value]
        bound = [*values, decode_cursor(cursor) if cursor else 1 << 62, limit + 1]
        query = f"SELECT * FROM sandboxes WHERE {' AND '.join(where)} AND seq < ? ORDER BY seq DESC LIMIT ?"  # noqa: S608

        def work(link: sqlite3.Connection) -> tuple[list[SandboxRecord], str | None]:
            rows = link.execute(query, bound).fetchall()
            more = encode_cursor(rows[limit - 1]["seq"]) if len(rows) > limit else None
            return [_record(link, row) for row in rows[:limit]], more

        return await self._database.read(work)

    async def note(self, sandbox_id: str, kind: str, data: Mapping[str, Any], *, now: float) -> None:
        """Add an event that is no change of state. Of each kind the newest KEPT_NOTES are kept."""

        def work(link: sqlite3.Connection) -> None:
            _get(link, sandbox_id)
            _note(link, sandbox_id, now, kind, data)
            link.execute(
                "DELETE FROM events WHERE sandbox = ? AND kind = ? AND seq <= (SELECT seq FROM events WHERE sandbox = ?"
                " AND kind = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (sandbox_id, kind, sandbox_id, kind, KEPT_NOTES),
            )

        await self._database.write(work)

    async def events(self, sandbox_id: str, *, limit: int = 200) -> Sequence[Event]:
        """The newest `limit` events, oldest first; empty for an unknown sandbox."""

        def work(link: sqlite3.Connection) -> Sequence[Event]:
            query = "SELECT * FROM events WHERE sandbox = ? ORDER BY seq DESC LIMIT ?"
            rows = link.execute(query, (sandbox_id, limit)).fetchall()
            return [Event(row["time"], row["kind"], json.loads(row["data"])) for row in reversed(rows)]

        return await self._database.read(work)

    async def _set(self, sandbox_id: str, columns: str, values: tuple[object, ...]) -> SandboxRecord:
        def work(link: sqlite3.Connection) -> SandboxRecord:
            link.execute(f"UPDATE sandboxes SET {columns} WHERE id = ?", (*values, sandbox_id))  # noqa: S608
            return _get(link, sandbox_id)

        return await self._database.write(work)


def _get(link: sqlite3.Connection, sandbox_id: str) -> SandboxRecord:
    row = link.execute("SELECT * FROM sandboxes WHERE id = ?", (sandbox_id,)).fetchone()
    if row is None:
        raise _unknown(sandbox_id)
    return _record(link, row)


def _record(link: sqlite3.Connection, row: sqlite3.Row) -> SandboxRecord:
    pairs = link.execute("SELECT name, value FROM metadata WHERE sandbox = ? ORDER BY name", (row["id"],)).fetchall()
    return SandboxRecord(
        id=row["id"],
        template=row["template"],
        state=SandboxState(row["state"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        resolution=(row["width"], row["height"]),
        metadata=dict(map(tuple, pairs)),
        reason=row["reason"],
        pid=row["pid"],
        pid_started=row["pid_started"],
        directory=row["directory"],
        create_key=row["create_key"],
        spec=json.loads(row["spec"]),
        snapshot=row["snapshot"],
    )


def _note(link: sqlite3.Connection, sandbox_id: str, now: float, kind: str, data: Mapping[str, Any]) -> None:
    link.execute(
        "INSERT INTO events (sandbox, time, kind, data) VALUES (?, ?, ?, ?)",
        (sandbox_id, now, kind, json.dumps(dict(data), default=str)),
    )


def _unknown(sandbox_id: str) -> NotFoundError:
    return NotFoundError(f"there is no sandbox {sandbox_id}", hint='"desktop-sandbox ls" lists those there are')
