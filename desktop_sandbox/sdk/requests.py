"""Decides what the SDK sends and when it tries again. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from actions.patience import SETTLE_MS, patience_s
from desktop_sandbox import errors
from desktop_sandbox.sdk.models import SnapshotInfo
from desktop_sandbox.sdk.network import Policy, policy_body

Button = Literal["left", "right", "middle", "back", "forward"]
Direction = Literal["up", "down", "left", "right"]
ImageFormat = Literal["png", "jpeg", "webp", "raw", "bytes"]
Region = tuple[int, int, int, int]
Point = tuple[int, int]

RETRIES = 4
TEXT_CHUNK = 4096
ACT_TIMEOUT_S = 600.0
_ANSWERED_S = 30.0
_CHANGES_S = 5.0
_STEPS: dict[str, tuple[int, int]] = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}


def backoff(attempt: int, rng: random.Random) -> float:
    """Seconds before try number `attempt` + 1: doubling from 50 ms, jittered by half."""
    return float(0.05 * 2**attempt * rng.uniform(0.5, 1.0))


def pauses(seconds: float) -> list[float]:
    """Pauses between tries that fill so many seconds: doubling from 50 ms to 2 s."""
    found: list[float] = []
    while sum(found) < seconds:
        found.append(min(0.05 * 2.0 ** len(found), 2.0))
    return found


def at(x: int | None, y: int | None) -> dict[str, int]:
    """The place of an action: both coordinates, or neither (where the pointer is)."""
    if x is None and y is None:
        return {}
    if x is None or y is None:
        raise errors.InvalidActionError(
            f"a place needs both coordinates: x is {x}, y is {y}", hint="give both, or neither"
        )
    return {"x": x, "y": y}


def held(modifiers: Sequence[str]) -> dict[str, list[str]]:
    """The modifiers of an action."""
    return {"modifiers": list(modifiers)} if modifiers else {}


def scrolled(direction: str, amount: int) -> dict[str, int]:
    """Wheel steps of a direction."""
    step = _STEPS.get(direction)
    if step is None:
        raise errors.InvalidActionError(f"cannot scroll {direction!r}", hint=f"directions: {', '.join(_STEPS)}")
    return {"dx": step[0] * amount, "dy": step[1] * amount}


def text_chunks(text: str) -> list[str]:
    """Text in pieces, so that each call ends in bounded time. A line end (CR LF) stays whole: it is one key."""
    pieces: list[str] = []
    start = 0
    while start < len(text):
        end = start + TEXT_CHUNK
        if text[end - 1 : end + 1] == "\r\n":
            end -= 1
        pieces.append(text[start:end])
        start = end
    return pieces


def typed_before(error: errors.DesktopSandboxError, before: int, length: int) -> None:
    """Tell a failure of a later piece of a text in terms of the whole text, `length` characters long."""
    if before:
        partial = error.evidence.get("partial")
        typed = partial.get("typed") if isinstance(partial, dict) else None
        known = isinstance(typed, int)
        count = before + (typed if isinstance(typed, int) else 0)
        error.evidence["partial"] = {"typed": count}
        error.message += f"; {'' if known else 'at least '}{count} of the text's {length} characters were typed"


def waiting(body: Mapping[str, Any], patience_s: float) -> dict[str, Any]:
    """A body that asks to wait so long, rather than be refused, while a person drives."""
    return {**body, "wait_for_control": patience_s} if patience_s else dict(body)


def act_wait_s(body: Mapping[str, Any]) -> float:
    """Seconds to wait for the answer to a batch: as long as the server takes over it at most, and some more."""
    timeout = body.get("timeout")
    limit_s = max(ACT_TIMEOUT_S, patience_s(body["actions"])) if timeout is None else _amount(body, "timeout", 0)
    picture_ms = _amount(body.get("screenshot"), "deadline", SETTLE_MS)
    changes_s = _amount(body.get("changes"), "timeout", _CHANGES_S)
    return limit_s + picture_ms / 1000 + changes_s + _amount(body, "wait_for_control", 0) + _ANSWERED_S


def _amount(options: object, name: str, default: float) -> float:
    """A number among options that may be just true or false; what is none is for the server to refuse."""
    if not isinstance(options, Mapping):
        return default if options else 0
    value = options.get(name, default)
    return value if isinstance(value, int | float) else 0


def screenshot_query(
    format: str,
    quality: int,
    scale: float,
    region: Region | None,
    cursor: bool,
    stable_ms: int | None,
    deadline_ms: int,
) -> dict[str, str]:
    """Query parameters of a screenshot; E2B's "bytes" and "stream" are a png."""
    query = {"format": "png" if format in ("bytes", "stream") else format}
    if quality != 80:
        query["quality"] = str(quality)
    if scale != 1:
        query["scale"] = str(scale)
    if region is not None:
        query["region"] = ",".join(map(str, region))
    if not cursor:
        query["cursor"] = "false"
    if stable_ms is not None:
        query |= {"stable": str(stable_ms), "deadline": str(deadline_ms)}
    return query


def create_body(
    template: str,
    resolution: Point | None,
    timeout: float | None,
    metadata: Mapping[str, str] | None,
    *,
    snapshot: str | None,
    on_timeout: str,
    auto_resume: bool,
    freeze_after: float | None,
    network: Policy | str | None = None,
) -> dict[str, Any]:
    """JSON of a create call."""
    body: dict[str, Any] = {"template": template, "timeout": timeout, "metadata": dict(metadata or {})}
    body |= {"snapshot": snapshot, "on_timeout": on_timeout, "auto_resume": auto_resume}
    if freeze_after is not None:
        body["freeze_after"] = freeze_after
    if network is not None:
        body["network"] = policy_body(network)
    if resolution is not None:
        body["resolution"] = {"width": resolution[0], "height": resolution[1]}
    return body


def command_body(
    command: str | Sequence[str],
    *,
    timeout: float | None,
    cwd: str | None,
    env: Mapping[str, str] | None,
    user: str,
) -> dict[str, Any]:
    """JSON of a command."""
    body: dict[str, Any] = {
        "command": command if isinstance(command, str) else list(command),
        "timeout": timeout,
        "user": user,
        "env": dict(env or {}),
    }
    if cwd is not None:
        body["cwd"] = cwd
    return body


def not_reached(url: str, error: Exception) -> errors.ServerError:
    """The error for a server that does not answer."""
    return errors.ServerError(
        f"cannot reach the server at {url}: {str(error) or type(error).__name__}",
        hint='start one with "make run" or "desktop-sandbox serve", or set DESKTOP_SANDBOX_URL',
        url=url,
    )


def snapshot_id(snapshot: str | SnapshotInfo) -> str:
    """The id of a snapshot that was given as such or by its id."""
    return snapshot if isinstance(snapshot, str) else snapshot.snapshot_id


def segment(name: str) -> str:
    """An id or a name as one segment of a URL's path; InvalidRequestError for one that would name another path."""
    if name in ("", ".", "..") or "/" in name:
        raise errors.InvalidRequestError(f"{name!r} is no id or name", hint="ids and names have no slash; list them")
    return quote(name, safe="")
