"""Wait until a machine has caught up with what it has to do."""

from __future__ import annotations

import asyncio
import time

from desktop_sandbox.microvm.host import process_cpu_seconds
from desktop_sandbox.node.live import LiveSandbox

_LOOK_S = 0.25


async def caught_up(live: LiveSandbox, *, share: float, patience_s: float) -> None:
    """Return when the machine uses less than this share of a core, or has had `patience_s`."""
    deadline = time.monotonic() + patience_s
    before = process_cpu_seconds(live.machine.process.pid)
    while time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_S)
        now = process_cpu_seconds(live.machine.process.pid)
        if now - before < share * _LOOK_S:
            return
        before = now
