"""The desktops that tools work on: which one is meant, and the connection to it, kept between calls."""

from __future__ import annotations

from contextlib import suppress

from actions.dialects.budget import Budget
from desktop_sandbox import AsyncSandbox
from desktop_sandbox.agents._async.hands import AsyncHands
from desktop_sandbox.errors import DesktopSandboxError, InvalidRequestError, NotFoundError

MOST_KEPT = 64


class Desks:
    """Finds desktops by id. Without an id it is the one named at the start, or the only one that runs."""

    def __init__(self, budget: Budget, default: str | None = None) -> None:
        self._budget = budget
        self._default = default
        self._kept: dict[str, AsyncHands] = {}

    async def find(self, sandbox: str | None) -> AsyncHands:
        """The desktop that is meant; NotFoundError or InvalidRequestError names those that run."""
        wanted = sandbox or self._default or await self._only_one()
        if wanted in self._kept:
            return self._kept[wanted]
        while len(self._kept) >= MOST_KEPT:
            await self.forget(next(iter(self._kept)))
        found = await AsyncSandbox.connect(wanted)
        if found.sandbox_id not in self._kept:
            return self.keep(found)
        await found.aclose()  # another call connected meanwhile
        return self._kept[found.sandbox_id]

    def keep(self, sandbox: AsyncSandbox) -> AsyncHands:
        """Take over a desktop that was just made."""
        hands = AsyncHands(sandbox, budget=self._budget)
        self._kept[sandbox.sandbox_id] = hands
        return hands

    async def forget(self, sandbox_id: str) -> None:
        """Let go of a connection; the desktop itself goes on."""
        hands = self._kept.pop(sandbox_id, None)
        if hands is not None:
            with suppress(DesktopSandboxError):
                await hands.sandbox.aclose()

    async def aclose(self) -> None:
        """Let go of all."""
        for sandbox_id in [*self._kept]:
            await self.forget(sandbox_id)

    async def _only_one(self) -> str:
        running = [info.sandbox_id for info in (await AsyncSandbox.list(state=["running", "paused"])).sandboxes]
        if not running:
            raise NotFoundError("no desktop runs", hint="make one with sandbox_create")
        if len(running) > 1:
            raise InvalidRequestError(
                f"{len(running)} desktops run, and none was named", hint=f"sandbox: one of {', '.join(running[:20])}"
            )
        return running[0]
