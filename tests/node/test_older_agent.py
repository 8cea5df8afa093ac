"""An agent lies in saved memory: one of an earlier version is asked in a way that it understands."""

from __future__ import annotations

from typing import Any

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.microvm.guest import Guest, Identity


class OlderChannel:
    """Answers like an agent that does not know `thaw_within_ms`."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def request(self, op: str, params: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.asked.append(params)
        if "thaw_within_ms" in params:
            raise InvalidRequestError(f"{op} has no parameter 'thaw_within_ms'")
        return {}


async def test_who_it_is_is_told_without_what_it_does_not_know() -> None:
    channel: Any = OlderChannel()
    await Guest(channel).set_identity(Identity.new("sb-1"), thaw=True, thaw_within_ms=1000)
    assert [("thaw_within_ms" in params, params["thaw"]) for params in channel.asked] == [(True, True), (False, True)]
