"""Commands that carry snapshots and templates between hosts: export, import, and whom to trust."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from desktop_sandbox import Host
from desktop_sandbox.cli.output import print_json, print_table
from desktop_sandbox.errors import InvalidRequestError


def export(snapshot: str, file: str, *, as_json: bool) -> None:
    """Write a snapshot to a file, which appears whole or not at all, readable by its owner only: it holds memory."""
    with _explained(file, "written"), Host.connect() as host, _whole(Path(file)) as out:
        about = host.get_snapshot(snapshot)
        for piece in _shown(host.export_snapshot(snapshot), about.size_bytes, "exporting"):
            out.write(piece)
    _tell_saved("snapshot", snapshot, Path(file), as_json=as_json)


def import_(file: str, name: str | None, *, as_json: bool) -> None:
    """Take a snapshot from a file; prints its id."""
    with _explained(file, "read"), Host.connect() as host, Path(file).open("rb") as source:
        pieces = iter(lambda: source.read(1 << 20), b"")
        info = host.import_snapshot(_shown(pieces, os.fstat(source.fileno()).st_size, "importing"), name=name)
    if as_json:
        print_json(info)
    else:
        print(info.snapshot_id)


def export_template(name: str, file: str | None, *, as_json: bool) -> None:
    """Write a template with its image to a file, as `export` does."""
    target = Path(file or f"{name}.template")
    with _explained(str(target), "written"), Host.connect() as host, _whole(target) as out:
        for piece in _shown(host.export_template(name), None, "exporting"):
            out.write(piece)
    _tell_saved("template", name, target, as_json=as_json)


def import_template(file: str, *, as_json: bool) -> None:
    """Take a template from a file; prints its name."""
    with _explained(file, "read"), Host.connect() as host, Path(file).open("rb") as source:
        pieces = iter(lambda: source.read(1 << 20), b"")
        info = host.import_template(_shown(pieces, os.fstat(source.fileno()).st_size, "importing"))
    if as_json:
        print_json(info)
        return
    print(info.name)
    if info.state != "ready":
        print(f"sandboxes are not made from it ({info.why}); snapshots taken over it fit", file=sys.stderr)


def trust_add(name: str, key: str) -> None:
    """Trust a key, given as such or as a file that holds it."""
    text = key
    if not key.startswith("ed25519:"):
        with _explained(key, "read"):
            text = Path(key).read_text(errors="replace") if Path(key).exists() else key
    with Host.connect() as host:
        host.trust(name, text.strip())
    print(f"what {name} signed is taken from now on", file=sys.stderr)


def trust_ls(*, as_json: bool) -> None:
    """List the keys that are trusted; this host's own comes first."""
    with Host.connect() as host:
        own, keys = host.signing_key(), host.trusted()
    if as_json:
        print_json({"own": own, "keys": keys})
    else:
        print_table(("NAME", "KEY"), [("(this host)", own), *sorted(keys.items())], empty="")


def trust_rm(name: str) -> None:
    """Trust a key no longer."""
    with Host.connect() as host:
        host.distrust(name)
    print(f"{name} is not trusted any more", file=sys.stderr)


@contextmanager
def _whole(target: Path) -> Iterator[IO[bytes]]:
    """A new file that only its owner can read, and that appears when the block ends well."""
    aside = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        with os.fdopen(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _tell_saved(what: str, name: str, target: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({what: name, "file": str(target), "size_bytes": target.stat().st_size})
    else:
        print(f"saved {target}, {target.stat().st_size / 1e6:.0f} MB", file=sys.stderr)


@contextmanager
def _explained(file: str, what: str) -> Iterator[None]:
    """An error of the file system as one that the command line shows in a line."""
    try:
        yield
    except OSError as error:
        raise InvalidRequestError(
            f"{file} cannot be {what}: {error.strerror or error}",
            hint="give the path of a file, in a folder that exists",
        ) from error


def _shown(pieces: Iterable[bytes], total: int | None, what: str) -> Iterator[bytes]:
    """The pieces, with a bar on stderr where that is a terminal; `total` None: what a template's own head says."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from desktop_sandbox.snapshots.envelope import MAX_HEAD_BYTES
    from desktop_sandbox.snapshots.template_export import expected_bytes

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(what, total=total)
        begin = b""
        for piece in pieces:
            yield piece
            progress.advance(bar, len(piece))
            if total is None and len(begin) <= MAX_HEAD_BYTES:
                begin += piece
                total = expected_bytes(begin)
                progress.update(bar, total=total)
