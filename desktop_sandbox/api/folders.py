"""Routes: whole folders as an archive, changes of files, and links that open one path without a key."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from desktop_sandbox import errors
from desktop_sandbox.api import file_links, file_models, reach_models
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.commands import NDJSON
from desktop_sandbox.api.file_links import FileLink, file_name
from desktop_sandbox.api.files import CONTENT, UPLOAD, Path, User, content_response, file_response, uploaded
from desktop_sandbox.api.problems import unexpected
from desktop_sandbox.api.services import answer_json, file_json, moment, services
from desktop_sandbox.node.reach_interface import FileChange
from desktop_sandbox.problem import to_problem

router = APIRouter(prefix="/v1", tags=["files"])

TAR = "application/x-tar"
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_ARCHIVE: dict[int | str, dict[str, Any]] = {
    200: {"description": "A tar archive, or with `gzip` a compressed one.", "content": {TAR: _BYTES}}
}
_CHANGES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One JSON object a line (FileChange), {event: ready} first.",
        "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/FileChange"}}},
    }
}
# the content is the guest's, and the address the server's own: no browser shall make a page of it
_AS_FILE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox", "Referrer-Policy": "no-referrer"}


@router.get(
    "/sandboxes/{sandbox_id}/files/archive",
    operation_id="read_archive",
    response_class=Response,
    responses=_ARCHIVE,
)
async def read_archive(
    request: Request,
    sandbox_id: str,
    path: Path,
    user: User = "user",
    gzip: Annotated[bool, Query(description="Compress it in the desktop.")] = False,
) -> Response:
    """Read a folder with all that is in it, as a tar archive; what the user may not read is left out.

    Unpack it with care: names and links in it are the desktop's.
    """
    content = services(request).node.read_archive(sandbox_id, path, user=user, gzip=gzip)
    return await content_response(content, media_type="application/gzip" if gzip else TAR)


@router.put(
    "/sandboxes/{sandbox_id}/files/archive",
    operation_id="write_archive",
    response_model=file_models.File,
    openapi_extra=UPLOAD,
)
async def write_archive(request: Request, sandbox_id: str, path: Path, user: User = "user") -> Response:
    """Unpack a tar archive, plain or gzip, into a folder, which is made if need be. Not undone where it breaks off."""
    the = services(request)

    async def put(content: AsyncIterator[bytes]) -> Answer:
        await the.node.write_archive(sandbox_id, path, content, user=user)
        return answer_json(file_json(await the.node.stat_file(sandbox_id, path, user=user)))

    return await uploaded(request, put)


@router.get(
    "/sandboxes/{sandbox_id}/files/watch",
    operation_id="watch_files",
    response_model=reach_models.FileChange,
    responses=_CHANGES,
)
async def watch(
    request: Request,
    sandbox_id: str,
    path: Path,
    recursive: Annotated[bool, Query(description="Folders below, too.")] = False,
    user: User = "user",
) -> Response:
    """Watch a file or a folder: changes as they happen, until the reader leaves or the path is gone."""
    found = services(request).node.watch_files(sandbox_id, path, recursive=recursive, user=user)
    changes = cast("AsyncGenerator[FileChange, None]", found)
    first = await anext(changes, None)  # what cannot be watched is a problem with its own status

    async def lines() -> AsyncIterator[bytes]:
        async with aclosing(changes):
            if first is not None:
                yield _line(_change_json(first))
            try:
                async for change in changes:
                    yield _line(_change_json(change))
            except errors.DesktopSandboxError as error:
                yield _line({"problem": to_problem(error)})
            except Exception as error:
                yield _line({"problem": to_problem(unexpected(error))})

    return StreamingResponse(lines(), media_type=NDJSON)


@router.post(
    "/sandboxes/{sandbox_id}/files/links",
    operation_id="link_file",
    status_code=201,
    response_model=reach_models.FileLink,
)
async def make_link(request: Request, sandbox_id: str, body: reach_models.MakeFileLink) -> Response:
    """Make an address that reads, writes or archives one path without a key, until it expires."""
    the = services(request)
    await the.node.get(sandbox_id)

    async def work() -> Answer:
        expires_at = round(time.time() + body.expires_in, 3)
        link = FileLink(sandbox_id, body.path, body.user, body.access, expires_at)
        base = (the.config.stream.base_url or str(request.base_url)).rstrip("/")
        url = f"{base}/v1/links/{file_links.sign(link, the.link_key)}"
        return answer_json({"url": url, "access": body.access, "expires_at": moment(expires_at)}, 201)

    return await the.once.run(request, work)


@router.get("/links/{token}", operation_id="read_link", response_class=Response, responses=CONTENT)
async def read_link(request: Request, token: str) -> Response:
    """Read what a link opens, as a file to save; takes Range."""
    the = services(request)
    link = file_links.verify(token, the.link_key, time.time())
    headers = _AS_FILE | {"Content-Disposition": f'attachment; filename="{file_name(link.path, link.access)}"'}
    if link.access == "archive":
        content = the.node.read_archive(link.sandbox, link.path, user=link.user)
        return await content_response(content, media_type=TAR, headers=headers)
    if link.access != "read":
        raise errors.NotAllowedError("this link is for writing", hint="PUT the content to it")
    return await file_response(request, link.sandbox, link.path, link.user, headers=headers, sized=True)


@router.put("/links/{token}", operation_id="write_link", response_model=file_models.File, openapi_extra=UPLOAD)
async def write_link(request: Request, token: str) -> Response:
    """Write the file that a link opens, whole."""
    the = services(request)
    link = file_links.verify(token, the.link_key, time.time())
    if link.access != "write":
        raise errors.NotAllowedError("this link is for reading", hint="ask for one with access: write")

    async def put(content: AsyncIterator[bytes]) -> Answer:
        return answer_json(file_json(await the.node.write_file(link.sandbox, link.path, content, user=link.user)))

    return await uploaded(request, put)


def _change_json(change: FileChange) -> dict[str, Any]:
    return {"event": change.event, "path": change.path, "folder": change.folder, "from": change.source}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
