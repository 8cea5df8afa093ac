"""Routes: create, list, look at, end sandboxes, and their time to live."""

import time
from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from desktop_sandbox import errors
from desktop_sandbox.api import models, network_models, shapes
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.keys import request_key
from desktop_sandbox.api.services import answer_json, json_response, plain_json, sandbox_json, services
from desktop_sandbox.node.facts import SandboxInfo, SandboxSpec, SandboxState
from desktop_sandbox.node.interface import Node

router = APIRouter(prefix="/v1/sandboxes", tags=["sandboxes"])

MAX_ATTEMPTS = 4


@router.post("", operation_id="create_sandbox", status_code=201, response_model=models.Sandbox)
async def create(request: Request, body: models.CreateSandbox) -> Response:
    """Create a sandbox from a template, or from a snapshot."""
    the = services(request)
    size = body.resolution
    spec = SandboxSpec(
        template=body.template,
        resolution=None if size is None else (size.width, size.height),
        timeout_s=body.timeout,
        metadata=body.metadata,
        snapshot=body.snapshot,
        on_timeout=body.on_timeout,
        auto_resume=body.auto_resume,
        freeze_after_s=body.freeze_after,
        network=network_models.policy_of(body.network),
    )

    async def work() -> Answer:
        started = time.perf_counter()
        info = await _created(the.node, spec, request_key(request))
        the.metrics.created(time.perf_counter() - started)
        return answer_json(sandbox_json(info), 201)

    return await the.once.run(request, work)


@router.get("", operation_id="list_sandboxes", response_model=models.SandboxList)
async def list_(
    request: Request,
    state: Annotated[list[SandboxState] | None, Query(description="Only these states; repeatable.")] = None,
    metadata: Annotated[
        list[str] | None, Query(description="Only with this entry, as name=value; repeatable.", examples=["task=42"])
    ] = None,
    template: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=200, description="From the page before.")] = None,
) -> Response:
    """List sandboxes, newest first."""
    wanted: dict[str, str] = {}
    for entry in metadata or ():
        name, equals, value = entry.partition("=")
        if not equals:
            raise errors.InvalidRequestError(f"metadata filter {entry!r}", hint="write metadata=name=value")
        wanted[name] = value
    page = await services(request).node.list(
        states=state or (), metadata=wanted or None, template=template, limit=limit, cursor=cursor
    )
    return json_response({"sandboxes": [sandbox_json(info) for info in page.sandboxes], "cursor": page.cursor})


@router.get("/{sandbox_id}", operation_id="get_sandbox", response_model=models.Sandbox)
async def get(request: Request, sandbox_id: str) -> Response:
    """Get one sandbox."""
    return json_response(sandbox_json(await services(request).node.get(sandbox_id)))


@router.delete("/{sandbox_id}", operation_id="kill_sandbox", status_code=204)
async def kill(request: Request, sandbox_id: str) -> Response:
    """End a sandbox for good; answers when its process is gone."""
    the = services(request)

    async def work() -> Answer:
        await the.node.kill(sandbox_id)
        return Answer(204, b"")

    return await the.once.run(request, work)


@router.put("/{sandbox_id}/timeout", operation_id="set_sandbox_timeout", response_model=models.Sandbox)
async def set_timeout(request: Request, sandbox_id: str, body: models.SetTimeout) -> Response:
    """Change when a sandbox ends by itself."""
    the = services(request)

    async def work() -> Answer:
        return answer_json(sandbox_json(await the.node.set_timeout(sandbox_id, body.timeout)))

    return await the.once.run(request, work)


@router.put("/{sandbox_id}/resolution", operation_id="set_sandbox_resolution", response_model=models.Sandbox)
async def set_resolution(request: Request, sandbox_id: str, body: shapes.SetResolution) -> Response:
    """Change the screen's size, live."""
    the = services(request)

    async def work() -> Answer:
        def resizing() -> Awaitable[SandboxInfo]:
            return the.node.set_resolution(sandbox_id, body.width, body.height)

        done = await the.views.as_agent(sandbox_id, resizing, body.wait_for_control)
        return answer_json(sandbox_json(done))

    return await the.once.run(request, work)


@router.get("/{sandbox_id}/why", operation_id="explain_sandbox")
async def why(request: Request, sandbox_id: str) -> Response:
    """Get everything that explains a sandbox's state: spec, events, tails of its logs."""
    return plain_json(await services(request).node.why(sandbox_id))


async def _created(node: Node, spec: SandboxSpec, key: str | None) -> SandboxInfo:
    """A sandbox by its key. One that died while it was made (a killed server) is passed over and made anew."""
    for attempt in range(MAX_ATTEMPTS):
        info = await node.create(spec, key=f"{key}#{attempt}" if key and attempt else key)
        if info.state is not SandboxState.DEAD:
            return info
    raise errors.ConflictError(
        f"every sandbox made for this Idempotency-Key died, the last ({info.id}): {info.reason}",
        hint="look into the cause, then use a new key",
    )
