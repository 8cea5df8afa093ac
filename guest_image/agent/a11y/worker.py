"""The reader's own process: `python -m guest_image.agent.a11y.worker`, as the desktop's user.

One JSON object a line comes in, one goes out. Whatever hangs or fails here, the agent ends this process and starts
another.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from guest_image.agent.a11y import element, find, tree
from guest_image.agent.a11y.bus import Bus, BusError
from guest_image.agent.a11y.walk import Limits

_CONNECT_S = 5.0
_FIND_NODES = 5000


class Worker:
    """Answers wishes one after another, over a connection that it keeps."""

    def __init__(self) -> None:
        self._bus: Bus | None = None

    def answer(self, wish: dict[str, Any]) -> dict[str, Any]:
        """What a wish comes to: {"ok"} or {"error": {"code", "message", "hint"}}."""
        begun = time.monotonic()
        deadline = begun + wish["timeout_ms"] / 1000
        try:
            try:
                result = self._do(wish, deadline)
            except BusError:
                # the connection may be one to a bus that is no more
                self._hang_up()
                result = self._do(wish, deadline)
        except tree.TreeError as error:
            return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
        except BusError as error:
            self._hang_up()
            hint = "programs tell of their elements over AT-SPI: is at-spi2-core in the image, and the session up?"
            return {"error": {"code": "unavailable", "message": error.message or str(error), "hint": hint}}
        return {"ok": {**result, "elapsed_ms": int((time.monotonic() - begun) * 1000)}}

    def _do(self, wish: dict[str, Any], deadline: float) -> dict[str, Any]:
        bus = self._connection(deadline)
        if wish["op"] == "act":
            return element.perform(bus, wish["id"], wish["verb"], wish["text"], wish["name"], deadline)
        finding = wish["op"] == "find"
        query = find.Query(wish["role"], wish["name"], wish["match"], tuple(wish["states"])) if finding else None
        asked = tree.Wish(
            scope=wish["scope"],
            app=wish["app"],
            focus=wish["focus"],
            limits=Limits(wish["max_depth"], hidden=wish["hidden"]),
            max_nodes=_FIND_NODES if finding else wish["max_nodes"],
            max_bytes=wish["max_bytes"],
            deadline=deadline,
            timeout_s=wish["timeout_ms"] / 1000,
        )
        found = tree.read(bus, asked)
        return tree.answer(found, asked) if query is None else find.answer(found, query, wish["limit"])

    def _connection(self, deadline: float) -> Bus:
        if self._bus is None:
            self._bus = Bus(_address(min(deadline, time.monotonic() + _CONNECT_S)), deadline)
        return self._bus

    def _hang_up(self) -> None:
        if self._bus is not None:
            self._bus.close()
            self._bus = None


def _address(deadline: float) -> str:
    """Where the accessibility bus is; asking starts it."""
    session = Bus(os.environ.get("DBUS_SESSION_BUS_ADDRESS", ""), deadline)
    try:
        (address,) = session.call("org.a11y.Bus", "/org/a11y/bus", "org.a11y.Bus", "GetAddress", deadline=deadline)
    finally:
        session.close()
    return str(address)


def main() -> int:
    """Serve until there is nothing more to read."""
    worker = Worker()
    print("ready", flush=True)
    for line in sys.stdin:
        answer = json.dumps(worker.answer(json.loads(line)))
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
