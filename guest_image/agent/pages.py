"""Where the session's files lie in the machine's memory.

The agent maps framebuffer and state page, touches and locks every page, and reads their page numbers from
/proc/self/pagemap (proc(5), Documentation/admin-guide/mm/pagemap.rst). Locked pages stay where they are.
"""

from __future__ import annotations

import ctypes
import os
from array import array
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError, from_os_error

if TYPE_CHECKING:
    from guest_image.agent.config import AgentConfig

PAGE_BYTES = 4096
_PRESENT = 1 << 63
_NUMBER = (1 << 55) - 1
_PROT_READ, _MAP_SHARED, _MAP_POPULATE = 1, 1, 0x8000
_FAILED = ctypes.c_void_p(-1).value


def merge_runs(entries: array[int]) -> list[list[int]]:
    """[[guest physical address, length], …] in the file's order, in bytes (whole pages), of one pagemap entry a page.

    Neighbours are merged. OpError "failed" if a page is not there or its number is hidden.
    """
    runs: list[list[int]] = []
    following = -1
    for entry in entries:
        number = entry & _NUMBER
        if not entry & _PRESENT or not number:
            raise OpError("failed", "a page of the screen is not in memory, or its place is hidden")
        address = number * PAGE_BYTES
        if address == following:
            runs[-1][1] += PAGE_BYTES
        else:
            runs.append([address, PAGE_BYTES])
        following = address + PAGE_BYTES
    return runs


class LockedFile:
    """One file, mapped and locked in memory."""

    def __init__(self, libc: ctypes.CDLL, path: str) -> None:
        self._libc = libc
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            status = os.fstat(fd)
            self.identity = (status.st_dev, status.st_ino, status.st_size)
            self.size = status.st_size
            if not self.size:
                raise OpError("unavailable", f"{path} is still empty")
            self._address = libc.mmap(None, self.size, _PROT_READ, _MAP_SHARED | _MAP_POPULATE, fd, 0)
            if self._address == _FAILED:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), path)
        finally:
            os.close(fd)
        if libc.mlock(self._address, self.size) != 0:
            number = ctypes.get_errno()
            self.close()
            raise OSError(number, os.strerror(number), path)
        self._raw = b""
        self._runs: list[list[int]] = []

    def runs(self) -> list[list[int]]:
        """Its page runs, checked anew."""
        count = -(-self.size // PAGE_BYTES)
        fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        try:
            raw = os.pread(fd, count * 8, self._address // PAGE_BYTES * 8)
        finally:
            os.close(fd)
        if raw != self._raw:
            entries = array("Q")
            entries.frombytes(raw)
            self._runs = merge_runs(entries)
            self._raw = raw
        return self._runs

    def close(self) -> None:
        """Let go of the mapping, and with it of this lock."""
        if self._address:
            self._libc.munmap(self._address, self.size)
            self._address = 0


class SessionPages:
    """Framebuffer and state page of the running session."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._files: dict[str, LockedFile] = {}
        self._libc: ctypes.CDLL | None = None

    def find(self, path: str) -> dict[str, Any]:
        """{size, runs} of one of the two files. OpError "unavailable" if the session is not up."""
        try:
            status = os.stat(path)
            held = self._files.get(path)
            if held is not None and held.identity != (status.st_dev, status.st_ino, status.st_size):
                self._files.pop(path).close()
                held = None
            if held is None:
                held = self._files[path] = LockedFile(self._library(), path)
            return {"size": held.size, "runs": held.runs()}
        except FileNotFoundError as error:
            raise OpError("unavailable", f"{path} is not there", hint="the desktop session is not up") from error
        except OSError as error:
            raise from_os_error(error, f"cannot find the pages of {path}") from error

    def state(self) -> bytes:
        """The first page of the state page."""
        try:
            with open(self._config.state_page, "rb", buffering=0) as file:
                return file.read(PAGE_BYTES) or b""
        except OSError as error:
            hint = "the desktop session is not up"
            raise OpError("unavailable", f"{self._config.state_page}: {error.strerror}", hint=hint) from error

    def _library(self) -> ctypes.CDLL:
        if self._libc is None:
            libc = ctypes.CDLL(None, use_errno=True)
            size, address = ctypes.c_size_t, ctypes.c_void_p
            libc.mmap.restype = address
            libc.mmap.argtypes = (address, size, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
            libc.mlock.argtypes = libc.munmap.argtypes = (address, size)
            self._libc = libc
        return self._libc
