"""Which accelerator really works here. `/dev/kvm` existing proves nothing: a timed probe runs guest code."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from desktop_sandbox.config import TRANSLATION_MIB
from desktop_sandbox.microvm.host import QemuBuild, boot_id

# assembled from probe.S beside this file: a PVH kernel that counts down in long mode and leaves with 0x2a
_PROBE = base64.b64decode(
    """
    f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAAAAQAAAAAABAAAAAAAAAAMgBAAAAAAAAAAAAAEAAOAACAEAABAADAAEAAAAHAAAAsAAA
    AAAAAAAAABAAAAAAAAAAEAAAAAAA+gAAAAAAAAD6AAAAAAAAAAgAAAAAAAAABAAAAAQAAACWAQAAAAAAAOYAEAAAAAAA5gAQAAAA
    AAAUAAAAAAAAABQAAAAAAAAAAQAAAAAAAAD6vACQAAC/AAABADHAuQAYAAD886vHBQAAAQADEAEAxwUAEAEAAyABAL8AIAEAuIMA
    AAC5AAIAAIkHBQAAIACDxwji9LgAAAEADyLYDyDgg8ggDyLguYAAAMAPMg0AAQAADzAPIMANAQAAgA8iwA8BFeAAEADqfAAQAAgA
    uBAAAACO2I7AjtBIx8MAAAABSMfBAC0xAUiJC0iDwgFI/8l19EG4yAAAALgAAAAAD6IPINgPIthB/8h17rAqZrr0AO706/0PH0QA
    AAAAAAAAAAAA//8AAACarwD//wAAAJLPABcAyAAQAAQAAAAEAAAAEgAAAFhlbgAAABAAAC5zaHN0cnRhYgAudGV4dAAubm90ZQAA
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAsAAAAB
    AAAABgAAAAAAAAAAABAAAAAAALAAAAAAAAAA5gAAAAAAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAARAAAABwAAAAIAAAAAAAAA
    5gAQAAAAAACWAQAAAAAAABQAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAQAAAAMAAAAAAAAAAAAAAAAAAAAAAAAAqgEA
    AAAAAAAXAAAAAAAAAAAAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAA==
    """
)
_PROBE_EXIT = (0x2A << 1) | 1
_PROBE_TIMEOUT_S = 3.0
_BOOT_TRANSLATION_MIB = 512


@dataclass(frozen=True)
class Accelerator:
    """The accelerator that machines use: `kind` is "kvm" or "tcg"; `why` explains the choice, `hint` how to get KVM."""

    kind: str
    why: str
    hint: str | None = None
    broken_avx: bool = False
    translation_mib: int = TRANSLATION_MIB

    @property
    def cpu(self) -> str:
        """QEMU's CPU model for it. The AVX that QEMU 7.2 emulates computes wrongly (Chromium paints stripes)."""
        if self.kind == "kvm":
            return "host,migratable=on"
        return "max,-avx,-avx2,-fma,-f16c" if self.broken_avx else "max"

    @property
    def translated_mib(self) -> int:
        """The most that translated code takes of the host's memory, at a boot as well."""
        return 0 if self.kind == "kvm" else max(_BOOT_TRANSLATION_MIB, self.translation_mib)

    def arguments(self, *, boot: bool) -> list[str]:
        """QEMU's arguments for it. A boot runs far more code than a child will: more room for what is translated."""
        room = self.translated_mib if boot else self.translation_mib
        accel = "kvm" if self.kind == "kvm" else f"tcg,thread=multi,tb-size={room}"
        return ["-accel", accel, "-cpu", self.cpu]


def find_accelerator(qemu: QemuBuild, cache: Path, *, forced: str | None = None) -> Accelerator:
    """Decide between KVM and TCG; the answer is kept in the file `cache` for this boot and this QEMU build.

    `forced` ("kvm" or "tcg") skips the probe.
    """
    broken_avx = qemu.major < 8
    if forced in ("kvm", "tcg"):
        return Accelerator(forced, f"{forced} was asked for by configuration", broken_avx=broken_avx)
    key = f"{boot_id()}/{qemu.digest}/{os.access('/dev/kvm', os.R_OK | os.W_OK)}"
    try:
        kept = json.loads(cache.read_text())
        if kept.pop("key") == key:
            return Accelerator(**kept, broken_avx=broken_avx)
    except (OSError, ValueError, TypeError, KeyError):
        pass
    found = probe(qemu)
    cache.parent.mkdir(parents=True, exist_ok=True)
    aside = cache.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps({"key": key, "kind": found.kind, "why": found.why, "hint": found.hint}))
    aside.replace(cache)
    return replace(found, broken_avx=broken_avx)


def probe(qemu: QemuBuild) -> Accelerator:
    """Run the probe under KVM, for at most three seconds."""
    if not os.path.exists("/dev/kvm"):
        return Accelerator(
            "tcg",
            "/dev/kvm does not exist",
            "load the kvm module on bare metal, or enable nested virtualisation for this virtual machine",
        )
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Accelerator("tcg", "/dev/kvm may not be opened by this user", "add the user to the group kvm")
    seconds, ended = _run_probe(qemu, "kvm", "host,migratable=on")
    if ended == _PROBE_EXIT:
        return Accelerator("kvm", f"guest code in long mode ran under KVM in {seconds:.2f} s")
    hint = "this host's own hypervisor does not pass virtualisation through; use bare metal or another instance type"
    if ended is None:
        return Accelerator("tcg", f"/dev/kvm opens, but guest code did not finish in {_PROBE_TIMEOUT_S:.0f} s", hint)
    return Accelerator("tcg", f"/dev/kvm opens, but QEMU ended with {ended} under KVM", hint)


def _run_probe(qemu: QemuBuild, kind: str, cpu: str) -> tuple[float, int | None]:
    """Seconds taken, and QEMU's exit status or None at the timeout."""
    with tempfile.NamedTemporaryFile(suffix=".elf") as kernel:
        kernel.write(_PROBE)
        kernel.flush()
        started = time.monotonic()
        argv = [qemu.path, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "64"]
        argv += ["-machine", "microvm,acpi=on,rtc=on", "-accel", kind, "-cpu", cpu, "-kernel", kernel.name]
        argv += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as run:
            try:
                ended: int | None = run.wait(_PROBE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                run.kill()
                ended = None
        return time.monotonic() - started, ended
