"""A tiny template and its image on disk, and the file that it is exported as."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from desktop_sandbox.snapshots import ram
from desktop_sandbox.snapshots.manifest import Fit, Manifest, Part, Promoted
from desktop_sandbox.snapshots.signing import Keys
from desktop_sandbox.snapshots.template_export import export_template
from desktop_sandbox.snapshots.templates import Template, below_name, disk_digest
from guest_image.builder import Image
from guest_image.builder.store import write_image

MIB = 1 << 20
GRAIN = ram.GRAIN_BYTES
FIT = Fit("7.2.22/x", "tcg", "max", 1, 1, 2, "ab" * 32, 2_000_000)
DISK_BYTES = 4 * MIB + 100
FOLDER = "minimal-1700000000000"


def lay(home: Path, *, promoted: bool = False) -> tuple[Template, Image]:
    """A template of 1 MiB of memory over an image of 4 MiB, both with holes."""
    image = _lay_image(home / "images" / f"minimal-{FIT.image[:16]}")
    folder = home / "templates" / ("logged-in-1700000000001" if promoted else FOLDER)
    folder.mkdir(parents=True, mode=0o700)
    memory = ram.new_ram(MIB)
    os.pwrite(memory, b"page" * 1024, 3 * GRAIN + 4096)
    os.pwrite(memory, b"x", MIB - 1)
    part = Part(MIB, ram.save_ram(memory, folder / "ram.bin"))
    os.close(memory)
    layers = [below_name(number) for number in range(2)] if promoted else []
    for name in ("state.bin", "disk.qcow2", "empty.qcow2", *layers):
        (folder / name).write_bytes(name.encode() * 100)

    def written(name: str) -> Part:
        return Part((folder / name).stat().st_size, disk_digest(folder / name))

    manifest = Manifest(
        "minimal", 1_700_000_000.0, FIT, part, written("state.bin"), written("disk.qcow2"),
        DISK_BYTES, (1024, 768), {"runs": [[1, 2]]}, quiesced=True, idle_cpu=0.03, uptime_s=20.5,
    )  # fmt: skip
    if promoted:
        below = tuple(written(name) for name in layers)
        manifest = replace(manifest, name="logged-in", promoted=Promoted("ss-0a", "minimal", below, (1600, 1200)))
    (folder / "manifest.json").write_text(manifest.to_json())
    return Template(folder, manifest, image.disk), image


def _lay_image(directory: Path) -> Image:
    directory.mkdir(parents=True)
    with (directory / "disk.raw").open("wb") as file:
        file.truncate(DISK_BYTES)
        file.seek(2 * MIB + 5)
        file.write(b"ext4" * 40_000)
        file.seek(DISK_BYTES - 1)
        file.write(b"!")
    (directory / "initrd").write_bytes(b"")
    (directory / "vmlinux").write_bytes(bytes(GRAIN) + b"kernel")
    image = Image(directory, "minimal", FIT.image, "b" * 64, "6.12", "vmlinux", 1.5, 4096, "c" * 64)
    write_image(image)
    return image


def exported(home: Path, template: Template, image: Image) -> bytes:
    """The whole file."""
    size, pieces = export_template(template, image, Keys(home))
    content = b"".join(pieces)
    assert len(content) == size
    return content


def head_of(content: bytes) -> tuple[dict[str, Any], int]:
    """Its head, and where its body begins."""
    end = 12 + int.from_bytes(content[8:12], "little")
    return json.loads(content[12:end]), end + 96


def changed(content: bytes, keys: Keys, change: Callable[[dict[str, Any]], None], body: bytes | None = None) -> bytes:
    """The file with another head, signed anew by `keys`, and another body."""
    head, start = head_of(content)
    change(head)
    data = json.dumps(head).encode()
    message = content[:8] + len(data).to_bytes(4, "little") + data
    return message + keys.own() + keys.sign(message) + (content[start:] if body is None else body)


def content_of(directory: Path) -> dict[str, bytes]:
    """All files of a folder by name."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}
