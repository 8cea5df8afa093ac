"""One SQLite file: schema with version, one thread that writes and one that reads. Knows no tables.

WAL with synchronous=NORMAL: what was committed survives a killed process; `durable=True` commits also
survive a
power cut. Calls are functions of a connection, run on the thread; every write is one short transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

from desktop_sandbox.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")


class Database:
    """An open SQLite file.

    `await Database.open(...)`, `await write(fn)`, `await read(fn)`, `await close()`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-write")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-read")
        self._write_link: sqlite3.Connection
        self._read_link: sqlite3.Connection
        self._lookup_link: sqlite3.Connection
        self._closed = False

    def __repr__(self) -> str:
        return f"<Database {self.path} {'closed' if self._closed else 'open'}>"

    @classmethod
    async def open(cls, path: Path, migrations: Sequence[str]) -> Self:
        """Open or make the file and bring it to the newest schema.

        `migrations[n]` leads from version n to n + 1.
        """
        database = cls(path)
        loop = asyncio.get_running_loop()
        try:
            database._write_link = await loop.run_in_executor(database._writer, _connect, path)
            await loop.run_in_executor(database._writer, migrate, database._write_link, migrations)
            database._read_link = await loop.run_in_executor(database._reader, _connect, path)
            database._lookup_link = await loop.run_in_executor(database._reader, _connect, path)
        except sqlite3.Error as error:
            await database.close()
            raise ConfigurationError(
                f"cannot open the database {path}: {error}",
                hint="check that the folder can be written and the disk is not full",
            ) from error
        except BaseException:
            await database.close()
            raise
        return database

    async def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        """Run `work` in one transaction on the writing thread; an exception rolls it back."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transaction, work, durable)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which only reads, on the reading thread."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, lambda: work(self._read_link))

    def read_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the caller's thread: only for a look-up by primary key, which takes microseconds."""
        return work(self._lookup_link)

    async def close(self) -> None:
        """Close the connections and end both threads; twice does no harm."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        links = ((self._reader, "_lookup_link"), (self._reader, "_read_link"), (self._writer, "_write_link"))
        for executor, name in links:
            link = getattr(self, name, None)
            if link is not None:
                await loop.run_in_executor(executor, link.close)
        self._reader.shutdown(wait=True)
        self._writer.shutdown(wait=True)

    def _transaction(self, work: Callable[[sqlite3.Connection], T], durable: bool) -> T:
        link = self._write_link
        if durable:
            link.execute("PRAGMA synchronous=FULL")
        link.execute("BEGIN IMMEDIATE")
        try:
            result = work(link)
            link.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                link.execute("ROLLBACK")
            raise
        finally:
            if durable:
                link.execute("PRAGMA synchronous=NORMAL")
        return result


def migrate(link: sqlite3.Connection, migrations: Sequence[str]) -> int:
    """Apply what is missing, each step in one transaction; returns the schema's version."""
    version: int = link.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        raise ConfigurationError(
            f"the database has schema {version}, this program knows {len(migrations)}: a newer one wrote it",
            hint="install the newer version again, or set DESKTOP_SANDBOX_HOME to another folder",
        )
    for number in range(version, len(migrations)):
        step = f"{migrations[number]}\nPRAGMA user_version = {number + 1};"
        link.executescript(f"BEGIN IMMEDIATE;\n{step}\nCOMMIT;")
    return len(migrations)


def _connect(path: Path) -> sqlite3.Connection:
    path.touch(0o600)
    path.chmod(0o600)  # there are secrets in it; the files beside it get the same mode
    link = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    link.row_factory = sqlite3.Row
    link.execute("PRAGMA journal_mode=WAL")
    link.execute("PRAGMA synchronous=NORMAL")
    link.execute("PRAGMA foreign_keys=ON")
    return link
