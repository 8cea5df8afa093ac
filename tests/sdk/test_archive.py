"""What a hostile archive may do to this computer: nothing."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_sandbox import errors
from desktop_sandbox.sdk.archive import pack, place_of, stays_inside, unpack

FILE, LINK, HARD, FOLDER, FIFO, DEVICE = (
    tarfile.REGTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
    tarfile.CHRTYPE,
)


def archive(*members: tuple[bytes, str, str | bytes]) -> bytes:
    """A tar of (kind, name, content or link target)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for kind, name, what in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mode = 0o755 if kind == FOLDER else 0o6644
            content = what if isinstance(what, bytes) else b""
            if isinstance(what, str):
                info.linkname = what
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def pieces(data: bytes, size: int = 777) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def take(data: bytes, folder: Path, **more: int):
    source = pieces(data)
    return unpack(lambda: next(source, b""), folder, **more)


def tree(folder: Path) -> dict[str, str]:
    found = {}
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(place, name)
            key = path.relative_to(folder).as_posix()
            found[key] = f"-> {path.readlink()}" if path.is_symlink() else "/" if path.is_dir() else path.read_text()
    return found


def test_there_and_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "ä 世\n").write_text("x" * 300_000)
    (source / "deep" / "er" / "tool").write_text("#!/bin/sh\n")
    (source / "deep" / "er" / "tool").chmod(0o755)
    (source / "empty").touch()
    (source / "link").symlink_to("deep/er")
    os.link(source / "empty", source / "same")
    os.mkfifo(source / "fifo")
    done = take(b"".join(pack(source)), tmp_path / "copy")
    (source / "fifo").unlink()
    assert tree(tmp_path / "copy") == tree(source)
    assert os.access(tmp_path / "copy" / "deep" / "er" / "tool", os.X_OK)
    assert (done.files, done.folders, done.links, done.skipped) == (4, 2, 1, [])


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "a/..", "..", "/", "a/b/../../../x", "\x00"]
)  # fmt: skip
def test_names_that_lead_out(name: str, tmp_path: Path) -> None:
    with pytest.raises(errors.GuestError, match="leads out"):
        place_of(name)
    if "\0" not in name:
        with pytest.raises(errors.GuestError, match="leads out"):
            take(archive((FILE, name, b"bad")), tmp_path / "to")
        assert tree(tmp_path) == {"to": "/"}


@pytest.mark.parametrize(
    ("depth", "target", "inside"),
    [
        (0, "a", True),
        (0, "./a/b", True),
        (1, "../a", True),
        (2, "../../a", True),
        (0, "..", False),
        (1, "../..", False),
        (0, "/etc", False),
        (5, "a/..", False),
        (5, "../a/../b", False),
        (0, "", False),
        (0, "a\0b", False),
    ],
)
def test_where_links_lead(depth: int, target: str, inside: bool) -> None:
    assert stays_inside(depth, target) is inside


def test_links_that_lead_out_are_left_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kept")
    to = tmp_path / "to"
    done = take(
        archive(
            (LINK, "abs", str(secret)),
            (LINK, "up", "../secret"),
            (FOLDER, "d", ""),
            (LINK, "d/ok", "../f"),
            (LINK, "d/chain", "ok/../../secret"),
            (FILE, "f", b"mine"),
            (HARD, "hard", "nothing"),
            (HARD, "same", "f"),
            (FIFO, "pipe", ""),
            (DEVICE, "null", ""),
        ),
        to,
    )
    assert tree(to) == {"d": "/", "d/ok": "-> ../f", "f": "mine", "same": "mine"}
    assert sorted(done.skipped) == ["abs", "d/chain", "hard", "null", "pipe", "up"]
    assert (to / "f").stat().st_mode & 0o7777 == 0o644


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("kept")
    to = tmp_path / "to"
    # links that are in the archive come last, so "way/f" is a file of its own
    done = take(archive((LINK, "way", "."), (FILE, "way/f", b"x"), (LINK, "way/g", "f")), to)
    assert tree(to) == {"way": "/", "way/f": "x", "way/g": "-> f"}
    assert done.skipped == ["way"]
    # and those that are there already are not gone through
    (to / "there").symlink_to(outside)
    (to / "file").symlink_to(outside / "f")
    take(archive((FILE, "file", b"new")), to)
    assert (to / "file").read_text() == "new"
    assert not (to / "file").is_symlink()
    with pytest.raises(errors.ConfigurationError):
        take(archive((FILE, "there/f", b"bad")), to)
    with pytest.raises(errors.GuestError, match="leads out"):
        take(archive((HARD, "hard", "../outside/f")), to)
    assert (outside / "f").read_text() == "kept"


def test_a_second_name_of_a_file_is_not_written_through(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("kept")
    to = tmp_path / "to"
    to.mkdir()
    os.link(mine, to / "f")
    take(archive((FILE, "f", b"new")), to)
    assert (mine.read_text(), (to / "f").read_text()) == ("kept", "new")


def test_bounds(tmp_path: Path) -> None:
    big = archive((FILE, "a", bytes(600_000)), (FILE, "b", bytes(600_000)))
    with pytest.raises(errors.GuestError, match="more than 1000000 bytes"):
        take(big, tmp_path / "to", max_bytes=1_000_000)

    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    header.size = (8 << 30) - 1  # a header that would fill the memory
    pulled = 0

    def endless() -> bytes:
        nonlocal pulled
        pulled += 65536
        return header.tobuf() + bytes(65536 - 512) if pulled == 65536 else bytes(65536)

    with pytest.raises(errors.GuestError, match="too long"):
        unpack(endless, tmp_path / "to")
    assert pulled < 8 << 20


@pytest.mark.parametrize("data", [b"no tar" * 200, b"x", archive((FILE, "a", bytes(5000)))[:2000]])
def test_broken_ones(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(errors.GuestError, match="broken"):
        take(data, tmp_path / "to")


def test_empty_ones(tmp_path: Path) -> None:
    assert take(archive(), tmp_path / "to").files == 0
    assert (tmp_path / "to").is_dir()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.ConfigurationError):
        take(archive((FILE, "a", b"x")), tmp_path / "file")
    with pytest.raises(errors.ConfigurationError, match="no folder"):
        list(pack(tmp_path / "none"))
