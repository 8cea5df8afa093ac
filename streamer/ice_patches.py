"""A fixed range of UDP ports, and quicker notice of dead peers, over aioice 0.13. All that reaches into it is here.

Why: aioice binds any free port, which no firewall rule can name; it waits 5 s for a silent STUN server while the page
waits for its answer; it notices a dead peer after 30 s; it tells a TURN server that is gone for half a minute that its
address is not needed any more, and a connection is not closed until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import aioice.ice
import aioice.turn

CONSENT_INTERVAL_S, CONSENT_FAILURES = 2, 5
GATHER_TIMEOUT_S = 2
TURN_GOODBYE_S = 2  # after that the allocation expires by itself (RFC 8656, section 6)


def patch_aioice() -> None:
    """Change aioice's constants. Once, at the start."""
    aioice.ice.CONSENT_INTERVAL = CONSENT_INTERVAL_S
    aioice.ice.CONSENT_FAILURES = CONSENT_FAILURES
    aioice.ice.Connection.get_component_candidates.__defaults__ = (GATHER_TIMEOUT_S,)
    delete = aioice.turn.TurnClientMixin.delete

    async def delete_in_time(self: aioice.turn.TurnClientMixin) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(delete(self), TURN_GOODBYE_S)  # closes its socket also when it is cancelled

    patched: Any = aioice.turn.TurnClientMixin
    patched.delete = delete_in_time


def use_ports(loop: asyncio.AbstractEventLoop, first: int, last: int) -> None:
    """Have every UDP socket that the loop would bind to any free port bound within [first, last] instead.

    The loop is the streamer's own, and aioice the only user of UDP in it. OSError if all are taken.
    """
    if not 0 < first <= last <= 65535:
        raise ValueError(f"UDP ports {first} to {last}")
    create: Any = loop.create_datagram_endpoint

    async def create_in_range(factory: Any, local_addr: Any = None, **options: Any) -> Any:
        if local_addr is None or local_addr[1] != 0:
            return await create(factory, local_addr=local_addr, **options)
        latest: OSError | None = None
        ports = list(range(first, last + 1))
        random.shuffle(ports)  # so that a port just given up is not at once another viewer's
        for port in ports:
            try:
                return await create(factory, local_addr=(local_addr[0], port), **options)
            except OSError as error:  # uvloop does not say in errno that the port is taken
                latest = error
        raise OSError(f"no UDP port from {first} to {last} is free on {local_addr[0]}") from latest

    own_loop: Any = loop
    own_loop.create_datagram_endpoint = create_in_range
