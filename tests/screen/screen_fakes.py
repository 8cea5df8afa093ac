"""A fake VM over real process memory, and pictures to test with."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings

from desktop_sandbox.screen.framebuffer import GuestMemory

PAGE = 4096
GIB = 1 << 30
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a loaded host is no failure
VM_PROCESS = Path(__file__).with_name("vm_process.py")


@dataclass
class FakeVM:
    process: subprocess.Popen[str]
    mem_fd: int
    memory: GuestMemory
    wire: list[dict]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)
        os.close(self.mem_fd)


def start_vm(
    files: list[Path], *, ram_bytes: int = 256 << 20, seed: int = 1, shuffled: bool = True, trace: bool = False
) -> FakeVM:
    """A process whose memory shows the files live, each 4 KiB page at a random place of guest RAM.

    `trace`: read with process_vm_readv. Of RAM above 3 GiB, places on both sides of the hole are used.
    """
    rng = random.Random(seed)
    counts = [-(-file.stat().st_size // PAGE) for file in files]
    top = ram_bytes // PAGE
    places = rng.sample(range(top), sum(counts)) if shuffled else list(range(100, 100 + sum(counts)))
    pages, wire = [], []
    for file, count in zip(files, counts, strict=True):
        mine, places = places[:count], places[count:]
        pages += [[str(file), number * PAGE, place * PAGE] for number, place in enumerate(mine)]
        runs = [[guest_address(place * PAGE), PAGE] for place in mine]
        wire.append({"size": file.stat().st_size, "runs": merged(runs)})
    process = subprocess.Popen([sys.executable, VM_PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(json.dumps({"ram_bytes": ram_bytes, "pages": pages}) + "\n")
    process.stdin.flush()
    base = int(process.stdout.readline())
    fd = os.open(f"/proc/{process.pid}/mem", os.O_RDONLY)
    return FakeVM(process, fd, GuestMemory(fd, base, ram_bytes, pid=process.pid if trace else None), wire)


def guest_address(ram_offset: int) -> int:
    return ram_offset if ram_offset < 3 * GIB else ram_offset + GIB


def merged(runs: list[list[int]]) -> list[list[int]]:
    result: list[list[int]] = []
    for address, length in runs:
        if result and sum(result[-1]) == address:
            result[-1][1] += length
        else:
            result.append([address, length])
    return result


def xwd_header(width: int, height: int, stride: int, changed: Iterable[tuple[int, int]] = ()) -> bytes:
    """What Xvfb writes, with some words (number, value) changed."""
    words = [160, 7, 2, 24, width, height, 0, 0, 32, 0, 32, 32, stride, 4, 0xFF0000, 0xFF00, 0xFF, 8]
    words += [256, 256, width, height, 0, 0, 0]
    for index, value in changed:
        words[index] = value
    return struct.pack(">25I", *words).ljust(160, b"\0") + bytes(12 * 256)


def noise(height: int, width: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)


def framebuffer_file(path: Path, pixels: np.ndarray) -> dict:
    """Write an XWD file; the sizes that `display.get` reports of it."""
    height, width, _ = pixels.shape
    path.write_bytes(xwd_header(width, height, 4 * width) + pixels.tobytes())
    return {"width": width, "height": height, "max_width": width, "max_height": height, "stride_bytes": 4 * width}
