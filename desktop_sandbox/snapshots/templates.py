"""Templates on disk: find, judge whether they fit this host, list. A template is a directory that appears whole.

HOME/templates/<name>-<time>/  manifest.json  ram.bin  state.bin  disk.qcow2  empty.qcow2
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.command_line import DEVICE_LAYOUT
from desktop_sandbox.microvm.host import tsc_khz
from desktop_sandbox.microvm.machine import Disk, Hypervisor
from desktop_sandbox.snapshots.manifest import Fit, Manifest
from guest_image.builder import image_digest
from guest_image.recipe import Recipe

MANIFEST = "manifest.json"
BUILDING = ".building-"


@dataclass(frozen=True)
class Template:
    """A complete template and the image below it."""

    directory: Path
    manifest: Manifest
    image: Path

    @property
    def key(self) -> str:
        """Names its RAM for the keeper: another file is another key."""
        return f"{self.directory.name}-{self.manifest.ram.digest[:16]}"

    @property
    def ram(self) -> Path:
        """Guest RAM."""
        return self.directory / "ram.bin"

    @property
    def state(self) -> Path:
        """Device state."""
        return self.directory / "state.bin"

    def disk(self, overlay: Path) -> Disk:
        """The disk of a machine that writes to `overlay`."""
        return Disk(self.image, (self.directory / "disk.qcow2",), overlay)

    def size_bytes(self) -> int:
        """Space taken on this host's disk, the image not counted."""
        return sum(file.stat().st_blocks * 512 for file in self.directory.iterdir())


def wanted_fit(recipe: Recipe, hypervisor: Hypervisor) -> Fit:
    """What a template of `recipe` would be made under here and now."""
    cpu = hypervisor.accelerator.cpu
    if hypervisor.accelerator.kind == "kvm":
        cpu = f"{cpu}/{_host_cpu()}"
    return Fit(
        qemu=f"{hypervisor.qemu.version}/{hypervisor.qemu.digest}",
        accelerator=hypervisor.accelerator.kind,
        cpu=cpu,
        device_layout=DEVICE_LAYOUT,
        memory_mib=recipe.memory_mib,
        vcpus=recipe.vcpus,
        image=image_digest(recipe),
        tsc_khz=tsc_khz(),
    )


def _host_cpu() -> str:
    lines = [line for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines() if "MHz" not in line]
    kept = [line for line in lines if line.startswith(("vendor_id", "cpu family", "model", "stepping", "flags"))]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:16]


def find_templates(home: Path) -> Iterator[Template]:
    """All complete templates, the newest of each name last; unreadable ones are passed over."""
    root = home / "templates"
    if not root.is_dir():
        return
    for directory in sorted(root.iterdir(), key=lambda path: path.name):
        if directory.name.startswith(".") or not (directory / MANIFEST).is_file():
            continue
        try:
            manifest = Manifest.from_json((directory / MANIFEST).read_text())
        except MachineError:
            continue
        yield Template(directory, manifest, image_directory(home, manifest.name, manifest.fit.image) / "disk.raw")


def image_directory(home: Path, name: str, digest: str) -> Path:
    """Where the builder keeps an image."""
    return home / "images" / f"{name}-{digest[:16]}"


def find_template(home: Path, recipe: Recipe, hypervisor: Hypervisor) -> tuple[Template | None, str | None]:
    """The template of a recipe that fits this host, or None and why (None: there never was one)."""
    wanted = wanted_fit(recipe, hypervisor)
    why = None
    for template in reversed(list(find_templates(home))):
        if template.manifest.name != recipe.name:
            continue
        differences = template.manifest.fit.differences(wanted)
        if not differences and template.image.is_file():
            return template, None
        if why is None:
            why = "; ".join(differences) or f"its image {template.image} is gone"
    return None, why


def remove_leftovers(home: Path) -> None:
    """Remove what interrupted builds left, if their process is gone."""
    root = home / "templates"
    if not root.is_dir():
        return
    for directory in root.glob(f"{BUILDING}*"):
        pid = directory.name.rsplit("-", 1)[-1]
        if not pid.isdigit() or not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(directory, ignore_errors=True)


def disk_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
