"""A disk's copy: the same bytes and the same holes, on its own file system and on another."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_sandbox.snapshots.checkpoint import copy_file

MIB = 1 << 20


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    for place in ("/dev/shm", "/var/tmp", "/run"):
        if os.access(place, os.W_OK) and os.stat(place).st_dev != os.stat(tmp_path).st_dev:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                yield Path(folder)
            return
    pytest.skip("there is one file system only")


def sparse(path: Path) -> bytes:
    with path.open("wb") as file:
        for at in (0, 8 * MIB, 40 * MIB + 4096):
            file.seek(at)
            file.write(os.urandom(MIB + 77))
        file.truncate(64 * MIB)
    return path.read_bytes()


def same_with_holes(source: Path, target: Path) -> None:
    content = sparse(source)
    copy_file(source, target)
    assert target.read_bytes() == content
    assert target.stat().st_blocks * 512 < 8 * MIB  # three pieces of a megabyte, not 64


def test_a_copy_beside_it(tmp_path: Path) -> None:
    same_with_holes(tmp_path / "disk", tmp_path / "copy")


def test_a_copy_on_another_file_system(tmp_path: Path, elsewhere: Path) -> None:
    same_with_holes(tmp_path / "disk", elsewhere / "copy")


def test_a_copy_never_replaces(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"new")
    (tmp_path / "copy").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        copy_file(tmp_path / "disk", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"old"
