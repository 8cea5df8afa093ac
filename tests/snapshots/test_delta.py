"""A checkpoint's memory as a file, and reading pages out of and into a process: here, this test's own."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm import private_pages
from desktop_sandbox.microvm.private_pages import PAGE, GuestRam, private_runs, read_pages, runs_of, write_pages
from desktop_sandbox.snapshots.checkpoint import copy_file
from desktop_sandbox.snapshots.delta import Delta, only_changed, read_delta, write_delta

PAGES = 4096


@pytest.fixture
def ram():
    """A private mapping of a file with every page in use, as a machine has of its template's RAM."""
    descriptor = os.memfd_create("ram")
    os.ftruncate(descriptor, PAGES * PAGE)
    for page in range(PAGES):
        os.pwrite(descriptor, page.to_bytes(8, "little"), page * PAGE)
    mapping = mmap.mmap(descriptor, PAGES * PAGE, flags=mmap.MAP_PRIVATE)
    mapping[::PAGE]  # every page is read once, and so mapped
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    yield GuestRam(os.getpid(), address, PAGES * PAGE), mapping
    os.close(descriptor)


@pytest.mark.parametrize("way", ["ioctl", "pagemap"])
def test_only_pages_that_were_written_are_private(ram, way, monkeypatch):
    place, mapping = ram
    if way == "pagemap":
        monkeypatch.setattr(private_pages, "_scan", _no_ioctl)
    written = [0, 1, 2, 7, 9, 10, 2000, *range(3000, 3600), PAGES - 1]
    for page in written:
        mapping[page * PAGE + 9] = 1
    runs = private_runs(place)
    assert runs.tolist() == runs_of(np.array(written)).tolist()
    assert runs.tolist()[:3] == [[0, 3], [7, 1], [9, 2]]


def _no_ioctl(*_):
    raise OSError(25, "not a typewriter")


def test_pages_go_out_and_come_back_in(ram):
    place, mapping = ram
    rng = np.random.default_rng(1)
    pages = np.flatnonzero(rng.random(PAGES) < 0.7)  # far more runs than one call takes
    for page in pages:
        mapping[page * PAGE + 100 : page * PAGE + 108] = int(page * 7).to_bytes(8, "little")
    runs = private_runs(place)
    assert len(runs) > 800
    taken = memoryview(bytearray(len(pages) * PAGE))
    read_pages(place, runs, taken)
    for index in (0, 1, len(pages) // 2, len(pages) - 1):
        assert int.from_bytes(taken[index * PAGE + 100 : index * PAGE + 108], "little") == pages[index] * 7
        assert int.from_bytes(taken[index * PAGE : index * PAGE + 8], "little") == pages[index]
    for page in pages:
        mapping[page * PAGE : page * PAGE + 200] = bytes(200)
    write_pages(place, runs, taken)
    again = memoryview(bytearray(len(pages) * PAGE))
    read_pages(place, runs, again)
    assert again == taken


def test_a_process_that_is_gone_is_an_error(ram):
    place, _ = ram
    gone = GuestRam(2**22 - 3, place.base, place.size_bytes)
    with pytest.raises(MachineError):
        private_runs(gone)
    with pytest.raises(MachineError):
        read_pages(gone, runs_of(np.array([1])), memoryview(bytearray(PAGE)))


def _delta() -> Delta:
    runs = runs_of(np.array([3, 4, 9, 511]))
    return Delta(runs, memoryview(os.urandom(4 * PAGE)))


def test_a_delta_is_read_as_it_was_written(tmp_path: Path):
    delta = _delta()
    digest = write_delta(tmp_path / "d", delta)
    back = read_delta(tmp_path / "d", (tmp_path / "d").stat().st_size, digest, 512 * PAGE)
    assert back.runs.tolist() == delta.runs.tolist()
    assert back.pages == delta.pages


@pytest.mark.parametrize("place", [0, 8, 20, 4096, 4096 * 3 + 5, -1])
def test_one_flipped_bit_is_noticed(tmp_path: Path, place: int):
    path = tmp_path / "d"
    digest = write_delta(path, _delta())
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(MachineError, match="damaged"):
        read_delta(path, len(data), digest, 512 * PAGE)


def test_a_short_file_and_pages_outside_of_ram_are_refused(tmp_path: Path):
    path = tmp_path / "d"
    digest = write_delta(path, _delta())
    size = path.stat().st_size
    with pytest.raises(MachineError, match="does not fit"):
        read_delta(path, size, digest, 511 * PAGE)
    os.truncate(path, size - 1)
    with pytest.raises(MachineError):
        read_delta(path, size, digest, 512 * PAGE)
    path.unlink()
    with pytest.raises(MachineError, match="cannot be read"):
        read_delta(path, size, digest, 512 * PAGE)


def test_a_copy_keeps_holes_and_content(tmp_path: Path):
    source = tmp_path / "a"
    with source.open("wb") as file:
        file.write(b"head")
        file.seek(8 << 20)
        file.write(b"middle" * 5000)
        file.truncate(32 << 20)
    copy_file(source, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == source.read_bytes()
    assert (tmp_path / "b").stat().st_blocks * 512 < 1 << 20
    with pytest.raises(FileExistsError):
        copy_file(source, tmp_path / "b")


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_pages_that_are_the_templates_again_are_left_out(share: float) -> None:
    """In more runs than are compared at once, a long one among them; what is read is not put into the template."""
    pages = 6000
    rng = np.random.default_rng(2)
    descriptor = os.memfd_create("template")
    os.ftruncate(descriptor, pages * PAGE)
    for page in range(0, pages, 2):  # each other one is a hole
        os.pwrite(descriptor, bytes([page % 251 + 1]) * PAGE, page * PAGE)
    filled = os.fstat(descriptor).st_blocks
    numbers = np.concatenate((np.flatnonzero(rng.random(3000) < 0.6), np.arange(3001, pages)))
    content = np.frombuffer(os.pread(descriptor, pages * PAGE, 0), np.uint8).reshape(-1, PAGE)[numbers].copy()
    changed = rng.random(len(numbers)) < share
    content[changed, 4095] ^= 7
    found = only_changed(Delta(runs_of(numbers), memoryview(content.copy().reshape(-1))), descriptor)
    assert found.runs.tolist() == runs_of(numbers[changed]).tolist()
    assert bytes(found.pages) == content[changed].tobytes()
    assert os.fstat(descriptor).st_blocks == filled
    os.close(descriptor)
