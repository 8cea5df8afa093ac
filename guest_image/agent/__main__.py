"""python3 -m guest_image.agent: serve the ports until SIGTERM."""

from __future__ import annotations

import asyncio
import signal

from guest_image.agent.config import AgentConfig
from guest_image.agent.server import Agent


async def main() -> None:
    """Run one agent with the guest's own paths."""
    agent = Agent(AgentConfig())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
    await agent.run()


if __name__ == "__main__":
    asyncio.run(main())
