"""Addresses of guests' ports, `<port>-<sandbox>.<domain>`, and who may use them. Knows no HTTP client and no node.

A port is shut unless the caller brings a token for just this port (or the API key), or its owner made it public, which
is kept in a file and so outlives the server.
"""

from __future__ import annotations

import hmac
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from desktop_sandbox.api.signing import seal, unseal, wrong
from desktop_sandbox.errors import AuthenticationError
from desktop_sandbox.node.database import Database

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "dsp_"
PURPOSE = "desktop-sandbox port v1"
MAX_TTL_S = 7 * 24 * 3600.0
_HOST = re.compile(r"(?P<port>[1-9]\d{0,4})-(?P<sandbox>[a-z0-9][a-z0-9-]{0,62})\.(?P<domain>[a-z0-9.-]+)(?::\d{1,5})?")
MIGRATIONS = (
    """
    CREATE TABLE public_ports (
        sandbox TEXT NOT NULL, port INTEGER NOT NULL, PRIMARY KEY (sandbox, port)) WITHOUT ROWID;
    """,
)


@dataclass(frozen=True)
class GuestPort:
    """A TCP port of one sandbox."""

    sandbox: str
    port: int


def read_host(host: str, domain: str) -> GuestPort | None:
    """The port that a Host header names; None for any other host."""
    found = _HOST.fullmatch(host.lower())
    if found is None or found["domain"] != domain or int(found["port"]) > 65535:
        return None
    return GuestPort(found["sandbox"], int(found["port"]))


def write_host(there: GuestPort, domain: str) -> str:
    """The host name of a port."""
    return f"{there.port}-{there.sandbox}.{domain}"


def address(there: GuestPort, domain: str, server: str) -> str:
    """The port's URL, where this server is reached at the URL `server`."""
    parts = urlsplit(server)
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{write_host(there, domain)}{port}/"


class PortAccess:
    """Decides who may use a port, and makes tokens."""

    def __init__(self, database: Database, key: bytes, api_key: str) -> None:
        self._database = database
        self._key = key
        self._api_key = api_key.encode()

    @classmethod
    async def open(cls, path: Path, key: bytes, api_key: str) -> Self:
        """Open or make the file of public ports."""
        return cls(await Database.open(path, MIGRATIONS), key, api_key)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def publish(self, there: GuestPort, public: bool) -> None:
        """Let everybody use a port, or only those with a token."""
        verb = "INSERT OR IGNORE INTO public_ports VALUES (?, ?)"
        if not public:
            verb = "DELETE FROM public_ports WHERE sandbox = ? AND port = ?"
        await self._database.write(lambda link: link.execute(verb, (there.sandbox, there.port)))

    def is_public(self, there: GuestPort) -> bool:
        """Whether everybody may use it."""
        query = "SELECT 1 FROM public_ports WHERE sandbox = ? AND port = ?"
        return (
            self._database.read_now(lambda link: link.execute(query, (there.sandbox, there.port)).fetchone())
            is not None
        )

    def token(self, there: GuestPort, expires_at: float) -> str:
        """A token for one port, good until then (seconds since the epoch)."""
        return seal(PREFIX, [there.sandbox, there.port, expires_at], self._key)

    def check(self, there: GuestPort, given: str, now: float | None = None) -> float:
        """When what was given expires. AuthenticationError if it does not open this port."""
        now = time.time() if now is None else now
        if hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._api_key):
            return now + MAX_TTL_S
        sandbox, port, expires_at = unseal(PREFIX, given, self._key, 3)
        if (sandbox, port) != (there.sandbox, there.port) or not isinstance(expires_at, float):
            raise wrong()
        if expires_at <= now:
            raise AuthenticationError("this address has expired", hint="ask who gave it for a new one")
        return expires_at
