"""What the host asks of the guest agent, as typed calls over a channel. Every call has a deadline."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from desktop_sandbox.errors import GuestError, InvalidRequestError
from desktop_sandbox.microvm.channel import AgentChannel


@dataclass(frozen=True)
class Identity:
    """Who a restored guest is: its siblings hold the same memory and must not be the same machine."""

    hostname: str
    machine_id: str
    generation: int

    @classmethod
    def new(cls, sandbox_id: str) -> Identity:
        """A sandbox's identity: names that it keeps for life, and the next generation."""
        machine_id = hashlib.sha256(f"machine-id of {sandbox_id}".encode()).hexdigest()[:32]
        return cls(hostname=sandbox_id[:63], machine_id=machine_id, generation=int.from_bytes(os.urandom(6)))


class Guest:
    """The agent of one machine."""

    def __init__(self, channel: AgentChannel) -> None:
        self.channel = channel

    async def set_identity(
        self, identity: Identity, *, thaw: bool, thaw_within_ms: int | None = None, timeout_s: float = 20.0
    ) -> None:
        """Make the guest a machine of its own (clock, entropy, names), then let its user processes run.

        `thaw_within_ms`: how long they may be kept from disturbing a first action; None: as long as the agent thinks.
        """
        if thaw_within_ms is not None:
            # the agent lies in saved memory: one of an earlier version does not know that, and has done nothing then
            with contextlib.suppress(InvalidRequestError):
                return await self._set_identity(identity, thaw, timeout_s, {"thaw_within_ms": thaw_within_ms})
        return await self._set_identity(identity, thaw, timeout_s, {})

    async def _set_identity(self, identity: Identity, thaw: bool, timeout_s: float, more: Mapping[str, int]) -> None:
        await self.channel.request(
            "identity.set",
            {
                "generation": identity.generation,
                "wall_ns": time.time_ns(),
                "entropy_b64": base64.b64encode(os.urandom(64)).decode(),
                "hostname": identity.hostname,
                "machine_id": identity.machine_id,
                "thaw": thaw,
                **more,
            },
            timeout_s=timeout_s,
        )

    def set_clock_first(self) -> None:
        """Have the guest's wall clock, which stood still with its machine, set to the host's before it does more.

        Nobody waits for it: under emulation it takes as long as a click.
        """
        self.channel.tell("clock.set", {"wall_ns": time.time_ns()})

    async def info(self, timeout_s: float = 20.0) -> dict[str, Any]:
        """Versions and uptime."""
        return await self._ask("guest.info", {}, timeout_s)

    async def wait_for(self, conditions: Sequence[Mapping[str, Any]], timeout_s: float) -> None:
        """Return when all conditions hold (windows, files, units). Raises DeadlineError with those that do not."""
        await self.channel.request(
            "session.wait",
            {"conditions": [dict(c) for c in conditions], "timeout_ms": int(timeout_s * 1000)},
            timeout_s=timeout_s + 10,
        )

    async def quiesce(self, *, freeze: bool, deadline_ms: int = 10_000) -> bool:
        """Flush the disk and freeze user processes; whether they are frozen."""
        answer = await self.channel.request(
            "guest.quiesce", {"freeze": freeze, "deadline_ms": deadline_ms}, timeout_s=deadline_ms / 1000 + 30
        )
        return bool(answer.get("frozen"))

    async def thaw(self) -> None:
        """Let user processes run again."""
        await self.channel.request("guest.thaw", {}, timeout_s=20)

    async def display(self, timeout_s: float = 30.0) -> dict[str, Any]:
        """Size of the screen and where its pixels lie in guest memory."""
        return await self._ask("display.get", {}, timeout_s)

    async def set_size(self, width: int, height: int, timeout_s: float = 30.0) -> dict[str, Any]:
        """Change the screen's size; the new display report."""
        return await self._ask("display.set_size", {"width": width, "height": height}, timeout_s)

    async def _ask(self, op: str, params: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        answer = await self.channel.request(op, params, timeout_s=timeout_s)
        if not isinstance(answer, dict):
            raise GuestError(f"the agent answered {op} with {type(answer).__name__} instead of an object")
        return answer

    async def launch(self, argv: Sequence[str] | str, uri: str | None = None, timeout_s: float = 60.0) -> int:
        """Start an app detached from the agent; its pid."""
        params: dict[str, Any] = {"name": argv} if isinstance(argv, str) else {"argv": list(argv)}
        answer = await self.channel.request("app.launch", {**params, "uri": uri}, timeout_s=timeout_s)
        return int(answer["pid"])
