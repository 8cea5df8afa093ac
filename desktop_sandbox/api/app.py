"""The API as an ASGI app. Knows a Node, never which; starts no server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from desktop_sandbox.api import (
    a11y,
    carrying,
    code,
    commands,
    control,
    desktop,
    eyes,
    file_links,
    files,
    folders,
    job_sockets,
    jobs,
    network,
    openapi,
    pages,
    pictures,
    port_access,
    ports,
    problems,
    recordings,
    sandboxes,
    snapshots,
    stream,
    templates,
    timeline,
)
from desktop_sandbox.api.access import Access
from desktop_sandbox.api.builds import Builds
from desktop_sandbox.api.contexts import Contexts
from desktop_sandbox.api.gate import Gate
from desktop_sandbox.api.keys import Once
from desktop_sandbox.api.looking import Eyes
from desktop_sandbox.api.metrics import Metrics
from desktop_sandbox.api.port_proxy import PortProxy
from desktop_sandbox.api.services import Services
from desktop_sandbox.api.signing import derive_key
from desktop_sandbox.errors import ConfigurationError
from desktop_sandbox.stream.launch import Launch
from desktop_sandbox.stream.supervisor import Supervisor
from desktop_sandbox.stream.token_store import TokenStore, load_or_make_secret
from desktop_sandbox.stream.views import Views
from desktop_sandbox.version import VERSION

if TYPE_CHECKING:
    import socket
    import subprocess
    from collections.abc import AsyncIterator

    from desktop_sandbox.config import ServerConfig
    from desktop_sandbox.node.interface import Node


def create_app(node: Node, config: ServerConfig, launch: Launch | None = None) -> FastAPI:
    """The app for one node; its lifespan opens and closes what the API itself keeps, but not the node.

    `launch` starts the media process; without it nobody can watch.
    """
    counters = Metrics()
    access = Access(config.api_key)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            once = await Once.open(config.api_database, tasks, hours=config.idempotency_hours)
            tokens = access.tokens = await TokenStore.open(config.stream_database, config.stream_secret)
            views = _views(node, config, tokens, tasks, launch)
            builds = Builds(node, tasks)
            secret = load_or_make_secret(config.stream_secret)
            port_key = derive_key(secret, port_access.PURPOSE)
            guest_ports = await port_access.PortAccess.open(config.ports_database, port_key, config.api_key)
            app.state.services = Services(
                node,
                config,
                once,
                counters,
                builds,
                access,
                tokens,
                views,
                pages.Pages(),
                Eyes(node),
                derive_key(secret, file_links.PURPOSE),
                guest_ports,
                Contexts(node),
            )
            try:
                yield
            finally:
                await once.drain(config.shutdown_seconds)
                await views.aclose()
                builds.cancel()
        await guest_ports.close()
        await tokens.close()
        await once.close()

    app = FastAPI(
        title="Desktop Sandbox",
        version=VERSION,
        description="Linux desktops in microVMs. Errors are problem documents (RFC 9457).",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    for room in (
        sandboxes,
        carrying,
        snapshots,
        timeline,
        desktop,
        eyes,
        pictures,
        commands,
        code,
        jobs,
        job_sockets,
        ports,
        folders,
        files,
        network,
        stream,
        control,
        recordings,
        templates,
        pages,
        a11y,
    ):
        app.include_router(room.router)
    problems.install(app)
    openapi.install(app)
    app.add_middleware(
        Gate,
        access=access,
        settings=config.stream,
        max_body_bytes=config.max_body_bytes,
        max_upload_bytes=config.max_upload_bytes,
        metrics=counters,
    )
    app.add_middleware(PortProxy, domain=config.port_domain)  # the last is the first that a request meets
    return app


def _views(
    node: Node, config: ServerConfig, tokens: TokenStore, tasks: asyncio.TaskGroup, launch: Launch | None
) -> Views:
    views = Views(node, tokens, tasks)
    views.recorder.max_bytes = config.stream.max_recording_bytes
    settings = {
        "ice_servers": [dict(server) for server in config.stream.ice_servers],
        "udp_ports": list(config.stream.udp_ports) if config.stream.udp_ports else None,
        "public_address": config.stream.public_address,
        "max_fps": config.stream.max_fps,
    }
    supervisor = Supervisor(
        launch or _nobody,
        settings,
        event=views.event,
        binary=views.binary,
        lost=views.lost,
        tasks=tasks,
        fresh=views.again_all,
    )
    views.start(supervisor)
    return views


def _nobody(end: socket.socket) -> subprocess.Popen[bytes]:
    raise ConfigurationError("this server was started without a media process", hint="start it with serve")
