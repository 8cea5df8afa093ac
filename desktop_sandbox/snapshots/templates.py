"""Templates on disk: find, judge whether they fit this host, list. A template is a directory that appears whole.

HOME/templates/<name>-<time>/  manifest.json  ram.bin  state.bin  disk.qcow2  empty.qcow2

One that was promoted from a snapshot has below-0.qcow2 … as well: the layers that the snapshot's disk lay on.
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
from desktop_sandbox.snapshots.manifest import Fit, Manifest, Part
from guest_image.builder import Image, Store, image_digest
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

    @property
    def layers(self) -> tuple[Path, ...]:
        """Its disk layers over the image, oldest first."""
        below = () if self.manifest.promoted is None else self.manifest.promoted.layers
        return (*(self.directory / below_name(number) for number in range(len(below))), self.directory / "disk.qcow2")

    @property
    def devices_only(self) -> bool:
        """Whether its state is a checkpoint's: devices alone, without a configuration section."""
        return self.manifest.promoted is not None

    def disk(self, overlay: Path) -> Disk:
        """The disk of a machine that writes to `overlay`."""
        return Disk(self.image, self.layers, overlay)

    def check(self) -> None:
        """Raise MachineError unless device state and disk layers are what was written (blocking). RAM is not read."""
        below = () if self.manifest.promoted is None else self.manifest.promoted.layers
        parts = zip((*self.layers, self.state), (*below, self.manifest.disk, self.manifest.state), strict=True)
        for path, part in parts:
            check_part(path, part, f"rebuild it: desktop-sandbox template build --rebuild {self.manifest.recipe}")

    def size_bytes(self) -> int:
        """Space taken on this host's disk, the image not counted."""
        return sum(file.stat().st_blocks * 512 for file in self.directory.iterdir())


def below_name(number: int) -> str:
    """File name of a promoted template's layer below its own, the oldest being 0."""
    return f"below-{number}.qcow2"


def wanted_fit(recipe: Recipe, hypervisor: Hypervisor) -> Fit:
    """What a template of `recipe` would be made under here and now."""
    return _host_fit(hypervisor, recipe.memory_mib, recipe.vcpus, image_digest(recipe))


def offered_fit(fit: Fit, hypervisor: Hypervisor) -> Fit:
    """What this host offers to what was saved under `fit`: a machine of that shape, above that image if it is there."""
    return _host_fit(hypervisor, fit.memory_mib, fit.vcpus, fit.image)


def _host_fit(hypervisor: Hypervisor, memory_mib: int, vcpus: int, image: str) -> Fit:
    cpu = hypervisor.accelerator.cpu
    if hypervisor.accelerator.kind == "kvm":
        cpu = f"{cpu}/{_host_cpu()}"
    return Fit(
        qemu=f"{hypervisor.qemu.version}/{hypervisor.qemu.digest}",
        accelerator=hypervisor.accelerator.kind,
        cpu=cpu,
        device_layout=DEVICE_LAYOUT,
        memory_mib=memory_mib,
        vcpus=vcpus,
        image=image,
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
        yield Template(directory, manifest, image_directory(home, manifest.recipe, manifest.fit.image) / "disk.raw")


def image_directory(home: Path, name: str, digest: str) -> Path:
    """Where the builder keeps an image."""
    return home / "images" / f"{name}-{digest[:16]}"


def image_of(home: Path, template: Template) -> Image | None:
    """The image below a template, with the kernel to boot it; None if it is gone."""
    return Store(home).find(template.manifest.recipe, template.manifest.fit.image)


def find_template(home: Path, recipe: Recipe, hypervisor: Hypervisor) -> tuple[Template | None, str | None]:
    """The template of a recipe that fits this host, or None and why (None: there never was one)."""
    wanted = wanted_fit(recipe, hypervisor)
    why = None
    for template in reversed(list(find_templates(home))):
        if template.manifest.name != recipe.name or template.manifest.promoted is not None:
            continue
        differences = template.manifest.fit.differences(wanted)
        if not differences and template.image.is_file():
            return template, None
        if why is None:
            why = "; ".join(differences) or f"its image {template.image} is gone"
    return None, why


def promoted_templates(home: Path) -> dict[str, Template]:
    """Those that were made of snapshots, by name."""
    return {found.manifest.name: found for found in find_templates(home) if found.manifest.promoted is not None}


def why_unfit(template: Template, hypervisor: Hypervisor) -> str | None:
    """Why a promoted template cannot be restored here, or None."""
    fit = template.manifest.fit
    differences = fit.differences(offered_fit(fit, hypervisor))
    if not differences and not template.image.is_file():
        differences = [f"its image {template.image} is gone"]
    return "; ".join(differences) or None


def remove_leftovers(home: Path) -> None:
    """Remove what interrupted builds left, if their process is gone."""
    root = home / "templates"
    if not root.is_dir():
        return
    for directory in root.glob(f"{BUILDING}*"):
        pid = directory.name.rsplit("-", 1)[-1]
        if not pid.isdigit() or not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(directory, ignore_errors=True)


def check_part(path: Path, part: Part, hint: str) -> None:
    """Raise MachineError unless a file is what its manifest says (blocking)."""
    if not path.is_file() or path.stat().st_size != part.bytes or disk_digest(path) != part.digest:
        raise MachineError(f"{path} is damaged: it is not what its manifest says", hint=hint)


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
