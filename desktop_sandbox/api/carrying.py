"""Routes: snapshots and templates as signed files, out and in, and the keys that are trusted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from desktop_sandbox import errors
from desktop_sandbox.api import models, shapes, snapshot_models
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.services import json_response, services, template_json
from desktop_sandbox.api.snapshots import SnapshotId, snapshot_json

router = APIRouter(prefix="/v1")

KeyName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", examples=["build-host"])]
TemplateOrFolder = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,84}$",
        description="A template's name, or its folder's, as a snapshot names it.",
        examples=["desktop"],
    ),
]
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_FILE: dict[int | str, dict[str, Any]] = {200: {"description": "The file; Content-Length is exact.", "content": _BYTES}}


@router.get(
    "/snapshots/{snapshot_id}/export",
    operation_id="export_snapshot",
    response_class=Response,
    responses=_FILE,
    tags=["snapshots"],
)
async def export(request: Request, snapshot_id: SnapshotId) -> Response:
    """Get a snapshot as one signed file."""
    size, pieces = await services(request).node.export_snapshot(snapshot_id)
    headers = {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="{snapshot_id}.snapshot"'}
    return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)


@router.put(
    "/snapshots/import",
    operation_id="import_snapshot",
    status_code=201,
    response_model=snapshot_models.Snapshot,
    openapi_extra={"requestBody": {"required": True, "content": _BYTES}},
    tags=["snapshots"],
)
async def import_(
    request: Request,
    name: Annotated[
        shapes.Title | None,
        Query(description="What it is called here; one that is here already then comes under another id."),
    ] = None,
) -> Response:
    """Take a snapshot from such a file. It is there whole afterwards or not at all; a repeat says that it is there."""

    info = await services(request).node.import_snapshot(_pieces(request), name=name)
    response = json_response(snapshot_json(info))
    response.status_code = 201
    return response


@router.get(
    "/templates/{name}/export",
    operation_id="export_template",
    response_class=Response,
    responses=_FILE,
    tags=["templates"],
)
async def export_template(request: Request, name: TemplateOrFolder) -> Response:
    """Get a template, with the image below it, as one signed file. It takes seconds to begin: all is read first."""
    size, pieces = await services(request).node.export_template(name)
    headers = {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="{name}.template"'}
    return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)


@router.put(
    "/templates/import",
    operation_id="import_template",
    status_code=201,
    response_model=models.Template,
    openapi_extra={"requestBody": {"required": True, "content": _BYTES}},
    tags=["templates"],
)
async def import_template(request: Request) -> Response:
    """Take a template, and its image unless that is here, from such a file. It is there whole then, or not at all."""
    response = json_response(template_json(await services(request).node.import_template(_pieces(request))))
    response.status_code = 201
    return response


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except ClientDisconnect:
        raise errors.InvalidRequestError("the upload was cut off; nothing was imported") from None


@router.get("/trust", operation_id="list_trust", response_model=snapshot_models.Trust, tags=["snapshots"])
async def list_(request: Request) -> Response:
    """List the keys whose snapshots and templates are taken, and this host's own."""
    node = services(request).node
    keys = [{"name": name, "key": key} for name, key in sorted((await node.trusted()).items())]
    return json_response({"own": await node.signing_key(), "keys": keys})


@router.put("/trust/{name}", operation_id="trust_key", status_code=204, tags=["snapshots"])
async def add(request: Request, name: KeyName, body: snapshot_models.TrustKey) -> Response:
    """Trust a key: snapshots and templates that it signed may be imported."""
    the = services(request)

    async def work() -> Answer:
        await the.node.trust(name, body.key)
        return Answer(204, b"")

    return await the.once.run(request, work)


@router.delete("/trust/{name}", operation_id="distrust_key", status_code=204, tags=["snapshots"])
async def remove(request: Request, name: KeyName) -> Response:
    """Trust a key no longer; what was imported stays."""
    the = services(request)

    async def work() -> Answer:
        await the.node.distrust(name)
        return Answer(204, b"")

    return await the.once.run(request, work)
