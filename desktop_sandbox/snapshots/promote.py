"""Make a template of a snapshot: its memory whole instead of as a delta, its disk with the layers it lies on.

The new template needs neither the snapshot nor the template below that any more, only the image. It appears whole or
not at all, as one that was built does. The disks' layers are copied as they are and never merged: a guest's QEMU has
written them, and only a QEMU behind its wall ever opens them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from desktop_sandbox.errors import ConflictError, MachineError
from desktop_sandbox.snapshots import ram
from desktop_sandbox.snapshots.checkpoint import copy_file
from desktop_sandbox.snapshots.faults import fault_point
from desktop_sandbox.snapshots.manifest import Manifest, Part, Promoted
from desktop_sandbox.snapshots.restore import Origin
from desktop_sandbox.snapshots.templates import (
    BUILDING,
    MANIFEST,
    Template,
    below_name,
    disk_digest,
    fsync_directory,
)

MAX_LAYERS = 8
"""Of a machine's disk, its own overlay among them."""


def check_depth(template: Template) -> None:
    """Raise ConflictError where a promoted template over `template` would have too deep a disk."""
    if len(template.layers) + 2 > MAX_LAYERS:
        raise ConflictError(
            f"template {template.manifest.name} was promoted from one that was promoted, {len(template.layers)} deep",
            hint=f"a disk has at most {MAX_LAYERS} layers: begin again from the recipe {template.manifest.recipe}",
        )


def bytes_needed(origin: Origin) -> tuple[int, int]:
    """Bytes of memory, and of disk, that a template of this snapshot takes."""
    assert origin.snapshot is not None
    assert origin.delta is not None
    memory = os.fstat(origin.memory_fd).st_blocks * 512 + len(origin.delta.pages)
    disks = (*origin.template.layers, origin.snapshot.disk)
    return memory, memory + sum(path.stat().st_blocks * 512 for path in disks)


def promote(
    root: Path, name: str, origin: Origin, *, now: float, max_resolution: tuple[int, int]
) -> tuple[Template, int]:
    """The template, and its sealed memory, whose descriptor the caller owns (blocking, some seconds).

    `root`: the folder of templates. Raises MachineError; then nothing is left.
    """
    work = root / f"{BUILDING}{name}-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    memory = -1
    origin.template.check()  # its digests are taken over with its layers
    try:
        work.mkdir(mode=0o700)
        memory, digest = _save_memory(origin, work)
        fault_point("promote.memory")
        manifest = _save_rest(origin, work, name, digest, now, max_resolution)
        fault_point("promote.files")
        (work / MANIFEST).write_text(manifest.to_json())
        for path in work.iterdir():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        fsync_directory(work)
        fault_point("promote.manifest")
        target = root / f"{name}-{int(now * 1000)}"
        work.rename(target)
        fsync_directory(root)
        fault_point("promote.renamed")
    except BaseException as error:
        if memory >= 0:
            os.close(memory)
        shutil.rmtree(work, ignore_errors=True)
        if isinstance(error, OSError):
            raise MachineError(f"the template cannot be written: {error}", hint="is the disk full?") from error
        raise
    return Template(target, manifest, origin.template.image), memory


def _save_memory(origin: Origin, work: Path) -> tuple[int, str]:
    delta = origin.delta
    assert delta is not None
    runs = [(int(first), int(count)) for first, count in delta.runs]
    memory = ram.merged_ram(origin.memory_fd, origin.template.manifest.shape.ram_bytes, runs, delta.pages)
    try:
        ram.seal(memory)
        return memory, ram.save_ram(memory, work / "ram.bin")
    except BaseException:
        os.close(memory)
        raise


def _save_rest(
    origin: Origin, work: Path, name: str, ram_digest: str, now: float, max_resolution: tuple[int, int]
) -> Manifest:
    base, snapshot = origin.template, origin.snapshot
    assert snapshot is not None
    for number, layer in enumerate(base.layers):
        copy_file(layer, work / below_name(number))
    copy_file(base.directory / "empty.qcow2", work / "empty.qcow2")
    copy_file(snapshot.disk, work / "disk.qcow2")
    copy_file(snapshot.state, work / "state.bin")

    def part(file: str) -> Part:
        return Part((work / file).stat().st_size, disk_digest(work / file))

    return Manifest(
        name=name,
        created_at=now,
        fit=snapshot.manifest.fit,
        ram=Part((work / "ram.bin").stat().st_size, ram_digest),
        state=part("state.bin"),
        disk=part("disk.qcow2"),
        disk_bytes=base.manifest.disk_bytes,
        resolution=snapshot.manifest.resolution,
        display=dict(snapshot.manifest.display),
        quiesced=snapshot.manifest.quiesced,
        idle_cpu=base.manifest.idle_cpu,
        promoted=Promoted(
            snapshot=snapshot.manifest.id,
            recipe=base.manifest.recipe,
            layers=tuple(part(below_name(number)) for number in range(len(base.layers))),
            max_resolution=max_resolution,
        ),
    )
