"""What an exported template says of itself: its manifest, its image's, and the files of both. Pure.

Nothing in it names a place on this host but what is checked here: the template's folder is its name and a number, the
image's follows from recipe and digest, and the files are those that such a template has, no others.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from desktop_sandbox.errors import MachineError
from desktop_sandbox.snapshots.envelope import damaged
from desktop_sandbox.snapshots.manifest import Manifest
from desktop_sandbox.snapshots.promote import MAX_LAYERS
from desktop_sandbox.snapshots.ram import GRAIN_BYTES
from desktop_sandbox.snapshots.sparse import SparsePart
from desktop_sandbox.snapshots.templates import below_name
from guest_image.builder import Image

IMAGE, TEMPLATE = "image", "template"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RECIPE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KERNELS = ("vmlinux", "vmlinuz")
_LATEST_S = 1e11


@dataclass(frozen=True)
class TemplateHead:
    """`folder`: what the template's folder is called; `parts`: by IMAGE or TEMPLATE and file name, in file order."""

    folder: str
    manifest: Manifest
    image: Image
    parts: Mapping[tuple[str, str], SparsePart]

    def bytes_needed(self, *, with_image: bool) -> int:
        """The most that it takes of this host's disk."""
        return sum(part.most_bytes for (owner, _), part in self.parts.items() if with_image or owner == TEMPLATE)

    def to_json(self) -> bytes:
        """As it stands in the file."""
        image = {key: value for key, value in asdict(self.image).items() if key != "directory"}
        parts = [{"of": owner, "name": name, **asdict(part)} for (owner, name), part in self.parts.items()]
        manifest = asdict(self.manifest)
        return json.dumps({"folder": self.folder, "manifest": manifest, "image": image, "parts": parts}).encode()

    @classmethod
    def read(cls, data: bytes) -> TemplateHead:
        """Read it. Raises InvalidRequestError for what makes no sense."""
        try:
            found = json.loads(data)
            folder, manifest = found["folder"], Manifest.from_json(json.dumps(found["manifest"]))
            image = Image(directory=Path(), **found["image"])
            parts = {
                (part["of"], part["name"]): SparsePart(part["bytes"], part["grains"], part["digest"])
                for part in found["parts"]
            }
            head = cls(folder, manifest, image, parts)
            sensible = (
                len(parts) == len(found["parts"])
                and _template_is_one(head)
                and _image_is_its(head)
                and _parts_fit(head)
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MachineError) as error:
            raise damaged(f"its head cannot be read: {error}") from error
        if not sensible:
            raise damaged("its head makes no sense")
        return head


def files_of(manifest: Manifest, image: Image) -> tuple[tuple[str, str], ...]:
    """The files of a template and its image, as (IMAGE or TEMPLATE, name), in the order in which they are exported."""
    below = () if manifest.promoted is None else manifest.promoted.layers
    layers = (*(below_name(number) for number in range(len(below))), "disk.qcow2")
    return (
        *((IMAGE, name) for name in (image.disk.name, image.initrd.name, image.kernel_name)),
        *((TEMPLATE, name) for name in ("ram.bin", "state.bin", *layers, "empty.qcow2")),
    )


def _template_is_one(head: TemplateHead) -> bool:
    manifest, fit = head.manifest, head.manifest.fit
    named = _NAME.fullmatch(manifest.name) is not None and _RECIPE.fullmatch(manifest.recipe) is not None
    sizes = [*manifest.resolution, fit.memory_mib, fit.vcpus]
    if manifest.promoted is not None:
        sizes += manifest.promoted.max_resolution
        named = (
            named and len(manifest.promoted.layers) + 2 <= MAX_LAYERS and isinstance(manifest.promoted.snapshot, str)
        )
    return (
        named
        and re.fullmatch(re.escape(manifest.name) + r"-[0-9]{1,20}", head.folder) is not None
        and len(manifest.resolution) == 2
        and all(_is_number(size) and size > 0 for size in sizes)
        and isinstance(manifest.display, dict)
        and type(manifest.quiesced) is bool
        and _is_moment(manifest.created_at)
        and _is_moment(manifest.uptime_s or 0.0)
        and _is_moment(manifest.idle_cpu)
    )


def _image_is_its(head: TemplateHead) -> bool:
    image, manifest = head.image, head.manifest
    return (
        image.recipe == manifest.recipe
        and image.digest == manifest.fit.image
        and _SHA256.fullmatch(image.digest) is not None
        and image.kernel_name in _KERNELS
        and all(isinstance(text, str) for text in (image.base_digest, image.kernel_release, image.layin_digest))
        and _is_moment(image.created_at)
        and _is_number(image.disk_bytes)
    )


def _parts_fit(head: TemplateHead) -> bool:
    manifest, parts = head.manifest, head.parts
    if tuple(parts) != files_of(manifest, head.image):
        return False
    said = {"ram.bin": manifest.ram, "state.bin": manifest.state, "disk.qcow2": manifest.disk}
    for number, layer in enumerate(() if manifest.promoted is None else manifest.promoted.layers):
        said[below_name(number)] = layer
    return (
        all(_part_is_one(part) for part in parts.values())
        and all(parts[TEMPLATE, name].bytes == part.bytes for name, part in said.items())
        and parts[TEMPLATE, "ram.bin"].digest == manifest.ram.digest
        and parts[TEMPLATE, "ram.bin"].bytes == manifest.fit.memory_mib << 20
        and parts[IMAGE, head.image.disk.name].bytes == manifest.disk_bytes
    )


def _part_is_one(part: SparsePart) -> bool:
    return (
        _is_number(part.bytes)
        and _is_number(part.grains)
        and part.grains <= -(-part.bytes // GRAIN_BYTES)
        and _SHA256.fullmatch(part.digest) is not None
    )


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_moment(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value < _LATEST_S
