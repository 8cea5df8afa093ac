"""Commands for a desktop's files. Its names are hostile: none of them steers this terminal, or what is written here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from desktop_sandbox.cli.desktop import connected
from desktop_sandbox.cli.output import jsonable, print_json, print_pairs, print_table, shown, size

if TYPE_CHECKING:
    from desktop_sandbox import Sandbox
    from desktop_sandbox.sdk.models import FileInfo

_KINDS = {"directory": "d", "symlink": "l", "file": "-"}


def ls(sandbox_id: str, path: str, *, depth: int, user: str, as_json: bool) -> None:
    """List a folder."""
    with connected(sandbox_id) as desktop:
        found = desktop.files.list(path, depth=depth, user=user)
    if as_json:
        print_json(found)
        return
    rows = [
        (_mode(info), size(info.size_bytes), f"{info.modified_at:%Y-%m-%d %H:%M}", shown(info.path)) for info in found
    ]
    print_table(("MODE", "SIZE", "MODIFIED (UTC)", "PATH"), rows, empty="nothing is in it")
    if found.truncated:
        print(f"there is more: only the first {len(found)} are shown", file=sys.stderr)


def stat(sandbox_id: str, path: str, *, user: str, as_json: bool) -> None:
    """Look at one entry."""
    with connected(sandbox_id) as desktop:
        info = desktop.files.get_info(path, user=user)
    if as_json:
        print_json(info)
    else:
        when = f"{info.modified_at:%Y-%m-%d %H:%M:%S} UTC"
        pairs = [("path", shown(info.path)), ("type", shown(info.type)), ("size", f"{info.size_bytes} bytes")]
        print_pairs([*pairs, ("mode", _mode(info)), ("modified", when)])


def mkdir(sandbox_id: str, path: str, *, user: str, as_json: bool) -> None:
    """Make a folder."""
    with connected(sandbox_id) as desktop:
        info = desktop.files.make_dir(path, user=user)
    if as_json:
        print_json(info)


def mv(sandbox_id: str, source: str, target: str, *, user: str, as_json: bool) -> None:
    """Move a file or folder."""
    with connected(sandbox_id) as desktop:
        desktop.files.rename(source, target, user=user)
    if as_json:
        print_json({"moved": source, "to": target})


def rm(sandbox_id: str, path: str, *, recursive: bool, user: str, as_json: bool) -> None:
    """Remove a file or folder."""
    with connected(sandbox_id) as desktop:
        desktop.files.remove(path, recursive=recursive, user=user)
    if as_json:
        print_json({"removed": path})


def get(sandbox_id: str, path: str, to: str | None, *, resume: bool, user: str, as_json: bool) -> None:
    """Copy a file or a folder from the desktop."""
    with connected(sandbox_id) as desktop:
        if to == "-":
            for chunk in desktop.files.read(path, "stream", user=user):
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            return
        info = desktop.files.get_info(path, user=user, follow=True)
        # what it is called here comes from what was asked for, not from what the desktop answers
        target = Path(to if to is not None else path.rstrip("/").rpartition("/")[2] or sandbox_id)
        if to is None and target.name in ("", ".", "..", "~"):
            target = Path(sandbox_id)
        if info.type == "directory":
            _get_folder(desktop, path, target, user=user, as_json=as_json)
            return
        with _Bar(path) as bar:
            saved = desktop.files.download(path, target, user=user, resume=resume, progress=bar.part)
    if as_json:
        print_json({"path": str(saved), "size_bytes": info.size_bytes})
    else:
        print(f"{saved}: {size(info.size_bytes)}", file=sys.stderr)


def _get_folder(desktop: Sandbox, path: str, target: Path, *, user: str, as_json: bool) -> None:
    with _Bar(path) as bar:
        done = desktop.files.download_folder(path, target, user=user, progress=bar.so_far)
    if as_json:
        print_json({"path": str(target), **jsonable(done)})
        return
    print(f"{target}: {done.files} files, {size(done.size_bytes)}", file=sys.stderr)
    for name in done.skipped:
        print(f"left out: {shown(name)}", file=sys.stderr)


def put(sandbox_id: str, source: str, path: str, *, user: str, as_json: bool) -> None:
    """Copy a file or a folder into the desktop."""
    name = "" if source == "-" else Path(source).resolve().name
    target = f"{path}{name}" if path.endswith("/") else path
    if source == "-" and path.endswith("/"):
        raise typer.BadParameter("name the file in the desktop: stdin has no name")
    with connected(sandbox_id) as desktop:
        if source == "-":
            info = desktop.files.write(target, sys.stdin.buffer, user=user)
        elif Path(source).is_dir():
            with _Bar(source) as bar:
                info = desktop.files.upload_folder(source, target, user=user, progress=bar.so_far)
        else:
            mode = 0o755 if os.access(source, os.X_OK) else None
            with _Bar(source) as bar:
                info = desktop.files.upload(source, target, user=user, mode=mode, progress=bar.part)
    if as_json:
        print_json(info)
    else:
        more = "" if info.type == "directory" else f": {size(info.size_bytes)}"
        print(f"{shown(info.path)}{more}", file=sys.stderr)


def watch(sandbox_id: str, path: str, *, recursive: bool, user: str, as_json: bool) -> None:
    """Print changes until Ctrl-C."""
    with connected(sandbox_id) as desktop:
        for change in desktop.files.watch(path, recursive=recursive, user=user):
            if as_json:
                print(json.dumps(jsonable(change)), flush=True)
            elif change.event == "ready":
                print(f"watching {shown(path)}; Ctrl-C ends it", file=sys.stderr)
            else:
                before = "" if change.source is None else f"{shown(change.source)} → "
                print(f"{change.event:<10}  {before}{shown(change.path)}{'/' * change.folder}", flush=True)


def link(
    sandbox_id: str,
    path: str,
    access: Literal["read", "write", "archive"],
    *,
    ttl: float,
    user: str,
    as_json: bool,
) -> None:
    """Print a signed address."""
    with connected(sandbox_id) as desktop:
        made = desktop.files.link(path, access, expires_in=ttl, user=user)
    if as_json:
        print_json(made)
        return
    print(made.url)
    may = {"read": "read it", "write": "write it (curl --upload-file FILE URL)", "archive": "read all of it"}[access]
    print(f"whoever has this address may {may} until {made.expires_at:%Y-%m-%d %H:%M} UTC", file=sys.stderr)


def _mode(info: FileInfo) -> str:
    bits = "".join(letter if info.mode >> 8 - at & 1 else "-" for at, letter in enumerate("rwxrwxrwx"))
    return _KINDS.get(info.type, "?") + bits


class _Bar:
    """How far a transfer is, on one line of a terminal's stderr; nothing where that is none."""

    def __init__(self, name: str) -> None:
        self._name = shown(name)[-40:]
        self._shows = sys.stderr.isatty()
        self._last = ""

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._last:
            print(f"\r{' ' * len(self._last)}\r", end="", file=sys.stderr, flush=True)

    def part(self, done: int, whole: int) -> None:
        """So many bytes of so many."""
        percent = f"{done * 100 // whole} %" if whole else ""
        self._show(f"{self._name}: {size(done)} of {size(whole)}  {percent}")

    def so_far(self, done: int) -> None:
        """So many bytes, of nobody knows how many."""
        self._show(f"{self._name}: {size(done)}")

    def _show(self, text: str) -> None:
        if self._shows and text != self._last:
            print(f"\r{text:<{len(self._last)}}", end="", file=sys.stderr, flush=True)
            self._last = text
