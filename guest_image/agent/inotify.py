"""Changes below a folder, through inotify(7): what the kernel says, put into words and paths.

`Watch` holds the descriptor and which folder each watch is of; its methods run in a thread with the asked user's
rights, so that a folder which that user may not read is not watched. Symbolic links are not followed below the top.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from typing import Any, Final

from guest_image.agent.errors import OpError

MAX_WATCHES: Final = 4096
_BUFFER_BYTES: Final = 64 << 10
_HEADER: Final = struct.Struct("iIII")

MODIFY, ATTRIB, CLOSE_WRITE, MOVED_FROM, MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
CREATE, DELETE, DELETE_SELF, MOVE_SELF = 0x100, 0x200, 0x400, 0x800
UNMOUNT, OVERFLOW, IGNORED, IS_FOLDER = 0x2000, 0x4000, 0x8000, 0x4000_0000
_ONLY_FOLDERS, _NO_LINKS = 0x0100_0000, 0x0200_0000
_WANTED: Final = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF
_NAMES: Final = {
    CREATE: "created",
    MODIFY: "changed",
    CLOSE_WRITE: "written",
    ATTRIB: "attributes",
    DELETE: "removed",
    MOVED_FROM: "moved-from",
    MOVED_TO: "moved-to",
}

Change = dict[str, Any]


class Watch:
    """One watched path; with `recursive` all folders below it, also those that are made later."""

    def __init__(self, top: str, *, recursive: bool) -> None:
        """Begin to watch. OSError if the path is not there, or may not be read; OpError "too-large"."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.top = top
        self._recursive = recursive
        self._paths: dict[int, str] = {}
        self._gone = False
        self.fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        try:
            self._add(top, 0)
            if recursive and os.path.isdir(top):
                self._add_below(top)
        except BaseException:
            os.close(self.fd)
            raise

    def close(self) -> None:
        """Watch no longer."""
        os.close(self.fd)

    @property
    def over(self) -> bool:
        """Whether the watched path itself is gone, so that no more can come."""
        return self._gone

    def take(self) -> list[Change]:
        """What has changed since: {event, path, folder}, with `from` where something was moved within the folder.

        Blocks for nothing: an empty list where there is no news. Repeated changes of one file are one.
        """
        try:
            data = os.read(self.fd, _BUFFER_BYTES)
        except BlockingIOError:
            return []
        changes: list[Change] = []
        moved: dict[int, Change] = {}
        for number, mask, cookie, name in parse(data):
            if mask & OVERFLOW:
                changes.append({"event": "overflow", "path": self.top, "folder": True})
                continue
            place = self._paths.get(number)
            if mask & IGNORED:
                self._paths.pop(number, None)
            if place is None or (not name and place != self.top and not mask & (DELETE_SELF | MOVE_SELF)):
                continue  # what a folder's own watch says, that of the folder above says too
            if mask & (DELETE_SELF | MOVE_SELF | UNMOUNT):
                if place == self.top:
                    self._gone = True
                    changes.append({"event": "removed", "path": place, "folder": False})
                continue
            self._note(changes, moved, mask, cookie, os.path.join(place, name) if name else place)
        for change in moved.values():  # its other half is outside of what is watched
            change["event"] = "removed"
            self._forget_below(change["path"])
        return changes

    def _note(self, changes: list[Change], moved: dict[int, Change], mask: int, cookie: int, path: str) -> None:
        event = next((word for bit, word in _NAMES.items() if mask & bit), None)
        if event is None:
            return
        folder = bool(mask & IS_FOLDER)
        change: Change = {"event": event, "path": path, "folder": folder}
        if event == "moved-from":
            moved[cookie] = change
        elif event == "moved-to":
            source = moved.pop(cookie, None)
            change["event"] = "created" if source is None else "moved"
            if source is not None:
                changes.remove(source)
                change["from"] = source["path"]
                if folder:
                    self._rename_below(source["path"], path)
        if changes and changes[-1] == change:
            return
        changes.append(change)
        if folder and self._recursive and change["event"] == "created":
            changes += self._add_new(path)

    def _add(self, path: str, more: int) -> None:
        if len(self._paths) >= MAX_WATCHES:
            raise OpError(
                "too-large", f"more than {MAX_WATCHES} folders below {self.top}", hint="watch a smaller folder"
            )
        number = self._libc.inotify_add_watch(self.fd, os.fsencode(path), _WANTED | more)
        if number < 0:
            code = ctypes.get_errno()
            if code == errno.ENOSPC:
                raise OpError("busy", "the guest watches as much as its kernel lets it", hint="end other watches")
            raise OSError(code, os.strerror(code), path)
        self._paths[number] = path

    def _add_below(self, top: str) -> list[str]:
        """Watch all folders below; the names of everything found. What may not be read is left out."""
        found: list[str] = []
        folders = [top]
        while folders:
            try:
                names = sorted(os.listdir(folders[-1]))
            except OSError:
                names = []
            place = folders.pop()
            for name in names:
                path = os.path.join(place, name)
                found.append(path)
                try:
                    if stat.S_ISDIR(os.lstat(path).st_mode):
                        self._add(path, _ONLY_FOLDERS | _NO_LINKS)
                        folders.append(path)
                except OSError:
                    continue
        return found

    def _add_new(self, path: str) -> list[Change]:
        """Watch a folder that has come; what is in it already came with it."""
        try:
            self._add(path, _ONLY_FOLDERS | _NO_LINKS)
            below = self._add_below(path)
        except (OSError, OpError):  # it is gone again, or there are too many: what is watched goes on
            return [{"event": "overflow", "path": path, "folder": True}] if os.path.isdir(path) else []
        return [{"event": "created", "path": each, "folder": os.path.isdir(each)} for each in below]

    def _rename_below(self, old: str, new: str) -> None:
        for number, path in self._paths.items():
            if path == old or path.startswith(f"{old}/"):
                self._paths[number] = new + path[len(old) :]

    def _forget_below(self, path: str) -> None:
        for number, place in list(self._paths.items()):
            if place == path or place.startswith(f"{path}/"):
                del self._paths[number]
                self._libc.inotify_rm_watch(self.fd, number)


def parse(data: bytes) -> list[tuple[int, int, int, str]]:
    """The (watch, mask, cookie, name) of what was read from inotify."""
    found = []
    at = 0
    while at + _HEADER.size <= len(data):
        number, mask, cookie, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        found.append((number, mask, cookie, os.fsdecode(data[at : at + length].rstrip(b"\0"))))
        at += length
    return found
