"""The kernel's file and its modules."""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from guest_image.builder import kernel
from guest_image.builder.errors import BuildError

DEPENDS = """\
kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/mbcache.ko.xz kernel/fs/jbd2/jbd2.ko.xz
kernel/fs/jbd2/jbd2.ko.xz: kernel/lib/crc32c.ko.xz
kernel/lib/crc32c.ko.xz:
kernel/lib/crc16.ko.xz:
kernel/fs/mbcache.ko.xz:
kernel/drivers/virtio/virtio-mmio.ko.xz:
"""


def test_each_module_comes_after_what_it_needs_and_once() -> None:
    order = kernel.loading_order(kernel.parse_dependencies(DEPENDS), ["virtio_mmio", "ext4", "built_in"])
    names = [kernel.module_name(path) for path in order]
    assert names == ["virtio_mmio", "crc16", "mbcache", "crc32c", "jbd2", "ext4"]


def bzimage(payload: bytes) -> bytes:
    head = bytearray(5 * 512)
    head[0x1F1] = 4
    struct.pack_into("<II", head, 0x248, 64, len(payload))
    return bytes(head) + bytes(64) + payload + b"tail"


def test_vmlinux_comes_out_of_a_bzimage() -> None:
    elf = b"\x7fELF" + bytes(range(256)) * 40
    assert kernel.extract_vmlinux(bzimage(lzma.compress(elf) + b"\0\1\2\3")) == elf


@pytest.mark.parametrize("payload", [b"lz4?" * 30, lzma.compress(b"no ELF"), lzma.compress(b"\x7fELF" * 99)[:40]])
def test_what_is_not_understood_stays_compressed(payload: bytes) -> None:
    assert kernel.extract_vmlinux(bzimage(payload)) is None


@pytest.mark.skipif(shutil.which("mke2fs") is None, reason="e2fsprogs is not installed")
def test_files_are_read_from_an_ext4_image(tmp_path: Path) -> None:
    (tmp_path / "tree" / "boot").mkdir(parents=True)
    (tmp_path / "tree" / "boot" / "vmlinuz-6.1-old").write_bytes(b"old")
    (tmp_path / "tree" / "boot" / "vmlinuz-6.12-new").write_bytes(b"new")
    disk = tmp_path / "disk.raw"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tmp_path / "tree", disk, "8M"], check=True)
    assert sorted(kernel.list_directory(disk, "/boot")) == ["vmlinuz-6.1-old", "vmlinuz-6.12-new"]
    assert kernel.kernel_release(disk) == "6.12-new"
    assert kernel.read_from_disk(disk, "/boot/vmlinuz-6.12-new") == b"new"
    with pytest.raises(BuildError, match="/boot/nothing"):
        kernel.read_from_disk(disk, "/boot/nothing")
