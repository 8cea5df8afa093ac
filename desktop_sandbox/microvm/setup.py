"""Look at this host once: which QEMU, which accelerator, which wall, which cgroup."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from desktop_sandbox.config import TRANSLATION_MIB
from desktop_sandbox.microvm.accelerator import find_accelerator
from desktop_sandbox.microvm.cgroup import Cgroup
from desktop_sandbox.microvm.host import find_qemu
from desktop_sandbox.microvm.jail import find_jail
from desktop_sandbox.microvm.machine import Hypervisor


def find_hypervisor(
    home: Path, *, accelerator: str | None = None, translation_mib: int = TRANSLATION_MIB
) -> Hypervisor:
    """What machines of `home` run on. Blocking; some seconds the first time after a boot. Raises ConfigurationError."""
    qemu = find_qemu()
    found = find_accelerator(qemu, home / "accelerator.json", forced=accelerator)
    found = replace(found, translation_mib=translation_mib)
    # the folder itself, not only its name: a container on this host may have another HOME of the same name
    home.mkdir(parents=True, exist_ok=True)
    folder = home.stat()
    tag = hashlib.sha256(f"{home.resolve()} {folder.st_dev} {folder.st_ino}".encode()).hexdigest()[:8]
    return Hypervisor(qemu, found, find_jail(kvm=found.kind == "kvm"), Cgroup(tag), tag)
