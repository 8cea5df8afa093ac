"""Screenshots in requests and answers, and the pictures of clipboard and pointer."""

import asyncio
import base64
from collections.abc import Awaitable
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from desktop_sandbox.api import desktop_models, eyes_models
from desktop_sandbox.api.control import fill_clipboard
from desktop_sandbox.api.services import json_response, services
from desktop_sandbox.api.shapes import WaitForControl
from desktop_sandbox.errors import InvalidRequestError, NotFoundError
from desktop_sandbox.node.facts import Screenshot, ScreenshotSpec
from desktop_sandbox.screen.encode import Cursor

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}", tags=["eyes"])

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PNG: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture, as a program in the desktop wrote it.", "content": {"image/png": _BINARY}}
}
_UPLOAD = {"requestBody": {"required": True, "content": {"image/png": _BINARY}}}


@router.get("/cursor", operation_id="get_cursor", response_model=eyes_models.CursorSeen)
async def get_cursor(request: Request, sandbox_id: str) -> Response:
    """Get the pointer: where it is, its hot spot, its picture, and what its program calls it."""
    cursor, name = await services(request).node.cursor(sandbox_id, name=True)
    height, width = cursor.pixels.shape[:2]
    picture = await asyncio.to_thread(cursor_png, cursor) if width and height else None
    return json_response(
        {
            "x": cursor.x,
            "y": cursor.y,
            "hot_x": cursor.hot_x,
            "hot_y": cursor.hot_y,
            "width": width,
            "height": height,
            "name": name,
            "data": None if picture is None else base64.b64encode(picture).decode(),
        }
    )


@router.get("/clipboard/picture", operation_id="get_clipboard_picture", response_class=Response, responses=_PNG)
async def get_clipboard_picture(request: Request, sandbox_id: str) -> Response:
    """Get the picture in the desktop's clipboard as PNG; not-found where it holds none."""
    data = await services(request).node.get_clipboard_picture(sandbox_id)
    if not data:
        raise NotFoundError("the clipboard holds no picture", hint="it may hold text: GET …/clipboard")
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(data, media_type="image/png", headers=headers)


@router.put("/clipboard/picture", operation_id="set_clipboard_picture", status_code=204, openapi_extra=_UPLOAD)
async def set_clipboard_picture(
    request: Request, sandbox_id: str, wait_for_control: Annotated[WaitForControl, Query()] = 0
) -> Response:
    """Put a PNG into the desktop's clipboard, at most 16 MiB."""
    the = services(request)
    try:
        data = await request.body()
    except ClientDisconnect:
        raise InvalidRequestError("the upload was cut off; nothing was copied") from None

    def setting() -> Awaitable[None]:
        return the.node.set_clipboard_picture(sandbox_id, data)

    return await fill_clipboard(request, sandbox_id, setting, wait_for_control)


def spec_of(wish: desktop_models.ScreenshotOptions | bool) -> ScreenshotSpec:
    """How a screenshot is made."""
    options = desktop_models.ScreenshotOptions() if isinstance(wish, bool) else wish
    return ScreenshotSpec(
        format=options.format,
        quality=options.quality,
        scale=options.scale,
        region=options.region,
        cursor=options.cursor,
        stable_ms=options.stable,
        deadline_ms=options.deadline,
    )


def picture_json(shot: Screenshot) -> dict[str, Any]:
    """A screenshot inside JSON."""
    return {
        "data": base64.b64encode(shot.data).decode(),
        "media_type": shot.media_type,
        "width": shot.width,
        "height": shot.height,
        "stable": shot.stable,
    }


def cursor_png(cursor: Cursor) -> bytes:
    """The pointer's picture as PNG with transparency."""
    pixels = cursor.pixels.astype(np.float32)
    alpha = pixels[..., 3:]
    pixels[..., :3] = np.minimum(255, pixels[..., :3] * 255 / np.maximum(alpha, 1))
    _, data = cv2.imencode(".png", pixels.astype(np.uint8))
    return data.tobytes()
