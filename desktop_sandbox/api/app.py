"""The API as an ASGI app. Knows a Node, never which; starts no server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from desktop_sandbox.api import commands, desktop, files, openapi, problems, sandboxes, templates
from desktop_sandbox.api.builds import Builds
from desktop_sandbox.api.gate import Gate
from desktop_sandbox.api.keys import Once
from desktop_sandbox.api.metrics import Metrics
from desktop_sandbox.api.services import Services
from desktop_sandbox.version import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from desktop_sandbox.config import ServerConfig
    from desktop_sandbox.node.interface import Node


def create_app(node: Node, config: ServerConfig) -> FastAPI:
    """The app for one node; its lifespan opens and closes what the API itself keeps, but not the node."""
    counters = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            once = await Once.open(config.api_database, tasks, hours=config.idempotency_hours)
            app.state.services = Services(node, config, once, counters, Builds(node, tasks))
            try:
                yield
            finally:
                await once.drain(config.shutdown_seconds)
                app.state.services.builds.cancel()
        await once.close()

    app = FastAPI(
        title="Desktop Sandbox",
        version=VERSION,
        description="Linux desktops in microVMs. Errors are problem documents (RFC 9457).",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    for router in (sandboxes.router, desktop.router, commands.router, files.router, templates.router):
        app.include_router(router)
    problems.install(app)
    openapi.install(app)
    app.add_middleware(
        Gate,
        api_key=config.api_key,
        max_body_bytes=config.max_body_bytes,
        max_upload_bytes=config.max_upload_bytes,
        metrics=counters,
    )
    return app
