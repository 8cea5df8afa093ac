# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""Files in a desktop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, overload

from desktop_sandbox import errors
from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk.archive import MAX_BYTES, Unpacked, pack
from desktop_sandbox.sdk.downloads import Download, counted, read_file, size_of
from desktop_sandbox.sdk.models import FileInfo, FileList, parse_file
from desktop_sandbox.sdk.reach import FileChange, FileLink, parse_link

if TYPE_CHECKING:
    from desktop_sandbox.sdk._sync.connection import Connection


class Files:
    """Reads and writes files of one sandbox. Paths are absolute; `user` is whose rights are used."""

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._path = f"{path}/files"

    @overload
    def read(self, path: str, format: Literal["text"] = "text", *, user: str = "user") -> str: ...

    @overload
    def read(self, path: str, format: Literal["bytes"], *, user: str = "user") -> bytes: ...

    @overload
    def read(self, path: str, format: Literal["stream"], *, user: str = "user") -> Iterator[bytes]: ...

    def read(
        self, path: str, format: Literal["text", "bytes", "stream"] = "text", *, user: str = "user"
    ) -> str | bytes | Iterator[bytes]:
        """A file's content: as text (UTF-8), as bytes, or as a stream of chunks for files of any size."""
        params = {"path": path, "user": user}
        if format == "stream":
            return self._chunks(params)
        content = (self._connection.request("GET", self._path, params=params, timeout=None)).content
        if format == "bytes":
            return content
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise errors.InvalidRequestError(
                f"{path} is not UTF-8 text: {error.reason} at byte {error.start}", hint='read it with format="bytes"'
            ) from error

    def write(
        self,
        path: str,
        data: str | bytes | bytearray | memoryview | BinaryIO | Iterable[bytes] | Iterable[bytes],
        *,
        user: str = "user",
        mode: int | None = None,
    ) -> FileInfo:
        """Write a file: text, bytes, an open binary file, or chunks. It appears complete or not at all."""
        params = {"path": path, "user": user}
        if mode is not None:
            params["mode"] = f"{mode:04o}"
        content: bytes | Iterable[bytes]
        if isinstance(data, str):
            content = data.encode()
        elif isinstance(data, bytes | bytearray | memoryview):
            content = bytes(data)
        else:
            content = runtime.sync_chunks(data)
        answer = self._connection.request("PUT", self._path, params=params, content=content, timeout=None)
        return parse_file(answer.json())

    def list(self, path: str, *, depth: int = 1, user: str = "user") -> FileList:
        """What is in a folder, and below it down to `depth`: a list, whose `truncated` says whether there is more."""
        params = {"path": path, "user": user, "depth": str(depth)}
        answer = (self._connection.request("GET", f"{self._path}/list", params=params)).json()
        found = FileList(parse_file(item) for item in answer["files"])
        found.truncated = answer["truncated"]
        return found

    def get_info(self, path: str, *, user: str = "user", follow: bool = False) -> FileInfo:
        """One file or folder; NotFoundError if there is none. With `follow`, what a link leads to."""
        params = {"path": path, "user": user} | ({"follow": "true"} if follow else {})
        return parse_file((self._connection.request("GET", f"{self._path}/stat", params=params)).json())

    def exists(self, path: str, *, user: str = "user") -> bool:
        """Whether there is a file or folder."""
        try:
            self.get_info(path, user=user)
        except errors.NotFoundError as error:
            if "path" not in error.evidence and not self._sandbox_exists():
                raise
            return False
        return True

    def download(
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
        info = self.get_info(path, user=user, follow=True)
        saving = Download(Path(to), info, resume=resume)
        try:
            if saving.offset < info.size_bytes or not info.size_bytes:
                part = {"Range": f"bytes={saving.offset}-"} if saving.offset else {}
                where = {"path": path, "user": user}
                with self._connection.stream("GET", self._path, params=where, headers=part) as response:
                    for chunk in response.iter_bytes():
                        done = runtime.sync_in_thread(saving.write, chunk)
                        if progress is not None:
                            progress(done, info.size_bytes)
            return saving.finish()
        finally:
            saving.close()

    def upload(
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
        return self.write(path, runtime.sync_from_disk(content), user=user, mode=mode)

    def read_archive(self, path: str, *, user: str = "user", gzip: bool = False) -> Iterator[bytes]:
        """A folder with all that is in it as a tar archive, in chunks. Unpack it with care: it is the desktop's."""
        params = {"path": path, "user": user, "gzip": "true" if gzip else "false"}
        with self._connection.stream("GET", f"{self._path}/archive", params=params) as response:
            yield from response.iter_bytes()

    def write_archive(
        self,
        path: str,
        data: bytes | BinaryIO | Iterable[bytes] | Iterable[bytes],
        *,
        user: str = "user",
    ) -> FileInfo:
        """Unpack a tar archive, plain or gzip, into a folder of the desktop, which is made if need be."""
        content = data if isinstance(data, bytes) else runtime.sync_chunks(data)
        where = {"path": path, "user": user}
        url = f"{self._path}/archive"
        return parse_file((self._connection.request("PUT", url, params=where, content=content, timeout=None)).json())

    def download_folder(
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
        return runtime.sync_unpack(chunks, Path(to), max_bytes=max_bytes, progress=progress)

    def upload_folder(
        self,
        source: str | Path,
        path: str,
        *,
        user: str = "user",
        progress: Callable[[int], Any] | None = None,
    ) -> FileInfo:
        """Copy what is in a folder of this computer into one of the desktop, which is made if need be."""
        content = counted(pack(Path(source)), progress)
        return self.write_archive(path, runtime.sync_from_disk(content), user=user)

    def watch(self, path: str, *, recursive: bool = False, user: str = "user") -> Iterator[FileChange]:
        """Changes of a file or folder as they happen, {event: ready} first; ends when the path is gone.

        Leaving the loop ends the watch. A desktop that is watched so does not stand still when idle.
        """
        params = {"path": path, "user": user, "recursive": "true" if recursive else "false"}
        for line in self._connection.lines("GET", f"{self._path}/watch", params=params):
            yield FileChange(line["event"], line["path"], line["folder"], line["from"])

    def link(
        self,
        path: str,
        access: Literal["read", "write", "archive"] = "read",
        *,
        expires_in: float = 3600,
        user: str = "user",
    ) -> FileLink:
        """An address that reads (or writes, or archives) one path without a key for so many seconds, at most 7 days."""
        body = {"path": path, "access": access, "expires_in": expires_in, "user": user}
        return parse_link((self._connection.request("POST", f"{self._path}/links", body=body)).json())

    def make_dir(self, path: str, *, user: str = "user") -> FileInfo:
        """Make a folder and those above it."""
        body = {"path": path, "user": user}
        return parse_file((self._connection.request("POST", f"{self._path}/mkdir", body=body)).json())

    def remove(self, path: str, *, recursive: bool = False, user: str = "user") -> None:
        """Remove a file, or a folder (with `recursive` if it is not empty)."""
        params = {"path": path, "user": user, "recursive": "true" if recursive else "false"}
        self._connection.request("DELETE", self._path, params=params)

    def rename(self, old_path: str, new_path: str, *, user: str = "user") -> None:
        """Move a file or folder."""
        body = {"source": old_path, "target": new_path, "user": user}
        self._connection.request("POST", f"{self._path}/move", body=body)

    def _sandbox_exists(self) -> bool:
        try:
            self._connection.request("GET", self._path.removesuffix("/files"))
        except errors.NotFoundError:
            return False
        return True

    def _chunks(self, params: dict[str, str]) -> Iterator[bytes]:
        with self._connection.stream("GET", self._path, params=dict(params)) as response:
            yield from response.iter_bytes()
