"""guest.quiesce, guest.thaw: stop the user's programs for a checkpoint, and let them go on."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from typing import TYPE_CHECKING, Any

from guest_image.agent.registry import boolean, integer, op
from guest_image.agent.spawn import settle

if TYPE_CHECKING:
    from guest_image.agent.call import Call


@op("guest.quiesce", freeze=boolean(True), deadline_ms=integer(2000, 1, 600_000))
async def quiesce(call: Call, *, freeze: bool, deadline_ms: int) -> dict[str, Any]:
    """Write dirty pages out, freeze the user's programs, and write out what they did meanwhile.

    `frozen` is False if that was not done in time; then everything runs on.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + deadline_ms / 1000
    await _sync(deadline - loop.time())
    if not freeze:
        return {"frozen": False}
    # children of this machine would each walk, and so copy, all that the collector knows
    gc.collect()
    gc.freeze()
    frozen = await call.agent.cgroups.freeze(max(0.0, deadline - loop.time()))
    if frozen:
        try:
            await _sync(deadline - loop.time())
        except asyncio.CancelledError:
            call.agent.cgroups.thaw()
            raise
    return {"frozen": frozen}


@op("guest.thaw")
async def thaw(call: Call) -> dict[str, Any]:
    """Let the user's programs run again."""
    call.agent.cgroups.thaw()
    return {}


async def _sync(timeout_s: float) -> None:
    """sync(2), but not longer than `timeout_s`: a slow disk goes on writing by itself."""
    if timeout_s <= 0:
        return
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def work() -> None:
        os.sync()
        loop.call_soon_threadsafe(settle, done)

    threading.Thread(target=work, name="sync", daemon=True).start()
    await asyncio.wait([done], timeout=timeout_s)
