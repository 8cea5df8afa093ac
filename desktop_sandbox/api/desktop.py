"""Routes: act on a desktop and look at it."""

import hashlib
from collections.abc import Awaitable
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from actions.validate import ActionValueError, parse_actions
from desktop_sandbox import errors
from desktop_sandbox.api import desktop_models, shapes
from desktop_sandbox.api.acting import Acting
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.keys import request_key
from desktop_sandbox.api.services import answer_json, json_response, services
from desktop_sandbox.node.facts import ScreenshotSpec
from desktop_sandbox.problem import plain

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}", tags=["desktop"])

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PICTURES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture. X-Screen-Width and X-Screen-Height: its size in pixels;"
        " X-Screen-Stable: true or false where `stable` was asked for; X-Screen-Moment where `keep` was.",
        "content": {
            "image/png": _BINARY,
            "image/jpeg": _BINARY,
            "image/webp": _BINARY,
            "application/octet-stream": _BINARY,
        },
    },
    304: {"description": "The picture has the ETag that `If-None-Match` named: nothing changed."},
}


@router.post("/actions", operation_id="run_actions", response_model=desktop_models.ActionsDone)
async def act(request: Request, sandbox_id: str, body: desktop_models.RunActions) -> Response:
    """Run a batch of actions.

    They are done in order, and the first that fails halts the batch: the answer is then the problem
    `action-failed`, whose evidence says which (`index`) and what was done before it (`results`, `screenshots`). One
    that takes longer than its `timeout` is answered `deadline`, with the same evidence. `index` is null where all was
    done but not what was to be seen afterwards.
    """
    the = services(request)
    try:
        actions = parse_actions(body.actions)
    except ActionValueError as error:
        place = "" if error.index is None else f"action {error.index}: "
        raise errors.InvalidActionError(
            f"{place}{error.message}", hint=error.hint, index=error.index, field=error.field
        ) from None
    job = Acting(the, sandbox_id, actions, request_key(request) or str(uuid4()), body)
    return await the.once.run(request, job.work, halt=job.halt)


@router.delete("/actions/{key:path}", operation_id="cancel_actions", status_code=204)
async def cancel(
    request: Request,
    sandbox_id: str,
    key: Annotated[
        str, Path(max_length=255, pattern="^[!-~]+$", description="The Idempotency-Key of the batch's own request.")
    ],
) -> Response:
    """Cancel a batch of actions that runs or waits for its turn; answered when it has stopped.

    Its own request, and each repeat of it, is then answered `action-failed` with the code `cancelled`: the evidence
    says what was done before (`results`), and how much of the action at `index` (`partial`).
    """
    await services(request).once.cancel(f"/v1/sandboxes/{sandbox_id}/actions", key)
    return Response(status_code=204)


@router.get("/screenshot", operation_id="take_screenshot", response_class=Response, responses=_PICTURES)
async def screenshot(
    request: Request,
    sandbox_id: str,
    format: Annotated[shapes.ImageFormat, Query(description="raw: RGB rows, 3 bytes a pixel.")] = "png",
    quality: Annotated[int, Query(ge=1, le=100)] = 80,
    scale: Annotated[float, Query(gt=0, le=1)] = 1.0,
    region: Annotated[
        str | None, Query(pattern=r"^\d{1,5},\d{1,5},\d{1,5},\d{1,5}$", description="x,y,width,height in pixels")
    ] = None,
    cursor: Annotated[bool, Query(description="Draw the pointer.")] = True,
    stable: Annotated[int | None, Query(ge=0, le=60_000, description="Nothing changed for so many ms.")] = None,
    deadline: Annotated[int, Query(ge=0, le=60_000, description="Longest wait for that, in ms.")] = 5000,
    keep: Annotated[
        bool, Query(description="Keep the whole screen of that moment for some minutes, to compare with.")
    ] = False,
    resume: Annotated[
        bool, Query(description="False: a paused sandbox stays paused (409), though others' looks would resume it.")
    ] = True,
) -> Response:
    """Take a screenshot; its ETag tells whether anything changed since the one before."""
    x, y, width, height = (int(part) for part in region.split(",")) if region else (0, 0, 0, 0)
    spec = ScreenshotSpec(
        format=format,
        quality=quality,
        scale=scale,
        region=(x, y, width, height) if region else None,
        cursor=cursor,
        stable_ms=stable,
        deadline_ms=deadline,
    )
    the = services(request)
    moment: str | None = None
    if keep and not resume:
        raise errors.InvalidRequestError("`keep` of a sandbox that is not resumed", hint="leave out one of the two")
    if keep:
        picture, moment = await the.eyes.kept_screenshot(sandbox_id, spec)
    else:
        picture = await the.node.screenshot(sandbox_id, spec, resume=resume)
    etag = f'"{hashlib.blake2b(picture.data, digest_size=12).hexdigest()}"'
    headers = {
        "ETag": etag,
        "X-Screen-Width": str(picture.width),
        "X-Screen-Height": str(picture.height),
        "Cache-Control": "no-store",
    }
    if picture.stable is not None:
        headers["X-Screen-Stable"] = "true" if picture.stable else "false"
    if moment is not None:
        headers["X-Screen-Moment"] = moment
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(picture.data, media_type=picture.media_type, headers=headers)


@router.get("/windows", operation_id="list_windows", response_model=desktop_models.WindowList)
async def windows(request: Request, sandbox_id: str) -> Response:
    """List windows, bottom to top."""
    found = await services(request).node.windows(sandbox_id)
    return json_response({"windows": [plain({**window, "id": str(window["id"])}) for window in found]})


@router.post("/launch", operation_id="launch_app", response_model=desktop_models.Launched)
async def launch(request: Request, sandbox_id: str, body: desktop_models.Launch) -> Response:
    """Start an app; it runs on by itself."""
    the = services(request)

    async def work() -> Answer:
        def launching() -> Awaitable[int]:
            return the.node.launch(sandbox_id, body.app, body.uri)

        return answer_json({"pid": await the.views.as_agent(sandbox_id, launching, body.wait_for_control)})

    return await the.once.run(request, work, repeatable=False)


@router.post("/open", operation_id="open_target", status_code=204)
async def open_(request: Request, sandbox_id: str, body: desktop_models.Open) -> Response:
    """Open a file or an address with the desktop's default app."""
    the = services(request)

    async def work() -> Answer:
        def opening() -> Awaitable[None]:
            return the.node.open(sandbox_id, body.target)

        await the.views.as_agent(sandbox_id, opening, body.wait_for_control)
        return Answer(204, b"")

    return await the.once.run(request, work, repeatable=False)
