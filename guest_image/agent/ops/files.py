"""file.read, file.write: contents of any size, streamed, with the rights of the asked user."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError, from_os_error
from guest_image.agent.protocol import STREAM_OUT
from guest_image.agent.registry import boolean, integer, op, string

if TYPE_CHECKING:
    from guest_image.agent.call import Call

_READ_BYTES = 256 << 10


def absolute(path: str, home: str) -> str:
    """A path from the root: relative ones, and ~, start at the user's home."""
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    if not path:
        raise OpError("invalid", "the path is empty")
    return os.path.normpath(os.path.join(home, path))


@op("file.read", path=string(), user=string("user"), offset=integer(0, 0), length=integer(None, 0))
async def file_read(call: Call, *, path: str, user: str, offset: int, length: int | None) -> dict[str, Any]:
    """Stream a file's bytes from `offset`, at most `length`: {size, mode}; size is the whole file's in bytes."""
    account = call.agent.accounts.get(user)
    path = absolute(path, account.home)
    stream = call.out(STREAM_OUT)
    left = length if length is not None else 1 << 63
    fd = -1
    try:
        fd, status = await call.agent.files.run(account, _open_to_read, path, dispose=_close_opened)
        while left > 0:
            data = await call.agent.files.run(account, os.pread, fd, min(_READ_BYTES, left), offset)
            if not data:
                break
            offset += len(data)
            left -= len(data)
            await stream.write(data)
    except OSError as error:
        raise from_os_error(error, f"cannot read {path}") from error
    finally:
        if fd >= 0:
            os.close(fd)
    return {"size": status.st_size, "mode": stat.S_IMODE(status.st_mode)}


def _open_to_read(path: str) -> tuple[int, os.stat_result]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        _refuse(path, status)
    return fd, status


def _close_opened(opened: tuple[int, os.stat_result]) -> None:
    os.close(opened[0])


def _refuse(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OpError("is-directory", f"{path} is a folder")
    raise OpError("invalid", f"{path} is not a regular file", hint="use a command for devices and pipes")


def make_folder(path: str) -> None:
    """Make a folder and those above it; one that is there is fine. NotADirectoryError if a file is in the way."""
    try:
        os.makedirs(path, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from None


class _Target:
    """A file being written: aside, and renamed over the old one at the end; appending goes straight to it."""

    def __init__(self, path: str, mode: int | None, append: bool) -> None:
        self.path = os.path.realpath(path)
        self._mode = mode
        self._aside: str | None = None
        make_folder(os.path.dirname(self.path))
        old = None
        with suppress(FileNotFoundError):
            old = os.stat(self.path)
            if not stat.S_ISREG(old.st_mode):
                _refuse(path, old)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        if append:
            self.fd = os.open(self.path, flags | os.O_APPEND, 0o644)
            return
        folder, name = os.path.split(self.path)
        self._aside = f"{folder}/.{name[:200]}.{secrets.token_hex(6)}.part"
        self.fd = os.open(self._aside, flags | os.O_EXCL, 0o600)
        if self._mode is None:
            self._mode = stat.S_IMODE(old.st_mode) if old is not None else 0o644
        if old is not None:
            with suppress(PermissionError):
                os.fchown(self.fd, old.st_uid, old.st_gid)

    def write(self, data: bytes) -> None:
        """Add all of `data`."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]

    def finish(self) -> int:
        """Put it in place: its size in bytes. Not fsynced: snapshots hold the page cache, too."""
        size = os.fstat(self.fd).st_size
        if self._mode is not None:
            os.fchmod(self.fd, self._mode)
        if self._aside is not None:
            os.rename(self._aside, self.path)
            self._aside = None
        return size

    def close(self) -> None:
        """Let go; what is unfinished is removed."""
        os.close(self.fd)
        if self._aside is not None:
            with suppress(OSError):
                os.unlink(self._aside)


@op("file.write", path=string(), user=string("user"), mode=integer(None, 0, 0o7777), append=boolean(False))
async def file_write(call: Call, *, path: str, user: str, mode: int | None, append: bool) -> dict[str, Any]:
    """Write stream 0 to a file, whole or not at all (append: as it comes): {size}. Folders on the way are made."""
    account = call.agent.accounts.get(user)
    path = absolute(path, account.home)
    run = call.agent.files.run
    target = None
    try:
        target = await run(account, _Target, path, mode, append, dispose=_Target.close)
        while data := await call.incoming.read():
            await run(account, target.write, data)
        return {"size": await run(account, target.finish)}
    except OSError as error:
        raise from_os_error(error, f"cannot write {path}") from error
    finally:
        if target is not None:
            target.close()
