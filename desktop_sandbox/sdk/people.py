"""What the SDK returns of links, control and recordings, as frozen values; times are aware datetimes in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from desktop_sandbox.sdk.models import parse_time


@dataclass(frozen=True)
class StreamToken:
    """A link for one person. `rights` is view or control; `url` holds the token in its fragment."""

    id: str
    rights: str
    name: str
    expires_at: datetime
    token: str = field(repr=False)
    url: str = field(repr=False)


@dataclass(frozen=True)
class ControlState:
    """Who drives: `holder` is agent, viewer (its `name`) or none; `wanted_by` asked for it; `viewers` watch."""

    holder: str
    name: str | None
    since: datetime | None
    wanted_by: str | None
    viewers: int


@dataclass(frozen=True)
class RecordingInfo:
    """A recording: `state` is recording, done, or broken (`reason` says why)."""

    id: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    cursor: bool
    frames: int | None
    duration_ms: int | None
    size_bytes: int
    reason: str | None


def parse_token(data: Mapping[str, Any]) -> StreamToken:
    """A token out of the API's JSON."""
    expires = parse_time(data["expires_at"])
    assert expires is not None
    return StreamToken(data["id"], data["rights"], data["name"], expires, data["token"], data["url"])


def parse_control(data: Mapping[str, Any]) -> ControlState:
    """Who drives, out of the API's JSON."""
    return ControlState(data["holder"], data["name"], parse_time(data["since"]), data["wanted_by"], data["viewers"])


def parse_recording(data: Mapping[str, Any]) -> RecordingInfo:
    """A recording out of the API's JSON."""
    started = parse_time(data["started_at"])
    assert started is not None
    return RecordingInfo(
        id=data["id"],
        state=data["state"],
        started_at=started,
        ended_at=parse_time(data["ended_at"]),
        cursor=data["cursor"],
        frames=data["frames"],
        duration_ms=data["duration_ms"],
        size_bytes=data["size_bytes"],
        reason=data["reason"],
    )
