"""Routes of one desktop's timeline: what its snapshots showed, and another desktop from one of them.

A viewer's token opens those of its own desktop: its snapshots, and those that it descends from.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from desktop_sandbox import errors
from desktop_sandbox.api import snapshot_models
from desktop_sandbox.api.access import grant_of
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.control import view_url
from desktop_sandbox.api.services import Services, answer_json, json_response, sandbox_json, services
from desktop_sandbox.api.snapshots import SnapshotId, snapshot_json
from desktop_sandbox.node.facts import SandboxInfo, SandboxSpec
from desktop_sandbox.stream.tokens import MAX_TTL_S, Token

router = APIRouter(prefix="/v1", tags=["snapshots"])

TOKEN_FORK_S = 3600.0
"""A desktop that a viewer's link makes lives no longer than this."""
Width = Annotated[int, Query(ge=16, le=8192, description="At most so many pixels wide.")]
_JPEG: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "The picture has the ETag that `If-None-Match` named."},
}


@router.get(
    "/snapshots/{snapshot_id}/thumbnail", operation_id="get_thumbnail", response_class=Response, responses=_JPEG
)
async def thumbnail(request: Request, snapshot_id: SnapshotId, width: Width = 320) -> Response:
    """Get what a snapshot showed, as a JPEG."""
    return await _picture(request, snapshot_id, width)


@router.get("/sandboxes/{sandbox_id}/snapshots", operation_id="get_timeline", response_model=snapshot_models.Timeline)
async def timeline(request: Request, sandbox_id: str) -> Response:
    """List a desktop's snapshots and those that it descends from, oldest first; `at` is where it stands."""
    the = services(request)
    found = await the.node.snapshots(sandbox_id)
    at = (await the.node.get(sandbox_id)).snapshot
    return json_response({"at": at, "snapshots": [snapshot_json(info) for info in found]})


@router.get(
    "/sandboxes/{sandbox_id}/snapshots/{snapshot_id}/thumbnail",
    operation_id="get_timeline_thumbnail",
    response_class=Response,
    responses=_JPEG,
)
async def timeline_thumbnail(
    request: Request, sandbox_id: str, snapshot_id: SnapshotId, width: Width = 320
) -> Response:
    """Get what one of this desktop's snapshots showed, as a JPEG."""
    await check_in_timeline(services(request), sandbox_id, snapshot_id)
    return await _picture(request, snapshot_id, width)


@router.post(
    "/sandboxes/{sandbox_id}/snapshots/{snapshot_id}/fork",
    operation_id="fork_snapshot",
    status_code=201,
    response_model=snapshot_models.ForkedFrom,
)
async def fork(
    request: Request,
    sandbox_id: str,
    snapshot_id: Annotated[str, Path(max_length=64, examples=["ss-5f0c0ffee0ddba11"])],
    body: snapshot_models.ForkFrom,
) -> Response:
    """Make a desktop that begins at one of this one's snapshots, and a link to it.

    With a viewer's token it lives for an hour at most and never longer than that token holds; the link has the token's
    rights and is revoked with it.
    """
    the = services(request)
    grant = grant_of(request)
    await check_in_timeline(the, sandbox_id, snapshot_id)
    parent = await the.node.get(sandbox_id)
    above = grant.token
    lives_s = body.timeout if above is None else min(body.timeout, TOKEN_FORK_S, max(1.0, the.tokens.left_s(above)))

    async def work() -> Answer:
        spec = SandboxSpec(timeout_s=lives_s, metadata=_named(parent), snapshot=snapshot_id, network_of=parent.id)
        made = await the.node.create(spec)
        text = await _link_to(the, made, lives_s, above)
        return answer_json({"sandbox": sandbox_json(made), "url": view_url(request, the, made.id, text)}, 201)

    return await the.once.run(request, work, repeatable=False)


async def _link_to(the: Services, made: SandboxInfo, lives_s: float, above: Token | None) -> str:
    """A token that drives a desktop made a moment ago, which ends where none can be made."""
    name = "" if above is None else above.name
    try:
        _, text = await the.tokens.make(made.id, "control", min(lives_s, MAX_TTL_S), name=name, parent=above)
    except BaseException:
        await asyncio.shield(the.node.kill(made.id))  # nobody would know of it
        raise
    return text


async def check_in_timeline(the: Services, sandbox_id: str, snapshot_id: str) -> None:
    """Raise NotFoundError unless the snapshot is this sandbox's, or one that it descends from."""
    if snapshot_id not in {info.id for info in await the.node.snapshots(sandbox_id)}:
        raise errors.NotFoundError(
            f"{sandbox_id} has no snapshot {snapshot_id}", hint="GET …/snapshots lists its own and its ancestors'"
        )


async def _picture(request: Request, snapshot_id: str, width: int) -> Response:
    # a snapshot never changes
    headers = {"ETag": f'"{snapshot_id}-{width}"', "Cache-Control": "private, max-age=3600"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        await services(request).node.get_snapshot(snapshot_id)
        return Response(status_code=304, headers=headers)
    picture = await services(request).node.thumbnail(snapshot_id, width)
    return Response(picture.data, media_type=picture.media_type, headers=headers)


def _named(parent: SandboxInfo) -> dict[str, str]:
    """The parent's metadata; a name says that this is a fork."""
    name = parent.metadata.get("name")
    return {**parent.metadata, **({"name": f"{name} (fork)"[:4096]} if name else {})}
