"""file.stat, file.list, file.mkdir, file.remove, file.rename: names in the guest's file system."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError, from_os_error
from guest_image.agent.ops.files import absolute, make_folder
from guest_image.agent.registry import boolean, integer, op, string

if TYPE_CHECKING:
    from collections.abc import Callable

    from guest_image.agent.call import Call

_MAX_ENTRIES = 5000
_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


def describe(path: str, *, follow: bool = False) -> dict[str, Any]:
    """{path, type, size, mode, modified_ns}; size in bytes."""
    status = os.stat(path) if follow else os.lstat(path)
    return {
        "path": path,
        "type": _TYPES.get(stat.S_IFMT(status.st_mode), "other"),
        "size": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "modified_ns": status.st_mtime_ns,
    }


async def _as_user(call: Call, user: str, what: str, work: Callable[..., Any], *paths: str, **more: Any) -> Any:
    account = call.agent.accounts.get(user)
    places = [absolute(path, account.home) for path in paths]

    def act() -> Any:
        return work(*places, **more)

    try:
        return await call.agent.files.run(account, act)
    except OSError as error:
        raise from_os_error(error, f"cannot {what} {' to '.join(places)}") from error


@op("file.stat", path=string(), user=string("user"), follow=boolean(False))
async def file_stat(call: Call, *, path: str, user: str, follow: bool) -> dict[str, Any]:
    """One entry; with `follow`, what a link leads to is told under the link's path."""
    entry: dict[str, Any] = await _as_user(call, user, "look at", describe, path, follow=follow)
    return entry


@op("file.list", path=string(), user=string("user"), depth=integer(1, 1, 64))
async def file_list(call: Call, *, path: str, user: str, depth: int) -> dict[str, Any]:
    """{"entries", "truncated"}: what lies below a folder, `depth` levels deep, sorted, at most 5000 entries."""
    found: dict[str, Any] = await _as_user(call, user, "list", _listing, path, depth=depth)
    return found


def _listing(top: str, depth: int) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    folders = [(top, depth)]
    while folders:
        folder, left = folders.pop(0)
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            if folder == top:
                raise
            continue
        for name in names:
            if len(entries) >= _MAX_ENTRIES:
                return {"entries": entries, "truncated": True}
            try:
                entry = describe(os.path.join(folder, name))
            except OSError:
                continue
            entries.append(entry)
            if left > 1 and entry["type"] == "directory":
                folders.append((entry["path"], left - 1))
    return {"entries": entries, "truncated": False}


@op("file.mkdir", path=string(), user=string("user"))
async def file_mkdir(call: Call, *, path: str, user: str) -> dict[str, Any]:
    """Make a folder and those above it; one that is there already is fine."""

    def work(place: str) -> dict[str, Any]:
        make_folder(place)
        return describe(place)

    made: dict[str, Any] = await _as_user(call, user, "make folder", work, path)
    return made


@op("file.remove", path=string(), recursive=boolean(False), user=string("user"))
async def file_remove(call: Call, *, path: str, recursive: bool, user: str) -> dict[str, Any]:
    """Remove a file or a folder; one that is not empty only with `recursive`."""

    def work(place: str) -> None:
        if not stat.S_ISDIR(os.lstat(place).st_mode):
            os.unlink(place)
        elif place == "/":
            raise OpError("invalid", "the root folder cannot be removed")
        elif recursive:
            shutil.rmtree(place)
        else:
            os.rmdir(place)

    await _as_user(call, user, "remove", work, path)
    return {}


@op("file.rename", source=string(), target=string(), user=string("user"))
async def file_rename(call: Call, *, source: str, target: str, user: str) -> dict[str, Any]:
    """Move a file or folder, over a file that is there; also from one file system to another."""

    def work(old: str, new: str) -> dict[str, Any]:
        if os.path.isdir(new) and not os.path.isdir(old):
            raise OpError("is-directory", f"{new} is a folder", hint="name the new file itself")
        make_folder(os.path.dirname(new))
        shutil.move(old, new)
        return describe(new)

    moved: dict[str, Any] = await _as_user(call, user, "move", work, source, target)
    return moved
