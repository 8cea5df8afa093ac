"""What goes over the pipes: one JSON object a line. Pure.

In:   {"op": "execute", "id", "code", "timeout_ms"} · {"op": "interrupt"} · {"op": "restart"}
Out:  {"t": "ready", "language", "name"} · {"t": "accepted", "id"} · {"t": "output", "id", "type", …} ·
      {"t": "done", "id", "status", "count"} · {"t": "heard"} · {"t": "restarted"} · {"t": "failed", "message"}

`type` and what comes with it are Jupyter's (https://jupyter-client.readthedocs.io/en/stable/messaging.html): stream,
display_data, update_display_data, execute_result, clear_output, error. `status`: ok, error, interrupted, timeout,
restarted or died.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

KEPT = {
    "stream": ("name", "text"),
    "display_data": ("data", "metadata", "transient"),
    "update_display_data": ("data", "metadata", "transient"),
    "execute_result": ("data", "metadata", "execution_count"),
    "clear_output": ("wait",),
    "error": ("ename", "evalue", "traceback"),
}

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class BadRequestError(ValueError):
    """A line that asks for nothing known."""


@dataclass(frozen=True)
class Execute:
    """Run this code; `timeout_s` None: however long it takes."""

    id: str
    code: str
    timeout_s: float | None


def read_request(line: bytes) -> Execute | str:
    """An Execute, "interrupt" or "restart". Raises BadRequestError."""
    try:
        asked = json.loads(line)
    except ValueError:
        raise BadRequestError("a request that is no JSON") from None
    match asked:
        case {"op": ("interrupt" | "restart") as op}:
            return str(op)
        case {"op": "execute", "id": str(number), "code": str(code), **rest}:
            timeout: Any = rest.get("timeout_ms")
            return Execute(number, code, timeout / 1000 if isinstance(timeout, int | float) else None)
    raise BadRequestError("a request for nothing known")


def write_line(**message: Any) -> bytes:
    """A message as its line."""
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"


def output(number: str, kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """What a kernel's message says to whoever asked; None: nothing. A traceback is without a terminal's colours."""
    if kind not in KEPT:
        return None
    said = {name: content[name] for name in KEPT[kind] if name in content}
    if kind == "error":
        said["traceback"] = [_COLOURS.sub("", line) for line in said.get("traceback") or ()]
    return {"t": "output", "id": number, "type": kind, **said}
