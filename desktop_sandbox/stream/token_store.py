"""Which tokens were made and which are revoked, in SQLite, with the secret that signs them in a file of HOME (0600).

A check costs no query: revoked ids that have not expired yet are in memory. Tokens themselves are stored nowhere.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Self

from desktop_sandbox.errors import AuthenticationError, ConfigurationError, InvalidRequestError, NotFoundError
from desktop_sandbox.node.database import Database
from desktop_sandbox.stream.tokens import MAX_TTL_S, Rights, Token, derive_key, sign, verify

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

MIGRATIONS = (
    """
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY, sandbox TEXT NOT NULL, rights TEXT NOT NULL, name TEXT NOT NULL,
        created_at REAL NOT NULL, expires_at REAL NOT NULL, revoked_at REAL) WITHOUT ROWID;
    CREATE INDEX tokens_sandbox ON tokens(sandbox);
    CREATE INDEX tokens_expiry ON tokens(expires_at);
    """,
    "ALTER TABLE tokens ADD COLUMN parent TEXT;",
)
_FAMILY = """
    WITH RECURSIVE family(id, expires_at) AS (
        SELECT id, expires_at FROM tokens WHERE id = ? AND sandbox = ? AND expires_at >= ?
        UNION SELECT tokens.id, tokens.expires_at FROM tokens JOIN family ON tokens.parent = family.id)
    SELECT id, expires_at FROM family"""
_INSERT = """
    INSERT INTO tokens (id, sandbox, rights, name, created_at, expires_at, parent) VALUES (?,?,?,?,?,?,?)"""
_SECRET_BYTES = 32
MAX_NAME = 64


class TokenStore:
    """The tokens of one HOME."""

    def __init__(self, database: Database, key: bytes, clock: Callable[[], float]) -> None:
        self._database = database
        self._key = key
        self._clock = clock
        self._revoked: dict[str, float] = {}

    @classmethod
    async def open(cls, path: Path, secret: Path, clock: Callable[[], float] = time.time) -> Self:
        """Open or make the file; makes the secret on first use."""
        store = cls(await Database.open(path, MIGRATIONS), derive_key(load_or_make_secret(secret)), clock)
        now = clock()
        await store._database.write(lambda link: link.execute("DELETE FROM tokens WHERE expires_at < ?", (now,)))
        query = "SELECT id, expires_at FROM tokens WHERE revoked_at IS NOT NULL"
        rows = await store._database.read(lambda link: link.execute(query).fetchall())
        store._revoked = {row["id"]: row["expires_at"] for row in rows}
        return store

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def make(
        self,
        sandbox_id: str,
        rights: Rights,
        ttl_s: float,
        *,
        name: str = "",
        takes_control: bool = False,
        parent: Token | None = None,
    ) -> tuple[Token, str]:
        """A new token, and the text that its holder carries.

        With a `parent` it ends with that one at the latest, and is revoked with it: AuthenticationError if it is no
        good any more.
        """
        if not 0 < ttl_s <= MAX_TTL_S:
            raise InvalidRequestError(
                f"a token for {ttl_s} s", hint=f"more than 0 and at most {MAX_TTL_S:.0f} s (30 days)"
            )
        now = self._clock()
        ends_at = round(now + ttl_s, 3) if parent is None else min(round(now + ttl_s, 3), parent.expires_at)
        token = Token(secrets.token_hex(8), sandbox_id, rights, ends_at, name[:MAX_NAME], takes_control)
        above = None if parent is None else parent.id
        row = (token.id, sandbox_id, rights, token.name, now, ends_at, above)

        def work(link: sqlite3.Connection) -> None:
            link.execute("DELETE FROM tokens WHERE expires_at < ?", (now,))
            good = "SELECT 1 FROM tokens WHERE id = ? AND revoked_at IS NULL"
            if above is not None and link.execute(good, (above,)).fetchone() is None:
                raise AuthenticationError("the link was revoked or has expired", hint="ask for a new one")
            link.execute(_INSERT, row)

        await self._database.write(work)
        self._revoked = {each: until for each, until in self._revoked.items() if until > now}
        return token, sign(token, self._key)

    def check(self, text: str) -> Token:
        """What a token allows. AuthenticationError if it is not ours, expired or revoked."""
        token = verify(text, self._key, self._clock())
        if token.id in self._revoked:
            raise AuthenticationError("the link was revoked", hint="ask for a new one")
        return token

    def is_good(self, token: Token) -> bool:
        """Whether a token that was checked before still holds."""
        return token.expires_at > self._clock() and token.id not in self._revoked

    def left_s(self, token: Token) -> float:
        """For how many seconds more a token holds; 0 for one that has expired."""
        return max(0.0, token.expires_at - self._clock())

    async def revoke(self, sandbox_id: str, token_id: str) -> Collection[str]:
        """Let a token, and all that were made with it, be good for nothing from now on; their ids.

        NotFoundError if that sandbox has no such token.
        """
        now = self._clock()

        def work(link: sqlite3.Connection) -> dict[str, float]:
            found = {row["id"]: row["expires_at"] for row in link.execute(_FAMILY, (token_id, sandbox_id, now))}
            for each in found:
                link.execute("UPDATE tokens SET revoked_at = ? WHERE id = ?", (now, each))
            return found

        gone = await self._database.write(work)
        if not gone:
            raise NotFoundError(
                f"{sandbox_id} has no token {token_id}", hint="it may have expired; GET …/tokens lists what there is"
            )
        self._revoked.update(gone)
        return gone.keys()

    async def list(self, sandbox_id: str) -> list[Token]:
        """The tokens of a sandbox that are good now."""
        now = self._clock()
        query = "SELECT * FROM tokens WHERE sandbox = ? AND expires_at > ? AND revoked_at IS NULL ORDER BY created_at"
        rows = await self._database.read(lambda link: link.execute(query, (sandbox_id, now)).fetchall())
        return [Token(row["id"], row["sandbox"], row["rights"], row["expires_at"], row["name"]) for row in rows]


def load_or_make_secret(path: Path) -> bytes:
    """Read the secret, or make it (0600, appearing complete or not at all)."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
            secret = path.read_bytes()
            if len(secret) != _SECRET_BYTES:
                raise ConfigurationError(
                    f"{path} does not hold a secret of {_SECRET_BYTES} bytes",
                    hint="remove it: another one is made, and all viewers need new links",
                )
            return secret
        aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_SECRET_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        finally:
            aside.unlink()
