"""What the SDK returns of the inside of a desktop: changes of files, links, terminals and background commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from desktop_sandbox.sdk.models import parse_time


@dataclass(frozen=True)
class FileChange:
    """A change of a watched file. `event`: ready (the watch has begun), created, changed, written (closed after
    writing), attributes, removed, moved (`source`: from where) or overflow (more happened than could be told)."""

    event: str
    path: str
    folder: bool
    source: str | None = None


@dataclass(frozen=True)
class FileLink:
    """An address that opens one path without a key until it expires; `access` is read, write or archive."""

    access: str
    expires_at: datetime
    url: str = field(repr=False)


@dataclass(frozen=True)
class JobInfo:
    """A terminal (with `rows` and `columns`) or background command. `exit_code`: 128 + signal where one ended it.

    `output_start` to `output_end` of its output is kept, in bytes of all that it ever wrote.
    """

    id: str
    command: Sequence[str]
    user: str
    pid: int
    rows: int | None
    columns: int | None
    running: bool
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None
    signal: int | None
    timed_out: bool
    connections: int
    output_start: int
    output_end: int


@dataclass(frozen=True)
class PortAddress:
    """Where a port of the desktop is reached by HTTP and WebSocket.

    `url` opens it in a browser; a program sends `token` as the header `X-Desktop-Sandbox-Token` (None: it is public).
    """

    host: str
    public: bool
    expires_at: datetime | None
    url: str = field(repr=False)
    token: str | None = field(repr=False)


def parse_address(data: Mapping[str, Any]) -> PortAddress:
    """A port's address out of the API's JSON."""
    return PortAddress(data["host"], data["public"], parse_time(data["expires_at"]), data["url"], data["token"])


def parse_job(data: Mapping[str, Any]) -> JobInfo:
    """A terminal or background command out of the API's JSON."""
    times = {name: parse_time(data[name]) for name in ("started_at", "ended_at")}
    return JobInfo(**{**data, **times})


def parse_link(data: Mapping[str, Any]) -> FileLink:
    """A link out of the API's JSON."""
    expires = parse_time(data["expires_at"])
    assert expires is not None
    return FileLink(data["access"], expires, data["url"])
