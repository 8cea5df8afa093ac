"""Kept answers of idempotency keys, in SQLite. A key is `running` (noted before work that must not be repeated) or
`done` (with its answer), and belongs to one request, known by its digest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self

from desktop_sandbox import errors
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.node.database import Database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

MIGRATIONS = (
    """
    CREATE TABLE keys (
        key TEXT PRIMARY KEY, digest BLOB NOT NULL, state TEXT NOT NULL, time REAL NOT NULL,
        status INTEGER, media_type TEXT, body BLOB) WITHOUT ROWID;
    CREATE INDEX keys_time ON keys(time);
    """,
    "ALTER TABLE keys ADD COLUMN headers TEXT;",
)


class KeyStore:
    """The file of kept answers; those older than `seconds` do not exist any more."""

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self._seconds = seconds

    @classmethod
    async def open(cls, path: Path, *, seconds: float) -> Self:
        """Open or make the file."""
        return cls(await Database.open(path, MIGRATIONS), seconds)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    def knows(self, key: str, now: float) -> bool:
        """Whether there is a row for the key."""
        return self._database.read_now(lambda link: self._row(link, key, now)) is not None

    def lookup(self, key: str, digest: bytes, now: float) -> Answer | None:
        """The kept answer; InvalidRequestError for another request's key, ConflictError if it never ended."""
        return self._database.read_now(lambda link: self._kept(link, key, digest, now))

    async def begin(self, key: str, digest: bytes, now: float) -> Answer | None:
        """Note that work begins and return None, or the answer kept already; errors as `lookup`."""

        def work(link: sqlite3.Connection) -> Answer | None:
            kept = self._kept(link, key, digest, now)
            if kept is None:
                link.execute(
                    "INSERT OR REPLACE INTO keys (key, digest, state, time) VALUES (?, ?, 'running', ?)",
                    (key, digest, now),
                )
            return kept

        return await self._database.write(work)

    async def save(self, key: str, digest: bytes, answer: Answer, now: float) -> None:
        """Keep an answer (its smaller form where it has one)."""
        await self.save_all([(key, digest, answer, now)])

    async def save_all(self, answers: Sequence[tuple[str, bytes, Answer, float]]) -> None:
        """Keep answers with their keys, digests and times, in one transaction."""
        rows = [
            (
                key,
                digest,
                now,
                answer.status,
                answer.media_type,
                answer.body if answer.kept is None else answer.kept,
                json.dumps(answer.headers) if answer.headers else None,
            )
            for key, digest, answer, now in answers
        ]

        def work(link: sqlite3.Connection) -> None:
            link.executemany(
                "INSERT OR REPLACE INTO keys (key, digest, state, time, status, media_type, body, headers)"
                " VALUES (?, ?, 'done', ?, ?, ?, ?, ?)",
                rows,
            )

        await self._database.write(work)

    async def forget(self, key: str) -> None:
        """Let a key be used again: nothing was done under it."""
        await self._database.write(lambda link: link.execute("DELETE FROM keys WHERE key = ?", (key,)))

    async def purge(self, now: float) -> None:
        """Drop what is too old."""
        oldest = now - self._seconds
        await self._database.write(lambda link: link.execute("DELETE FROM keys WHERE time < ?", (oldest,)))

    def _row(self, link: sqlite3.Connection, key: str, now: float) -> sqlite3.Row | None:
        query = "SELECT * FROM keys WHERE key = ? AND time > ?"
        row: sqlite3.Row | None = link.execute(query, (key, now - self._seconds)).fetchone()
        return row

    def _kept(self, link: sqlite3.Connection, key: str, digest: bytes, now: float) -> Answer | None:
        row = self._row(link, key, now)
        if row is None:
            return None
        check_same(key, row["digest"], digest)
        if row["state"] == "running":
            raise errors.ConflictError(
                "this is still running, or the server was ended while it ran: whether it was done is not known",
                hint="look at the sandbox, then use a new Idempotency-Key if it has to be done again",
            )
        headers = tuple((name, value) for name, value in json.loads(row["headers"] or "[]"))
        return Answer(row["status"], row["body"], row["media_type"], headers=headers)


def check_same(key: str, kept: bytes, digest: bytes) -> None:
    """InvalidRequestError if a key's request was another one."""
    if kept != digest:
        raise errors.InvalidRequestError(
            f"the Idempotency-Key {key!r} was used for another request",
            hint="use a new key for each change, and the same one only to repeat it",
        )
