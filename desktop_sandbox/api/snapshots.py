"""Routes: save sandboxes and bring them back (checkpoint, fork, rollback, pause, resume), and their snapshots."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from desktop_sandbox import errors
from desktop_sandbox.api import models, snapshot_models
from desktop_sandbox.api.access import grant_of
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.services import (
    Services,
    answer_json,
    json_response,
    moment,
    sandbox_json,
    services,
    template_json,
)
from desktop_sandbox.node.facts import SnapshotInfo

router = APIRouter(prefix="/v1", tags=["snapshots"])

TOKEN_CHECKPOINTS = 50
"""A viewer's link takes no checkpoint of a desktop that has so many: nothing removes them by itself."""
SnapshotId = Annotated[str, Path(max_length=64, examples=["ss-5f0c0ffee0ddba11"])]


@router.post(
    "/sandboxes/{sandbox_id}/checkpoint", operation_id="checkpoint_sandbox", status_code=201,
    response_model=snapshot_models.Snapshot,
)  # fmt: skip
async def checkpoint(request: Request, sandbox_id: str, body: snapshot_models.Checkpoint) -> Response:
    """Save a running sandbox as it is. It stands still for some tens of milliseconds, then goes on.

    With a viewer's token only while it has fewer than 50 checkpoints.
    """
    the = services(request)
    if grant_of(request).token is not None:
        await _check_few(the, sandbox_id)

    async def work() -> Answer:
        info = await the.node.checkpoint(
            sandbox_id, name=body.name, description=body.description, tags=tuple(body.tags)
        )
        return answer_json(snapshot_json(info), 201)

    return await the.once.run(request, work, repeatable=False)


@router.post(
    "/sandboxes/{sandbox_id}/fork", operation_id="fork_sandbox", status_code=201, response_model=snapshot_models.Forked
)
async def fork(request: Request, sandbox_id: str, body: snapshot_models.Fork) -> Response:
    """Make sandboxes that begin where this one is now; all of them, or a problem and none."""
    the = services(request)

    async def work() -> Answer:
        made = await the.node.fork(sandbox_id, body.count, timeout_s=body.timeout, metadata=body.metadata)
        return answer_json({"sandboxes": [sandbox_json(info) for info in made]}, 201)

    return await the.once.run(request, work, repeatable=False)


@router.post("/sandboxes/{sandbox_id}/rollback", operation_id="rollback_sandbox", response_model=models.Sandbox)
async def rollback(request: Request, sandbox_id: str, body: snapshot_models.Rollback) -> Response:
    """Bring the same sandbox back to a snapshot; what it did since is gone, its viewers stay.

    With a viewer's token only while its holder drives, or nobody does.
    """
    the = services(request)
    grant = grant_of(request)
    if grant.token is not None:
        # a token's holder sees this desktop's past, not another one's
        known = {info.id for info in await the.node.snapshots(sandbox_id)}
        if body.snapshot not in known:
            raise errors.NotAllowedError(f"{sandbox_id} has no snapshot {body.snapshot}", hint="roll back to its own")
        the.views.control(sandbox_id).check_free_for(grant.identity)

    async def work() -> Answer:
        return answer_json(sandbox_json(await the.node.rollback(sandbox_id, body.snapshot)))

    return await the.once.run(request, work, repeatable=False)


@router.post("/sandboxes/{sandbox_id}/pause", operation_id="pause_sandbox", response_model=models.Sandbox)
async def pause(request: Request, sandbox_id: str) -> Response:
    """Put a sandbox away: to disk, with no process left. Of a paused one nothing changes."""
    the = services(request)

    async def work() -> Answer:
        return answer_json(sandbox_json(await the.node.pause(sandbox_id)))

    return await the.once.run(request, work)


@router.post("/sandboxes/{sandbox_id}/resume", operation_id="resume_sandbox", response_model=models.Sandbox)
async def resume(request: Request, sandbox_id: str, body: snapshot_models.Resume) -> Response:
    """Bring a paused sandbox back. Of a running one nothing changes."""
    the = services(request)

    async def work() -> Answer:
        return answer_json(sandbox_json(await the.node.resume(sandbox_id, body.timeout, from_disk=body.from_disk)))

    return await the.once.run(request, work)


@router.post("/sandboxes/{sandbox_id}/freeze", operation_id="freeze_sandbox", response_model=models.Sandbox)
async def freeze(request: Request, sandbox_id: str) -> Response:
    """Let a sandbox stand still in memory at once, whatever works in it; the next call wakes it.

    A `conflict` while somebody watches it or waits for it. Idle ones do this by themselves.
    """
    the = services(request)

    async def work() -> Answer:
        return answer_json(sandbox_json(await the.node.freeze(sandbox_id)))

    return await the.once.run(request, work)


@router.post("/sandboxes/{sandbox_id}/thaw", operation_id="thaw_sandbox", response_model=models.Sandbox)
async def thaw(request: Request, sandbox_id: str) -> Response:
    """Wake a sandbox that stands still, with the right time. Of one that is awake nothing changes."""
    the = services(request)

    async def work() -> Answer:
        return answer_json(sandbox_json(await the.node.thaw(sandbox_id)))

    return await the.once.run(request, work)


@router.get("/snapshots", operation_id="list_snapshots", response_model=snapshot_models.SnapshotList)
async def list_(
    request: Request,
    sandbox: Annotated[
        str | None, Query(max_length=64, description="Only this sandbox's, and those that it descends from.")
    ] = None,
) -> Response:
    """List snapshots, oldest first; `parent` makes a tree of them."""
    found = await services(request).node.snapshots(sandbox)
    return json_response({"snapshots": [snapshot_json(info) for info in found]})


@router.get("/snapshots/{snapshot_id}", operation_id="get_snapshot", response_model=snapshot_models.Snapshot)
async def get(request: Request, snapshot_id: SnapshotId) -> Response:
    """Get one snapshot."""
    return json_response(snapshot_json(await services(request).node.get_snapshot(snapshot_id)))


@router.patch("/snapshots/{snapshot_id}", operation_id="change_snapshot", response_model=snapshot_models.Snapshot)
async def change(request: Request, snapshot_id: SnapshotId, body: snapshot_models.ChangeSnapshot) -> Response:
    """Name, describe or tag a snapshot; what is left out stays."""
    the = services(request)

    async def work() -> Answer:
        info = await the.node.change_snapshot(snapshot_id, name=body.name, description=body.description, tags=body.tags)
        return answer_json(snapshot_json(info))

    return await the.once.run(request, work)


@router.post(
    "/snapshots/{snapshot_id}/promote", operation_id="promote_snapshot", status_code=201, response_model=models.Template
)
async def promote(request: Request, snapshot_id: SnapshotId, body: snapshot_models.Promote) -> Response:
    """Make a template of a snapshot: desktops that are created from it begin where it was taken.

    It is a template of its own: the snapshot can be deleted, and it stays until it is removed. Takes some seconds.
    """
    the = services(request)

    async def work() -> Answer:
        return answer_json(template_json(await the.node.promote_snapshot(snapshot_id, body.name)), 201)

    return await the.once.run(request, work, repeatable=False)


@router.delete("/snapshots/{snapshot_id}", operation_id="delete_snapshot", status_code=204)
async def delete(request: Request, snapshot_id: SnapshotId) -> Response:
    """Remove a snapshot from the disk; refused while a paused sandbox rests on it."""
    the = services(request)

    async def work() -> Answer:
        await the.node.delete_snapshot(snapshot_id)
        return Answer(204, b"")

    return await the.once.run(request, work)


async def _check_few(the: Services, sandbox_id: str) -> None:
    """Raise CapacityError where a desktop has as many checkpoints as links may make of it."""
    found = await the.node.snapshots(sandbox_id)
    if sum(info.sandbox == sandbox_id and info.kind == "checkpoint" for info in found) >= TOKEN_CHECKPOINTS:
        raise errors.CapacityError(
            f"{sandbox_id} has {TOKEN_CHECKPOINTS} checkpoints, and a link makes no more",
            hint="whoever has the API key can delete some: desktop-sandbox snapshot rm",
        )


def snapshot_json(info: SnapshotInfo) -> dict[str, Any]:
    """A snapshot as the API shows it."""
    return {
        "id": info.id,
        "name": info.name,
        "sandbox": info.sandbox,
        "parent": info.parent,
        "template": info.template,
        "kind": info.kind,
        "created_at": moment(info.created_at),
        "size_bytes": info.size_bytes,
        "resolution": {"width": info.resolution[0], "height": info.resolution[1]},
        "quiesced": info.quiesced,
        "stopped_ms": info.stopped_ms,
        "description": info.description,
        "tags": list(info.tags),
    }
