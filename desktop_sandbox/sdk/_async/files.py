"""Files in a desktop."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING, BinaryIO, Literal, overload

from desktop_sandbox import errors
from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk.models import FileInfo, parse_file

if TYPE_CHECKING:
    from desktop_sandbox.sdk._async.connection import AsyncConnection


class AsyncFiles:
    """Reads and writes files of one sandbox. Paths are absolute; `user` is whose rights are used."""

    def __init__(self, connection: AsyncConnection, path: str) -> None:
        self._connection = connection
        self._path = f"{path}/files"

    @overload
    async def read(self, path: str, format: Literal["text"] = "text", *, user: str = "user") -> str: ...

    @overload
    async def read(self, path: str, format: Literal["bytes"], *, user: str = "user") -> bytes: ...

    @overload
    async def read(self, path: str, format: Literal["stream"], *, user: str = "user") -> AsyncIterator[bytes]: ...

    async def read(
        self, path: str, format: Literal["text", "bytes", "stream"] = "text", *, user: str = "user"
    ) -> str | bytes | AsyncIterator[bytes]:
        """A file's content: as text (UTF-8), as bytes, or as a stream of chunks for files of any size."""
        params = {"path": path, "user": user}
        if format == "stream":
            return self._chunks(params)
        content = (await self._connection.request("GET", self._path, params=params, timeout=None)).content
        if format == "bytes":
            return content
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise errors.InvalidRequestError(
                f"{path} is not UTF-8 text: {error.reason} at byte {error.start}", hint='read it with format="bytes"'
            ) from error

    async def write(
        self,
        path: str,
        data: str | bytes | bytearray | memoryview | BinaryIO | Iterable[bytes] | AsyncIterable[bytes],
        *,
        user: str = "user",
        mode: int | None = None,
    ) -> FileInfo:
        """Write a file: text, bytes, an open binary file, or chunks. It appears complete or not at all."""
        params = {"path": path, "user": user}
        if mode is not None:
            params["mode"] = f"{mode:04o}"
        content: bytes | AsyncIterable[bytes]
        if isinstance(data, str):
            content = data.encode()
        elif isinstance(data, bytes | bytearray | memoryview):
            content = bytes(data)
        else:
            content = runtime.async_chunks(data)
        answer = await self._connection.request("PUT", self._path, params=params, content=content, timeout=None)
        return parse_file(answer.json())

    async def list(self, path: str, *, depth: int = 1, user: str = "user") -> builtins.list[FileInfo]:
        """What is in a folder, and below it down to `depth`."""
        params = {"path": path, "user": user, "depth": str(depth)}
        answer = await self._connection.request("GET", f"{self._path}/list", params=params)
        return [parse_file(item) for item in answer.json()["files"]]

    async def get_info(self, path: str, *, user: str = "user") -> FileInfo:
        """One file or folder; NotFoundError if there is none."""
        params = {"path": path, "user": user}
        return parse_file((await self._connection.request("GET", f"{self._path}/stat", params=params)).json())

    async def exists(self, path: str, *, user: str = "user") -> bool:
        """Whether there is a file or folder."""
        try:
            await self.get_info(path, user=user)
        except errors.NotFoundError as error:
            if "path" not in error.evidence and not await self._sandbox_exists():
                raise
            return False
        return True

    async def make_dir(self, path: str, *, user: str = "user") -> FileInfo:
        """Make a folder and those above it."""
        body = {"path": path, "user": user}
        return parse_file((await self._connection.request("POST", f"{self._path}/mkdir", body=body)).json())

    async def remove(self, path: str, *, recursive: bool = False, user: str = "user") -> None:
        """Remove a file, or a folder (with `recursive` if it is not empty)."""
        params = {"path": path, "user": user, "recursive": "true" if recursive else "false"}
        await self._connection.request("DELETE", self._path, params=params)

    async def rename(self, old_path: str, new_path: str, *, user: str = "user") -> None:
        """Move a file or folder."""
        body = {"source": old_path, "target": new_path, "user": user}
        await self._connection.request("POST", f"{self._path}/move", body=body)

    async def _sandbox_exists(self) -> bool:
        try:
            await self._connection.request("GET", self._path.removesuffix("/files"))
        except errors.NotFoundError:
            return False
        return True

    async def _chunks(self, params: dict[str, str]) -> AsyncIterator[bytes]:
        async with self._connection.stream("GET", self._path, params=dict(params)) as response:
            async for chunk in response.aiter_bytes():
                yield chunk
