"""The files of a node without machines."""

from __future__ import annotations

from collections.abc import AsyncIterator

from desktop_sandbox import errors
from desktop_sandbox.node.facts import (
    FileInfo,
    FileListing,
)
from tests.fake_base import FakeBase, FakeSandbox


class FakeFiles(FakeBase):
    """Files in a dictionary; folders are a set."""

    def _info(self, box: FakeSandbox, path: str) -> FileInfo:
        if path in box.files:
            return FileInfo(path, "file", len(box.files[path]), 0o100644, 1_700_000_000.5)
        if path in box.folders:
            return FileInfo(path, "directory", 4096, 0o40755, 1_700_000_000.5)
        raise errors.NotFoundError(f"there is no file {path}", hint="list the folder", path=path)

    async def read_file(
        self, sandbox_id: str, path: str, *, user: str = "user", offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        await self._enter("read_file")
        box = self._sandbox(sandbox_id, running=True)
        if self._info(box, path).type != "file":
            raise errors.InvalidRequestError(f"{path} is a folder", hint="list it")
        data = box.files[path][offset:][:length]
        for start in range(0, len(data), 32768):
            yield data[start : start + 32768]

    async def write_file(
        self,
        sandbox_id: str,
        path: str,
        data: AsyncIterator[bytes],
        *,
        user: str = "user",
        mode: int | None = None,
    ) -> FileInfo:
        await self._enter("write_file")
        box = self._sandbox(sandbox_id, running=True)
        content = bytearray()
        async for chunk in data:
            content += chunk
        box.files[path] = bytes(content)
        return self._info(box, path)

    async def list_files(self, sandbox_id: str, path: str, *, depth: int = 1, user: str = "user") -> FileListing:
        await self._enter("list_files")
        box = self._sandbox(sandbox_id, running=True)
        self._info(box, path)
        root = path.rstrip("/") + "/"
        names = sorted({*box.files, *box.folders} - {path, "/"})
        found = [self._info(box, n) for n in names if n.startswith(root) and n[len(root) :].count("/") < depth]
        return FileListing(found[:5000], len(found) > 5000)

    async def stat_file(self, sandbox_id: str, path: str, *, user: str = "user", follow: bool = False) -> FileInfo:
        await self._enter("stat_file")
        return self._info(self._sandbox(sandbox_id, running=True), path)

    async def make_folder(self, sandbox_id: str, path: str, *, user: str = "user") -> FileInfo:
        await self._enter("make_folder")
        box = self._sandbox(sandbox_id, running=True)
        box.folders.add(path)
        return self._info(box, path)

    async def remove_file(self, sandbox_id: str, path: str, *, recursive: bool = False, user: str = "user") -> None:
        await self._enter("remove_file")
        box = self._sandbox(sandbox_id, running=True)
        self._info(box, path)
        box.files.pop(path, None)
        box.folders.discard(path)

    async def rename_file(self, sandbox_id: str, source: str, target: str, *, user: str = "user") -> None:
        await self._enter("rename_file")
        box = self._sandbox(sandbox_id, running=True)
        self._info(box, source)
        if source in box.files:
            box.files[target] = box.files.pop(source)
        else:
            box.folders.discard(source)
            box.folders.add(target)
