"""The API with a FakeNode on a real uvicorn at a loopback port, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from desktop_sandbox.api.app import create_app
from desktop_sandbox.api.server import Server, address_of, listen
from desktop_sandbox.config import ServerConfig
from desktop_sandbox.stream.launch import Launch
from tests.fake_node import FakeNode

KEY = "dsk_test_0123456789abcdef"


@dataclass
class Live:
    """A running server: its address, key, node and event loop."""

    url: str
    key: str
    node: FakeNode
    app: Any
    config: ServerConfig
    loop: asyncio.AbstractEventLoop
    server: Server

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@contextmanager
def serving(home: Path, node: FakeNode | None = None, launch: Launch | None = None, **settings: Any) -> Iterator[Live]:
    node = node or FakeNode()
    config = ServerConfig(home=home, api_key=KEY, port=0, shutdown_seconds=2.0, **settings)
    app = create_app(node, config, launch)
    server = Server(app, config)
    bound = listen(config)
    url = address_of(bound)
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def main() -> None:
        found["loop"] = asyncio.get_running_loop()
        announced = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve_on(bound, announced))
            await announced.wait()
            ready.set()

    def run() -> None:
        try:
            uvloop.run(main())
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    assert server.started
    try:
        yield Live(url, KEY, node, app, config, found["loop"], server)
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()
