"""Routes: templates and their builds; what the host has; health and metrics."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from desktop_sandbox.api import models, shapes
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.keys import request_key
from desktop_sandbox.api.metrics import MEDIA_TYPE
from desktop_sandbox.api.services import json_response, plain_json, services, template_json
from desktop_sandbox.version import VERSION

router = APIRouter()

NDJSON = "application/x-ndjson"
TemplateName = Annotated[shapes.Name, Path(examples=["desktop"])]
_PROGRESS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One JSON object a line (BuildLine); the last has `template` or `problem`.",
        "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/BuildLine"}}},
    }
}


@router.get("/v1/templates", operation_id="list_templates", response_model=models.TemplateList, tags=["templates"])
async def list_(request: Request) -> Response:
    """List recipes and templates."""
    found = await services(request).node.templates()
    return json_response({"templates": [template_json(info) for info in found]})


@router.post(
    "/v1/templates/{name}/build",
    operation_id="build_template",
    response_model=models.BuildLine,
    responses=_PROGRESS,
    tags=["templates"],
)
async def build(
    request: Request, name: TemplateName, rebuild: Annotated[bool, Query(description="Also if it is ready.")] = False
) -> Response:
    """Build a template, with progress; a client that leaves does not stop it, one that comes joins it."""
    the = services(request)
    started = the.builds.start(name, rebuild=rebuild, key=request_key(request))
    return StreamingResponse(started.follow(), media_type=NDJSON)


@router.delete("/v1/templates/{name}", operation_id="remove_template", status_code=204, tags=["templates"])
async def remove(request: Request, name: TemplateName) -> Response:
    """Remove a template from the disk."""
    the = services(request)

    async def work() -> Answer:
        await the.node.remove_template(name)
        return Answer(204, b"")

    return await the.once.run(request, work)


@router.get("/v1/usage", operation_id="get_usage", tags=["server"])
async def usage(request: Request) -> Response:
    """Get this host's capacity and what is used of it."""
    return plain_json(await services(request).node.usage())


@router.get("/healthz", operation_id="get_health", response_model=models.Health, tags=["server"])
async def health() -> Response:
    """Say that the server is up; needs no key."""
    return json_response({"status": "ok", "version": VERSION})


@router.get("/metrics", operation_id="get_metrics", response_class=Response, tags=["server"])
async def metrics(request: Request) -> Response:
    """Get metrics in Prometheus's text format."""
    the = services(request)
    return Response(await the.metrics.text(the.node, the.views), media_type=MEDIA_TYPE)
