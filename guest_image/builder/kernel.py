"""The kernel and its modules, read out of a base's ext4 file with debugfs (needs no privilege, mounts nothing)."""

from __future__ import annotations

import gzip
import lzma
import struct
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from guest_image.builder.errors import BuildError

BOOT_MODULES = ("virtio_mmio", "virtio_blk", "ext4", "crc32c_generic")


def read_from_disk(disk: Path, path: str) -> bytes:
    """A file's content out of an ext4 image. Raises BuildError if it is not there."""
    result = subprocess.run(["debugfs", "-R", f'cat "{path}"', str(disk)], capture_output=True, check=False)
    if result.returncode != 0 or b"File not found" in result.stderr:
        raise BuildError(f"{path} is not in {disk}: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout


def list_directory(disk: Path, path: str) -> list[str]:
    """Names in a directory of an ext4 image."""
    result = subprocess.run(
        ["debugfs", "-R", f'ls -p "{path}"', str(disk)], capture_output=True, text=True, check=False
    )
    fields = [line.split("/") for line in result.stdout.splitlines() if line.startswith("/")]
    return [parts[5] for parts in fields if len(parts) > 5 and parts[5] not in {"", ".", ".."}]


def kernel_release(disk: Path) -> str:
    """Release of the newest kernel in an ext4 image, like "6.12.43+deb13-cloud-amd64"."""
    releases = [name.removeprefix("vmlinuz-") for name in list_directory(disk, "/boot") if name.startswith("vmlinuz-")]
    if not releases:
        raise BuildError(f"there is no kernel in {disk}", hint="the package linux-image-cloud-amd64 brings one")
    return max(releases)


def boot_modules(disk: Path, release: str, wanted: Iterable[str] = BOOT_MODULES) -> list[tuple[str, bytes]]:
    """The wanted modules and what they depend on, uncompressed, in loading order, as (file name, content).

    A wanted module that is built into the kernel is left out.
    """
    top = f"/usr/lib/modules/{release}"
    depends = parse_dependencies(read_from_disk(disk, f"{top}/modules.dep").decode())
    return [
        (f"{module_name(path)}.ko", _unpack_module(path, read_from_disk(disk, f"{top}/{path}")))
        for path in loading_order(depends, wanted)
    ]


def parse_dependencies(text: str) -> dict[str, list[str]]:
    """modules.dep: path of each module, and paths of what it needs."""
    lines = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {path: needs.split() for path, _, needs in lines}


def loading_order(depends: Mapping[str, list[str]], wanted: Iterable[str]) -> list[str]:
    """Paths of the wanted modules (by name) with all they need, each after what it needs."""
    by_name = {module_name(path): path for path in depends}
    order: list[str] = []

    def visit(path: str) -> None:
        for need in depends.get(path, []):
            visit(need)
        if path not in order:
            order.append(path)

    for name in wanted:
        if name in by_name:
            visit(by_name[name])
    return order


def module_name(path: str) -> str:
    """The name a module is known by: "kernel/drivers/virtio-mmio.ko.xz" is virtio_mmio."""
    return path.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")


def _unpack_module(path: str, data: bytes) -> bytes:
    if path.endswith(".xz"):
        return lzma.decompress(data)
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".zst"):
        return _unzstd(data)
    return data


def extract_vmlinux(bzimage: bytes) -> bytes | None:
    """The uncompressed kernel (ELF) out of a bzImage, or None where its compression is not known here.

    PVH starts it directly, which saves unpacking it inside an emulated guest. Offsets: Documentation/arch/x86/boot.rst
    (setup_sects 0x1F1, payload_offset 0x248, payload_length 0x24C).
    """
    sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (sectors + 1) * 512 + offset
    payload = bzimage[start : start + length]
    try:
        if payload.startswith(b"\xfd7zXZ\0"):
            unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ)
            kernel = unpacker.decompress(payload)
            if not unpacker.eof:
                return None
        elif payload.startswith(b"\x1f\x8b"):
            kernel = gzip.decompress(payload[:-4])
        elif payload.startswith(b"\x28\xb5\x2f\xfd"):
            kernel = _unzstd(payload[:-4])
        else:
            return None
    except (OSError, EOFError, lzma.LZMAError, subprocess.CalledProcessError):
        return None
    return kernel if kernel.startswith(b"\x7fELF") else None


def _unzstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
