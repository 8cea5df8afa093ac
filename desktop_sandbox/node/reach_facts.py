"""What a guest's agent says of jobs and changes of files, checked. Pure. GuestError for what makes no sense."""

from __future__ import annotations

import json
from typing import Any

from desktop_sandbox.errors import GuestError
from desktop_sandbox.node.reach_interface import FileChange, JobInfo

EVENTS = frozenset({"ready", "created", "changed", "written", "attributes", "removed", "moved", "overflow"})
_MAX_PATH = 16_384
_MAX_ID = 64
_MAX_PARTS = 50
_MAX_PART = 1000
_LARGEST = 1 << 63


def read_change(line: bytes | bytearray) -> FileChange:
    """A line of file.watch."""
    try:
        said = json.loads(line)
        event, path, source = said["event"], said["path"], said.get("from")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise GuestError("the guest's agent told of a change that cannot be read") from None
    if event not in EVENTS or not _is_path(path) or not (source is None or _is_path(source)):
        raise GuestError(f"the guest's agent told of an odd change: {event!r:.80}")
    return FileChange(event, _text(path), bool(said.get("folder")), None if source is None else _text(source))


def read_job(said: Any) -> JobInfo:
    """What the agent tells of a job."""
    if not isinstance(said, dict):
        raise GuestError("the guest's agent told of a job that is none")
    command = said.get("command")
    if not isinstance(command, list) or len(command) > _MAX_PARTS or not all(isinstance(part, str) for part in command):
        raise GuestError("the guest's agent told of a job with an odd command")
    ended_ns = _number(said, "ended_ns", optional=True)
    started_ns = _number(said, "started_ns")
    return JobInfo(
        id=_name(said, "job"),
        command=[_text(part[:_MAX_PART]) for part in command],
        user=_name(said, "user"),
        pid=_number(said, "pid") or 0,
        terminal=said.get("terminal") is True,
        rows=_number(said, "rows") or 0,
        columns=_number(said, "columns") or 0,
        running=said.get("running") is True,
        started_at=_seconds(started_ns or 0),
        ended_at=None if ended_ns is None else _seconds(ended_ns),
        exit_code=_number(said, "exit_code", optional=True),
        signal=_number(said, "signal", optional=True),
        timed_out=said.get("timed_out") is True,
        attached=_number(said, "attached") or 0,
        start=_number(said, "start") or 0,
        end=_number(said, "end") or 0,
    )


def _number(said: dict[str, Any], name: str, *, optional: bool = False) -> int | None:
    value = said.get(name)
    if value is None and optional:
        return None
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise GuestError(f"the guest's agent told of a job whose {name} is {value!r:.80}")
    return value


def _name(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID:
        raise GuestError(f"the guest's agent told of a job whose {name} is {value!r:.80}")
    return _text(value)


def _seconds(ns: int) -> float:
    """A time that calendars have: a guest may say any."""
    return min(ns / 1e9, 253_402_300_799.0)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_PATH


def _text(value: str) -> str:
    """Without lone surrogates, which no UTF-8 encoder takes."""
    return value.encode("utf-8", "replace").decode()
