"""python3 -m guest_image.agent: serve the ports until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

from guest_image.agent import network
from guest_image.agent.config import AgentConfig
from guest_image.agent.journal import log
from guest_image.agent.server import Agent

CARD_S = 60.0


def set_up_network() -> None:
    """Give the card its address as soon as its driver is there."""
    deadline = time.monotonic() + CARD_S
    while not network.bring_up() and time.monotonic() < deadline:
        time.sleep(0.25)
    try:
        # none yet; but what it takes (modules of the kernel) is loaded now, and is there in every snapshot
        network.warm_up()
    except OSError as error:
        log(f"x network: {error}")


async def main() -> None:
    """Run one agent with the guest's own paths."""
    threading.Thread(target=set_up_network, name="network", daemon=True).start()
    agent = Agent(AgentConfig())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
    await agent.run()


if __name__ == "__main__":
    asyncio.run(main())
