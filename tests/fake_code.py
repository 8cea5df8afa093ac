"""A code context of the fake node: speaks the lines of guest_image/code, and runs a language of a few words.

`say X`, `warn X` (stderr), `set X`, `get` (the value as a result), `show` (a picture and a table), `raise`, `wait`
(until it is interrupted or restarted), `die`, `flood N` (N lines of 1,000 letters).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from tests.fake_reach import FakeJob

PICTURE = b"\x89PNG not really"


@dataclass
class FakeContext(FakeJob):
    value: str = ""
    count: int = 0
    waiting: str | None = None
    _heard: bytes = b""

    def __post_init__(self) -> None:
        self.output.clear()
        kernel = self.spec.command[-1]
        if kernel not in ("python3", "bash"):
            self.tell(t="failed", message=f"there is no kernel {kernel!r} in this desktop")
            self.end(3)
        else:
            self.tell(t="ready", language=kernel, name=kernel)

    def tell(self, **message: Any) -> None:
        self.say(json.dumps(message).encode() + b"\n")

    def hear(self, data: bytes) -> None:
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            if asked["op"] == "execute":
                self.tell(t="accepted", id=asked["id"])
                self.execute(asked["id"], asked["code"], asked["timeout_ms"])
            elif asked["op"] == "interrupt":
                self.tell(t="heard")
                self.over("interrupted")
            elif not self.over("restarted"):
                self.value = ""
                self.tell(t="restarted")

    def over(self, status: str) -> bool:
        """End what waits, if anything does."""
        number, self.waiting = self.waiting, None
        if number is None:
            return False
        self.value = "" if status == "restarted" else self.value
        self.tell(t="output", id=number, type="error", ename="KeyboardInterrupt", evalue="", traceback=[])
        self.tell(t="done", id=number, status=status, count=None)
        return True

    def execute(self, number: str, code: str, timeout_ms: int | None) -> None:
        word, _, rest = code.partition(" ")
        status = "ok"

        def output(kind: str, **content: Any) -> None:
            self.tell(t="output", id=number, type=kind, **content)

        self.count += 1
        match word:
            case "say" | "warn":
                output("stream", name="stdout" if word == "say" else "stderr", text=rest)
            case "set":
                self.value = rest
            case "get":
                output("execute_result", data={"text/plain": self.value}, metadata={}, execution_count=self.count)
            case "show":
                table = {"data": [{"a": 1}]}
                picture = base64.b64encode(PICTURE).decode()
                output("display_data", data={"image/png": picture, "application/vnd.dataresource+json": table})
            case "raise":
                output("error", ename="ValueError", evalue="no", traceback=["one", "two"])
                status = "error"
            case "flood":
                for _ in range(int(rest)):
                    output("stream", name="stdout", text="x" * 1000)
            case "die":
                status, self.value = "died", ""
            case "wait" if timeout_ms is None or timeout_ms > 1000:
                self.waiting = number
                return
            case "wait":
                status = "timeout"
        self.tell(t="done", id=number, status=status, count=self.count)
