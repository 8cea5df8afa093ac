"""session.wait: until the desktop is as its recipe wants it."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.ops.logs import capture
from guest_image.agent.registry import integer, items, op

if TYPE_CHECKING:
    from guest_image.agent.call import Call
    from guest_image.agent.server import Agent

_POLL_S = 0.2
_LONGEST_POLL_S = 2.0


@op("session.wait", conditions=items(), timeout_ms=integer(60_000, 0))
async def session_wait(call: Call, *, conditions: list[Any], timeout_ms: int) -> dict[str, Any]:
    """Wait until all conditions hold at once: {"waited_ms"}. OpError "deadline" names those that do not."""
    for condition in conditions:
        _check(condition)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    order = list(conditions)
    while True:
        looked = loop.time()
        missing = await _first_missing(call.agent, order)
        waited_ms = int((loop.time() - begin) * 1000)
        if missing is None:
            return {"waited_ms": waited_ms}
        if waited_ms >= timeout_ms:
            missing_all = [each for each in conditions if not await _holds(call.agent, each)]
            raise OpError("deadline", f"the desktop is not ready after {waited_ms} ms", detail={"missing": missing_all})
        # what is missing is asked for first, and never so often that asking keeps the desktop from starting
        order.sort(key=lambda each: each is not missing)
        await asyncio.sleep(min(max(_POLL_S, 4 * (loop.time() - looked)), _LONGEST_POLL_S))


async def _first_missing(agent: Agent, conditions: list[Any]) -> Any | None:
    for condition in conditions:
        if not await _holds(agent, condition):
            return condition
    return None


def _check(condition: Any) -> None:
    kinds = {"window", "file", "unit"}
    if not isinstance(condition, dict) or len(kinds & set(condition)) != 1:
        raise OpError("invalid", f"condition {condition!r:.200}", hint='{"window": …}, {"file": …} or {"unit": …}')
    if not all(isinstance(condition.get(kind, ""), str) for kind in kinds):
        raise OpError("invalid", f"condition {condition!r:.200} must name a string")
    try:
        re.compile(condition.get("window", ""))
    except re.error as error:
        raise OpError("invalid", f"window {condition['window']!r:.200} is no regular expression: {error}") from error


async def _holds(agent: Agent, condition: dict[str, Any]) -> bool:
    if "file" in condition:
        there: bool = await agent.files.run(agent.accounts.get("root"), os.path.exists, condition["file"])
        return there
    if "unit" in condition:
        text = await capture(agent, ["systemctl", "is-active", "--", condition["unit"]], 1000)
        return text.strip() == "active"

    def seen(display: Any) -> bool:
        from guest_image.agent.x.windows import window_exists

        return window_exists(display, condition["window"])

    try:
        found = await agent.viewer.call(seen, agent.config.x_timeout_s)
    except OpError:
        return False
    return found == bool(condition.get("mapped", True))
