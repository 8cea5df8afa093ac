"""A snapshot's manifest: what it consists of, and what a host must be like to restore it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.command_line import MachineShape

FORMAT = 1
# a restored guest keeps its idea of the counter's speed; beyond this its clocks would drift visibly
_TSC_TOLERANCE = 0.001


@dataclass(frozen=True)
class Fit:
    """What must be the same for a snapshot to be restored: it was made under these, and fits no others."""

    qemu: str
    accelerator: str
    cpu: str
    device_layout: int
    memory_mib: int
    vcpus: int
    image: str
    tsc_khz: int

    def differences(self, host: Fit) -> list[str]:
        """In words, what differs on a host that offers `host`; empty if the snapshot fits."""
        found = []
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(host, field.name)
            same = mine == theirs
            if field.name == "tsc_khz":
                same = abs(mine - theirs) <= _TSC_TOLERANCE * mine
            if not same:
                found.append(f"{_WORDS[field.name]} is {theirs}, the snapshot has {mine}")
        return found


_WORDS = {
    "qemu": "the QEMU build",
    "accelerator": "the accelerator",
    "cpu": "the CPU model",
    "device_layout": "the device layout",
    "memory_mib": "the memory (MiB)",
    "vcpus": "the number of vCPUs",
    "image": "the image",
    "tsc_khz": "the speed of the time stamp counter (kHz)",
}


@dataclass(frozen=True)
class Part:
    """One file of a snapshot: its size in bytes and the digest of its content."""

    bytes: int
    digest: str


@dataclass(frozen=True)
class Promoted:
    """What a template that was made of a snapshot has besides: which snapshot, the recipe of its image, the disk layers
    below its own (oldest first), and the largest screen."""

    snapshot: str
    recipe: str
    layers: tuple[Part, ...]
    max_resolution: tuple[int, int]

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Promoted:
        """Out of a manifest's JSON. Raises KeyError or TypeError."""
        layers = tuple(Part(**part) for part in data["layers"])
        width, height = data["max_resolution"]
        return cls(str(data["snapshot"]), str(data["recipe"]), layers, (int(width), int(height)))


@dataclass(frozen=True)
class Manifest:
    """Everything about a snapshot that is not its bulk. `display` is the guest's own report of its screen, so that a
    restored machine can be seen before its agent answers."""

    name: str
    created_at: float
    fit: Fit
    ram: Part
    state: Part
    disk: Part
    disk_bytes: int
    resolution: tuple[int, int]
    display: Mapping[str, Any]
    quiesced: bool
    idle_cpu: float
    """Share of one host core that the machine used just before it was taken."""
    format: int = FORMAT
    uptime_s: float | None = None
    """For how long its machine had been up: what runs in a child and is older was part of the template."""
    promoted: Promoted | None = None
    """Only of one that was made of a snapshot."""

    @property
    def recipe(self) -> str:
        """Name of the recipe whose image lies below it."""
        return self.name if self.promoted is None else self.promoted.recipe

    @property
    def shape(self) -> MachineShape:
        """The machine it needs."""
        return MachineShape(self.fit.memory_mib, self.fit.vcpus)

    def to_json(self) -> str:
        """As text, for `manifest.json`."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read it back. Raises MachineError if it is not a manifest this version understands."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise MachineError(f"the snapshot has format {data['format']}, this version reads {FORMAT}")
            data["fit"] = Fit(**data["fit"])
            for part in ("ram", "state", "disk"):
                data[part] = Part(**data[part])
            data["resolution"] = tuple(data["resolution"])
            if data.get("promoted") is not None:
                data["promoted"] = Promoted.read(data["promoted"])
            return cls(**data)
        except (ValueError, KeyError, TypeError) as error:
            raise MachineError(
                f"the snapshot's manifest cannot be read: {error}", hint="rebuild the template"
            ) from error
