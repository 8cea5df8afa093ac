"""What a code context in the guest says, as what the API says of it. Pure; the guest is not trusted.

The guest's lines are those of guest_image/code/lines.py. Of displays that are updated only the newest is kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from desktop_sandbox.errors import GuestError

MAX_LINE_BYTES = 64 << 20
MAX_TEXT_BYTES = 16 << 20
STATUSES = frozenset(("ok", "error", "interrupted", "timeout", "restarted", "died"))


class Lines:
    """Pieces of output to messages. GuestError for a line without end."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Whole messages; what is none is left out."""
        self._rest += data
        if b"\n" not in data:
            if len(self._rest) > MAX_LINE_BYTES:
                raise GuestError(
                    f"code showed something of more than {MAX_LINE_BYTES >> 20} MiB", hint="save it instead"
                )
            return []
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        found = []
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:  # the first may be the end of one that was said before
                continue
            if isinstance(message, dict):
                found.append(message)
        return found


def line_of(message: dict[str, Any]) -> dict[str, Any] | None:
    """One output of the guest as a line of the API; None for what says nothing to the caller."""
    kind = message.get("type")
    if kind == "stream":
        name = "stderr" if message.get("name") == "stderr" else "stdout"
        return {"stream": name, "text": str(message.get("text", ""))}
    if kind in ("display_data", "execute_result", "update_display_data"):
        data = message.get("data")
        return {"result": {"data": data if isinstance(data, dict) else {}, "main": kind == "execute_result"}}
    if kind == "error":
        traceback = message.get("traceback")
        lines = [str(line) for line in traceback] if isinstance(traceback, list) else []
        return {
            "error": {
                "name": str(message.get("ename", "")),
                "value": str(message.get("evalue", "")),
                "traceback": "\n".join(lines),
            }
        }
    return None


@dataclass
class Gathered:
    """All that code said, for a whole answer."""

    results: list[dict[str, Any]] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=lambda: {"stdout": [], "stderr": []})
    error: dict[str, Any] | None = None
    _displays: dict[str, int] = field(default_factory=dict)
    _size: int = 0

    def add(self, message: dict[str, Any]) -> None:
        """Take one output of the guest. GuestError where it is too much for a whole answer."""
        line = line_of(message)
        if message.get("type") == "clear_output":
            self.results.clear()
            self._displays.clear()
        if line is None:
            return
        self._size += len(json.dumps(line))
        if self._size > MAX_TEXT_BYTES:
            raise GuestError(
                f"the code said more than {MAX_TEXT_BYTES >> 20} MiB", hint="stream what it says, or save it to a file"
            )
        if "text" in line:
            self.texts[line["stream"]].append(line["text"])
        elif "error" in line:
            self.error = line["error"]
        else:
            self._add_result(line["result"], message)

    def _add_result(self, result: dict[str, Any], message: dict[str, Any]) -> None:
        transient = message.get("transient")
        name = transient.get("display_id") if isinstance(transient, dict) else None
        if isinstance(name, str) and name in self._displays:
            self.results[self._displays[name]] = result
            return
        if message.get("type") == "update_display_data":
            return  # of something that earlier code showed
        if isinstance(name, str):
            self._displays[name] = len(self.results)
        self.results.append(result)

    def json(self, done: dict[str, Any], context: str) -> dict[str, Any]:
        """The whole answer, once the guest said that it is done."""
        return {
            "results": self.results,
            "stdout": "".join(self.texts["stdout"]),
            "stderr": "".join(self.texts["stderr"]),
            "error": self.error,
            **end_of(done, context),
        }


def end_of(done: dict[str, Any], context: str) -> dict[str, Any]:
    """The end of an execution as the API says it."""
    status, count = done.get("status"), done.get("count")
    return {
        "status": status if status in STATUSES else "error",
        "count": count if isinstance(count, int) else None,
        "context": context,
    }
