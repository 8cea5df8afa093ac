"""What stops a batch of actions from outside, besides its deadline: somebody's wish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Halt:
    """Whoever holds it may stop what works inside its blocks. For one event loop; once asked, it stays so."""

    def __init__(self) -> None:
        self.asked = False
        self._blocks: set[asyncio.Timeout] = set()

    def __repr__(self) -> str:
        return f"<Halt {'asked' if self.asked else f'of {len(self._blocks)}'}>"

    def ask(self) -> None:
        """End the blocks that are open, and each that is opened yet."""
        self.asked = True
        now = asyncio.get_running_loop().time()
        for block in self._blocks:
            if not block.expired():
                block.reschedule(now)

    @asynccontextmanager
    async def block(self, deadline: float | None = None) -> AsyncIterator[asyncio.Timeout]:
        """A block that ends with TimeoutError at a moment of the loop's clock (None: never), or once `ask` was called.

        It ends where it waits: what never waits is done.
        """
        async with asyncio.timeout_at(asyncio.get_running_loop().time() if self.asked else deadline) as block:
            self._blocks.add(block)
            try:
                yield block
            finally:
                self._blocks.discard(block)

    def spare(self, block: asyncio.Timeout) -> None:
        """Let a block go on, whatever is asked: what is in it now looks for itself."""
        self._blocks.discard(block)
