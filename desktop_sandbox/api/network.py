"""Routes: what a sandbox may reach on the network, changed while it runs, and what it reached."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from desktop_sandbox.api import network_models
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.services import answer_json, json_response, moment, services
from desktop_sandbox.node.interface import Node

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}/network", tags=["network"])

MAX_ENTRIES = 10_000


@router.get("", operation_id="get_network", response_model=network_models.Network)
async def get(request: Request, sandbox_id: str) -> Response:
    """Get what a sandbox may reach, whether it has a network, and what has passed."""
    return json_response(await _shown(services(request).node, sandbox_id))


@router.put("", operation_id="set_network", response_model=network_models.Network)
async def set_(request: Request, sandbox_id: str, body: network_models.SetNetwork) -> Response:
    """Change what a sandbox may reach. Connections that are not allowed any more have ended when this answers."""
    the = services(request)

    async def work() -> Answer:
        await the.node.set_network(sandbox_id, network_models.policy_of(body.policy))
        return answer_json(await _shown(the.node, sandbox_id))

    return await the.once.run(request, work)


@router.get("/log", operation_id="get_network_log", response_model=network_models.NetworkLog)
async def log(
    request: Request,
    sandbox_id: str,
    limit: Annotated[int, Query(ge=1, le=MAX_ENTRIES, description="At most so many, the newest.")] = 100,
) -> Response:
    """List the last connections, and lookups of names that came to nothing, oldest first."""
    entries = await services(request).node.network_log(sandbox_id, limit)
    return json_response({"entries": [{**entry, "time": moment(entry["time"])} for entry in entries]})


async def _shown(node: Node, sandbox_id: str) -> dict[str, Any]:
    info = asdict(await node.network(sandbox_id))
    return {**info, "counters": dict(info["counters"])}
