"""Files in a desktop."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, overload

from desktop_sandbox import errors
from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk.archive import MAX_BYTES, Unpacked, pack
from desktop_sandbox.sdk.downloads import Download, counted, read_file, size_of
from desktop_sandbox.sdk.models import FileInfo, FileList, parse_file
from desktop_sandbox.sdk.reach import FileChange, FileLink, parse_link

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

    async def list(self, path: str, *, depth: int = 1, user: str = "user") -> FileList:
        """What is in a folder, and below it down to `depth`: a list, whose `truncated` says whether there is more."""
        params = {"path": path, "user": user, "depth": str(depth)}
        answer = (await self._connection.request("GET", f"{self._path}/list", params=params)).json()
        found = FileList(parse_file(item) for item in answer["files"])
        found.truncated = answer["truncated"]
        return found

    async def get_info(self, path: str, *, user: str = "user", follow: bool = False) -> FileInfo:
        """One file or folder; NotFoundError if there is none. With `follow`, what a link leads to."""
        params = {"path": path, "user": user} | ({"follow": "true"} if follow else {})
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

    async def download(
        self,
        path: str,
        to: str | Path,
        *,
        user: str = "user",
        resume: bool = False,
        progress: Callable[[int, int], Any] | None = None,
    ) -> Path:
        """Save a file of any size on this computer (into `to` if that is a folder); where it was saved.

        It appears whole or not at all. `resume` goes on with what an earlier download of the same content left behind.
        `progress` is called with bytes so far and in all.
        """
        info = await self.get_info(path, user=user, follow=True)
        saving = Download(Path(to), info, resume=resume)
        try:
            if saving.offset < info.size_bytes or not info.size_bytes:
                part = {"Range": f"bytes={saving.offset}-"} if saving.offset else {}
                where = {"path": path, "user": user}
                async with self._connection.stream("GET", self._path, params=where, headers=part) as response:
                    async for chunk in response.aiter_bytes():
                        done = await runtime.async_in_thread(saving.write, chunk)
                        if progress is not None:
                            progress(done, info.size_bytes)
            return saving.finish()
        finally:
            saving.close()

    async def upload(
        self,
        source: str | Path,
        path: str,
        *,
        user: str = "user",
        mode: int | None = None,
        progress: Callable[[int, int], Any] | None = None,
    ) -> FileInfo:
        """Write a file of this computer into the desktop; `progress` is called with bytes so far and in all."""
        size = size_of(Path(source))
        content = read_file(Path(source), None if progress is None else lambda done: progress(done, size))
        return await self.write(path, runtime.async_from_disk(content), user=user, mode=mode)

    async def read_archive(self, path: str, *, user: str = "user", gzip: bool = False) -> AsyncIterator[bytes]:
        """A folder with all that is in it as a tar archive, in chunks. Unpack it with care: it is the desktop's."""
        params = {"path": path, "user": user, "gzip": "true" if gzip else "false"}
        async with self._connection.stream("GET", f"{self._path}/archive", params=params) as response:
            async for chunk in response.aiter_bytes():
                yield chunk

    async def write_archive(
        self,
        path: str,
        data: bytes | BinaryIO | Iterable[bytes] | AsyncIterable[bytes],
        *,
        user: str = "user",
    ) -> FileInfo:
        """Unpack a tar archive, plain or gzip, into a folder of the desktop, which is made if need be."""
        content = data if isinstance(data, bytes) else runtime.async_chunks(data)
        where = {"path": path, "user": user}
        url = f"{self._path}/archive"
        return parse_file(
            (await self._connection.request("PUT", url, params=where, content=content, timeout=None)).json()
        )

    async def download_folder(
        self,
        path: str,
        to: str | Path,
        *,
        user: str = "user",
        max_bytes: int = MAX_BYTES,
        progress: Callable[[int], Any] | None = None,
    ) -> Unpacked:
        """Save a folder with all that is in it into `to`, and nowhere else, whatever the desktop sends.

        Links that lead out of the folder, devices and the like are left out. More than `max_bytes` is an error.
        """
        chunks = self.read_archive(path, user=user)
        return await runtime.async_unpack(chunks, Path(to), max_bytes=max_bytes, progress=progress)

    async def upload_folder(
        self,
        source: str | Path,
        path: str,
        *,
        user: str = "user",
        progress: Callable[[int], Any] | None = None,
    ) -> FileInfo:
        """Copy what is in a folder of this computer into one of the desktop, which is made if need be."""
        content = counted(pack(Path(source)), progress)
        return await self.write_archive(path, runtime.async_from_disk(content), user=user)

    async def watch(self, path: str, *, recursive: bool = False, user: str = "user") -> AsyncIterator[FileChange]:
        """Changes of a file or folder as they happen, {event: ready} first; ends when the path is gone.

        Leaving the loop ends the watch. A desktop that is watched so does not stand still when idle.
        """
        params = {"path": path, "user": user, "recursive": "true" if recursive else "false"}
        async for line in self._connection.lines("GET", f"{self._path}/watch", params=params):
            yield FileChange(line["event"], line["path"], line["folder"], line["from"])

    async def link(
        self,
        path: str,
        access: Literal["read", "write", "archive"] = "read",
        *,
        expires_in: float = 3600,
        user: str = "user",
    ) -> FileLink:
        """An address that reads (or writes, or archives) one path without a key for so many seconds, at most 7 days."""
        body = {"path": path, "access": access, "expires_in": expires_in, "user": user}
        return parse_link((await self._connection.request("POST", f"{self._path}/links", body=body)).json())

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
