"""Routes: files in a desktop, streamed both ways at any size."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from desktop_sandbox import errors
from desktop_sandbox.api import file_models, shapes
from desktop_sandbox.api.access import grant_of
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.byte_ranges import part_of
from desktop_sandbox.api.keys import request_digest, request_key
from desktop_sandbox.api.services import answer_json, file_json, json_response, services

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}/files", tags=["files"])

Path = Annotated[shapes.PathText, Query(examples=["/home/user/notes.txt"])]
User = Annotated[shapes.UserName, Query(description="Whose rights are used.")]
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_PART: dict[str, Any] = {"application/octet-stream": _BYTES}
CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes.", "content": _PART},
    206: {"description": "The part of them that `Range` asked for.", "content": _PART},
}
UPLOAD = {"requestBody": {"required": True, "content": _PART}}


@router.get("", operation_id="read_file", response_class=Response, responses=CONTENT)
async def read(request: Request, sandbox_id: str, path: Path, user: User = "user") -> Response:
    """Read a file; takes Range."""
    return await file_response(request, sandbox_id, path, user)


async def file_response(
    request: Request,
    sandbox_id: str,
    path: str,
    user: str,
    *,
    headers: Mapping[str, str] | None = None,
    sized: bool = False,
) -> Response:
    """A file, or the part of it that the request's Range asks for; `sized`: say how long it is, where that is known."""
    node = services(request).node
    wanted = request.headers.get("range")
    if wanted is None and not sized:
        return await content_response(node.read_file(sandbox_id, path, user=user), headers=headers)
    size = (await node.stat_file(sandbox_id, path, user=user, follow=True)).size_bytes
    part = part_of(wanted, size)
    more = {"Accept-Ranges": "bytes", **(headers or {})}
    if part is None:
        # a file of /proc says that it is empty
        if size:
            more["Content-Length"] = str(size)
        content = node.read_file(sandbox_id, path, user=user, length=size or None)
        return await content_response(content, headers=more)
    offset, length = part
    more |= {"Content-Length": str(length), "Content-Range": f"bytes {offset}-{offset + length - 1}/{size}"}
    content = node.read_file(sandbox_id, path, user=user, offset=offset, length=length)
    return await content_response(content, headers=more, status=206)


async def content_response(
    content: AsyncIterator[bytes],
    *,
    media_type: str = "application/octet-stream",
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """Bytes of a guest, streamed; what cannot be read at all is a problem with its own status."""
    pieces = cast("AsyncGenerator[bytes, None]", content)
    first = await anext(pieces, b"")

    async def chunks() -> AsyncIterator[bytes]:
        async with aclosing(pieces):
            yield first
            async for chunk in pieces:
                yield chunk

    return StreamingResponse(chunks(), status, headers=headers, media_type=media_type)


@router.put("", operation_id="write_file", response_model=file_models.File, openapi_extra=UPLOAD)
async def write(
    request: Request,
    sandbox_id: str,
    path: Path,
    user: User = "user",
    mode: Annotated[str | None, Query(pattern="^[0-7]{3,4}$", description="Octal, e.g. 0644.")] = None,
) -> Response:
    """Write a file whole: it appears complete or not at all; folders on the way are made."""
    the = services(request)
    if user != "user" and grant_of(request).token is not None:
        raise errors.NotAllowedError("a viewer uploads as the desktop's user", hint="leave out user")

    async def put(content: AsyncIterator[bytes]) -> Answer:
        bits = None if mode is None else int(mode, 8)
        return answer_json(file_json(await the.node.write_file(sandbox_id, path, content, user=user, mode=bits)))

    return await uploaded(request, put)


async def uploaded(request: Request, put: Callable[[AsyncIterator[bytes]], Awaitable[Answer]]) -> Response:
    """Do `put` with the request's body as it comes, or give a repeat the answer of the first."""
    the = services(request)
    key = request_key(request)
    hashed = hashlib.sha256()

    async def content() -> AsyncIterator[bytes]:
        try:
            async for chunk in request.stream():
                hashed.update(chunk)
                if chunk:
                    yield chunk
        except ClientDisconnect:
            raise errors.InvalidRequestError("the upload was cut off; it counts for nothing") from None

    def digest() -> bytes:
        return request_digest(request, hashed.digest())

    if key is not None and the.once.knows(key):
        async for _ in content():
            pass
        found = the.once.lookup(key, digest())
        if found is not None:
            return found.response(replayed=True)
        raise errors.ConflictError("the answer kept for this Idempotency-Key expired meanwhile", hint="use a new key")
    answer = await put(content())
    await the.once.finish(key, digest(), answer)
    return answer.response()


@router.get("/list", operation_id="list_files", response_model=file_models.FileList)
async def list_(
    request: Request,
    sandbox_id: str,
    path: Path,
    depth: Annotated[int, Query(ge=1, le=64)] = 1,
    user: User = "user",
) -> Response:
    """List a folder."""
    found = await services(request).node.list_files(sandbox_id, path, depth=depth, user=user)
    return json_response({"files": [file_json(info) for info in found.files], "truncated": found.truncated})


@router.get("/stat", operation_id="stat_file", response_model=file_models.File)
async def stat(
    request: Request,
    sandbox_id: str,
    path: Path,
    user: User = "user",
    follow: Annotated[bool, Query(description="Of a link, look at what it leads to.")] = False,
) -> Response:
    """Look at one file or folder."""
    found = await services(request).node.stat_file(sandbox_id, path, user=user, follow=follow)
    return json_response(file_json(found))


@router.post("/mkdir", operation_id="make_folder", response_model=file_models.File)
async def mkdir(request: Request, sandbox_id: str, body: file_models.MakeFolder) -> Response:
    """Make a folder and those above it."""
    the = services(request)

    async def work() -> Answer:
        return answer_json(file_json(await the.node.make_folder(sandbox_id, body.path, user=body.user)))

    return await the.once.run(request, work)


@router.post("/move", operation_id="move_file", status_code=204)
async def move(request: Request, sandbox_id: str, body: file_models.MoveFile) -> Response:
    """Move a file or folder."""
    the = services(request)

    async def work() -> Answer:
        await the.node.rename_file(sandbox_id, body.source, body.target, user=body.user)
        return Answer(204, b"")

    return await the.once.run(request, work, repeatable=False)


@router.delete("", operation_id="remove_file", status_code=204)
async def remove(
    request: Request,
    sandbox_id: str,
    path: Path,
    recursive: Annotated[bool, Query(description="Remove a folder with all that is in it.")] = False,
    user: User = "user",
) -> Response:
    """Remove a file or folder."""
    the = services(request)

    async def work() -> Answer:
        await the.node.remove_file(sandbox_id, path, recursive=recursive, user=user)
        return Answer(204, b"")

    return await the.once.run(request, work, repeatable=False)
