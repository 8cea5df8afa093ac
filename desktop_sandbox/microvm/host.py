"""Facts of this host that a machine depends on: the QEMU build, the boot, the speed of the time stamp counter."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import mmap
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from desktop_sandbox.errors import ConfigurationError

QEMU_NAME = "qemu-system-x86_64"
# rdtsc; shl rdx, 32; or rax, rdx; ret
_READ_TSC = bytes.fromhex("0f3148c1e2204809d0c3")


@dataclass(frozen=True)
class QemuBuild:
    """One QEMU binary. `digest` changes whenever the file does, even under the same version."""

    path: str
    version: str
    digest: str
    stamp: tuple[int, int] = (0, 0)
    """Size in bytes and time of change of the file, when it was looked at."""

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.split(".", 1)[0])


@functools.cache
def find_qemu() -> QemuBuild:
    """The QEMU that machines run on. Raises ConfigurationError where there is none."""
    path = shutil.which(QEMU_NAME)
    if path is None:
        raise ConfigurationError(f"{QEMU_NAME} is not installed", hint="make setup, or apt install qemu-system-x86")
    out = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    found = re.search(r"version (\d+\.\d+\.\d+)[^\n]*", out)
    if found is None:
        raise ConfigurationError(f"{path} --version says nothing known: {out[:80]!r}")
    stat = os.stat(path)
    stamp = (stat.st_size, int(stat.st_mtime))
    digest = hashlib.sha256(f"{found.group(0)}|{stamp[0]}|{stamp[1]}".encode()).hexdigest()[:16]
    return QemuBuild(path, found.group(1), digest, stamp)


def check_unchanged(qemu: QemuBuild) -> None:
    """Raise ConfigurationError if the QEMU that this server found is not the one that is there now."""
    try:
        stat = os.stat(qemu.path)
    except OSError:
        raise ConfigurationError(f"{qemu.path} is gone", hint="apt install qemu-system-x86") from None
    if qemu.stamp != (stat.st_size, int(stat.st_mtime)):
        raise ConfigurationError(
            f"{qemu.path} was replaced while the server ran", hint="restart the server: it rebuilds its templates"
        )


def boot_id() -> str:
    """The kernel's id of this boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@functools.cache
def tsc_khz() -> int:
    """Speed of the time stamp counter in kHz, measured against the monotonic clock over 50 ms (error below 0.01 %)."""
    # W^X hosts refuse the page of code; the kernel's own figure serves there
    with (
        contextlib.suppress(OSError),
        mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page,
    ):
        page.write(_READ_TSC)
        anchor = ctypes.c_char.from_buffer(page)
        read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(anchor))
        try:
            return _measure(read)
        finally:
            del read, anchor
    found = re.search(r"^cpu MHz\s*: ([\d.]+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    if found is None:
        raise ConfigurationError("the speed of this host's time stamp counter cannot be found")
    return round(float(found.group(1)) * 1000)


def _measure(read: ctypes._CFunctionType) -> int:
    def pair() -> tuple[int, int]:
        # the closest of several readings: a preemption between the two clocks would spoil one
        best = None
        for _ in range(8):
            before = time.monotonic_ns()
            ticks = int(read())
            after = time.monotonic_ns()
            if best is None or after - before < best[0]:
                best = (after - before, ticks, (before + after) // 2)
        assert best is not None
        return best[1], best[2]

    ticks_0, ns_0 = pair()
    time.sleep(0.05)
    ticks_1, ns_1 = pair()
    return round((ticks_1 - ticks_0) * 1_000_000 / (ns_1 - ns_0))


def process_start_time(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot, which with the pid names it for good; None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def process_own_mib(pid: int) -> int:
    """Memory that a process has of its own, in MiB: no file's, shared with none; 0 if it is gone."""
    try:
        found = re.search(rb"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_bytes())
    except OSError:
        return 0
    return int(found[1]) // 1024 if found else 0


def process_cpu_seconds(pid: int) -> float:
    """CPU time a process has used, user and system; 0.0 if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0.0
    fields = stat[stat.rindex(b")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / 100
