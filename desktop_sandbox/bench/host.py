"""What the kernel says of this host and of the processes of its machines."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path
from typing import Any

from desktop_sandbox import Host, Sandbox
from desktop_sandbox.bench.server import Place

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def host_facts(place: Place) -> dict[str, Any]:
    """Processor, memory, kernel, accelerator and QEMU."""
    with Host.connect(**place.client) as host:
        usage = host.usage()
    models = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": models[0] if models else platform.machine(),
        "memory_mib": int(memory.group(1)) // 1024 if memory else None,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "accelerator": usage["accelerator"],
        "accelerator_why": usage["accelerator_why"],
        "qemu": usage["qemu"],
    }


def machine_pids(sandbox: Sandbox) -> list[int]:
    """A sandbox's QEMU and the outer process of its jail; empty where the server is on another host."""
    pid = sandbox.why()["pid"]
    try:
        if pid is None or sandbox.sandbox_id.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return []
        parent = int(_stat(pid)[1])
        jail = Path(f"/proc/{parent}/comm").read_text().strip() == "bwrap"
    except OSError:
        return []
    return [pid, parent] if jail else [pid]


def memory_mb(pids: list[int]) -> float:
    """Memory of processes in MB (10⁶ bytes): private pages, and their share of those they have in common (PSS)."""
    total_kib = 0
    for pid in pids:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        total_kib += int(found.group(1)) if found else 0
    return total_kib * 1024 / 1e6


def cpu_s(pids: list[int]) -> float:
    """Processor time that processes have used so far, in seconds."""
    return sum(int(_stat(pid)[11]) + int(_stat(pid)[12]) for pid in pids) / _TICKS_A_SECOND


def settle(pids: list[int], patience_s: float, *, quiet_share: float = 0.15) -> None:
    """Return when a desktop uses less than `quiet_share` of a core for a second, or after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        before, began = cpu_s(pids), time.monotonic()
        time.sleep(1.0 if pids else patience_s)
        if cpu_s(pids) - before < quiet_share * (time.monotonic() - began):
            return


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on (proc(5)); the second may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
