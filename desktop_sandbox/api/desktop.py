"""Routes: act on a desktop and look at it."""

import hashlib
from collections.abc import Awaitable
from dataclasses import replace
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from actions.model import CursorPosition, Wait
from actions.model import Screenshot as ScreenshotAction
from actions.validate import ActionValueError, parse_actions
from desktop_sandbox import errors
from desktop_sandbox.api import desktop_models, shapes
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.keys import request_key
from desktop_sandbox.api.looking import ActWatch
from desktop_sandbox.api.pictures import picture_json, spec_of
from desktop_sandbox.api.services import answer_json, json_response, services
from desktop_sandbox.node.facts import BatchResult, ScreenshotSpec
from desktop_sandbox.problem import plain

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}", tags=["desktop"])

SETTLED_MS = 100
_HARMLESS = (ScreenshotAction, CursorPosition, Wait)
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
    `action-failed`, whose evidence says which (`index`) and what was done before it (`results`, `screenshots`).
    """
    the = services(request)
    try:
        actions = parse_actions(body.actions)
    except ActionValueError as error:
        place = "" if error.index is None else f"action {error.index}: "
        raise errors.InvalidActionError(
            f"{place}{error.message}", hint=error.hint, index=error.index, field=error.field
        ) from None
    spec = _final_spec(body.screenshot)
    batch_id = request_key(request) or str(uuid4())

    seen = None if body.changes is False else ActWatch(the.eyes, sandbox_id, body.changes, spec)

    async def acting() -> BatchResult:
        if seen is not None:
            await seen.begin()
        now = spec if seen is None else None
        return await the.node.act(sandbox_id, actions, batch_id=batch_id, screenshot=now, timeout_s=body.timeout)

    async def work() -> Answer:
        if all(isinstance(action, _HARMLESS) for action in actions):
            result = await acting()
        else:
            result = await the.views.as_agent(sandbox_id, acting, body.wait_for_control)
        if seen is None:
            return _batch_answer(result)
        final, changes = await seen.end()
        return _batch_answer(replace(result, final=final), changes)

    return await the.once.run(request, work)


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
    if keep:
        picture, moment = await the.eyes.kept_screenshot(sandbox_id, spec)
    else:
        picture = await the.node.screenshot(sandbox_id, spec)
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

        return answer_json({"pid": await the.views.as_agent(sandbox_id, launching)})

    return await the.once.run(request, work, repeatable=False)


@router.post("/open", operation_id="open_target", status_code=204)
async def open_(request: Request, sandbox_id: str, body: desktop_models.Open) -> Response:
    """Open a file or an address with the desktop's default app."""
    the = services(request)

    async def work() -> Answer:
        await the.views.as_agent(sandbox_id, lambda: the.node.open(sandbox_id, body.target))
        return Answer(204, b"")

    return await the.once.run(request, work, repeatable=False)


def _final_spec(wish: desktop_models.ScreenshotOptions | bool) -> ScreenshotSpec | None:
    """How the picture at the end is made; by itself it waits until the screen has settled."""
    if wish is False:
        return None
    spec = spec_of(wish)
    return replace(spec, stable_ms=SETTLED_MS) if spec.stable_ms is None else spec


def _batch_answer(result: BatchResult, changes: dict[str, Any] | None = None) -> Answer:
    done = [plain(entry) for entry in result.results]
    pictures = {str(index): picture_json(shot) for index, shot in result.screenshots.items()}
    asked = {} if changes is None else {"changes": changes}
    final = None if result.final is None else picture_json(result.final)
    if result.failed is not None:
        failed = dict(result.failed)
        index = failed.get("index")
        raise errors.ActionFailedError(
            f"action {index} failed: {failed.get('message')}",
            hint=failed.get("hint"),
            index=index,
            code=failed.get("code"),
            partial=failed.get("partial"),
            results=done,
            screenshots=pictures,
            screenshot=final,
            **asked,
        )
    full = {"results": done, "screenshots": pictures, "screenshot": final, **asked}
    if not pictures and final is None:
        return answer_json(full)
    return answer_json(full, kept={"results": done, "screenshots": {}, "screenshot": None, **asked})
