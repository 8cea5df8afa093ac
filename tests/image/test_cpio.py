"""The archive that the kernel unpacks into its initramfs."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from guest_image.builder import cpio

ENTRIES = [
    cpio.Entry.file("init", b"#!/bin/sh\n", 0o755),
    cpio.Entry.file("layin/home/user/note", b"hello", owner=1000),
    cpio.Entry.link("etc/off.service", "/dev/null"),
    cpio.Entry.file("empty", b""),
]


def test_parents_are_made_up_before_their_children_and_owned_by_who_owns_the_place() -> None:
    whole = cpio.with_parents(ENTRIES, {"layin/home/user": 1000})
    paths = [entry.path for entry in whole]
    assert paths == sorted(paths)
    assert {"etc", "layin", "layin/home", "layin/home/user"} <= set(paths)
    owners = {entry.path: entry.uid for entry in whole}
    assert owners["layin/home"] == 0
    assert owners["layin/home/user"] == 1000


def test_the_same_entries_give_the_same_bytes() -> None:
    first = cpio.write(cpio.with_parents(ENTRIES))
    assert first == cpio.write(cpio.with_parents(reversed(ENTRIES)))
    assert len(first) % 512 == 0


def test_header_is_as_the_format_says() -> None:
    data = cpio.write([cpio.Entry.file("a", b"xyz", 0o640, owner=7)])
    fields = [int(data[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
    assert data[:6] == b"070701"
    assert fields[1] == stat.S_IFREG | 0o640
    assert fields[2:4] == [7, 7]
    assert fields[6] == 3  # file size
    assert fields[11] == 2  # name with its zero
    assert data[110:112] == b"a\0"
    assert data[112:115] == b"xyz"


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_reads_it(tmp_path: Path) -> None:
    data = cpio.write(cpio.with_parents(ENTRIES))
    listed = subprocess.run(["cpio", "-t"], input=data, capture_output=True, check=True).stdout.decode().split()
    assert listed == [entry.path for entry in cpio.with_parents(ENTRIES)]
    subprocess.run(["cpio", "-id", "--no-preserve-owner"], input=data, cwd=tmp_path, check=True)
    assert (tmp_path / "layin/home/user/note").read_bytes() == b"hello"
    assert (tmp_path / "etc/off.service").readlink() == Path("/dev/null")
    assert stat.S_IMODE((tmp_path / "init").stat().st_mode) == 0o755
