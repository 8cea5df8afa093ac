"""Routes: addresses of the guest's ports. The requests that come to such an address go through `port_proxy`."""

from __future__ import annotations

import time
from typing import Annotated
from urllib.parse import quote

import fastapi
from fastapi import APIRouter, Request
from starlette.responses import Response

from desktop_sandbox.api import reach_models
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.port_access import GuestPort, address, write_host
from desktop_sandbox.api.port_request import TOKEN
from desktop_sandbox.api.services import answer_json, moment, services

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}/ports", tags=["ports"])


@router.post("/{port}/address", operation_id="open_port", response_model=reach_models.PortAddress)
async def open_port(
    request: Request,
    sandbox_id: str,
    port: Annotated[int, fastapi.Path(ge=1, le=65535)],
    body: reach_models.OpenPort,
) -> Response:
    """Make an address for a port of the desktop's loopback, for HTTP and WebSockets; nothing has to listen there yet.

    With a token in it, which becomes a cookie at the first visit, or public.
    """
    the = services(request)
    await the.node.get(sandbox_id)
    there = GuestPort(sandbox_id, port)

    async def work() -> Answer:
        await the.ports.publish(there, body.public)
        server = (the.config.stream.base_url or str(request.base_url)).rstrip("/")
        url = address(there, the.config.port_domain, server)
        expires_at = None if body.public else round(time.time() + body.expires_in, 3)
        token = None if expires_at is None else the.ports.token(there, expires_at)
        return answer_json(
            {
                "host": write_host(there, the.config.port_domain),
                "url": url if token is None else f"{url}?{TOKEN}={quote(token, safe='')}",
                "token": token,
                "public": body.public,
                "expires_at": moment(expires_at),
            }
        )

    return await the.once.run(request, work)
