"""What the SDK returns of the inside of a desktop: changes of files, links to them. Frozen values."""

from __future__ import annotations

from collections.abc import Mapping
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


def parse_link(data: Mapping[str, Any]) -> FileLink:
    """A link out of the API's JSON."""
    expires = parse_time(data["expires_at"])
    assert expires is not None
    return FileLink(data["access"], expires, data["url"])
