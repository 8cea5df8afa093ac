"""What tests on machines share: waiting for a condition, and machines started by hand, without a server."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from desktop_sandbox import Sandbox
from desktop_sandbox.config import home_folder
from desktop_sandbox.microvm.machine import Hypervisor
from desktop_sandbox.node.recovery import find_processes
from desktop_sandbox.snapshots import ram
from guest_image.builder import Image, find_image
from guest_image.recipe import Recipe, load_recipe

T = TypeVar("T")


def eventually(look: Callable[[], T], *, seconds: float = 60.0, every_s: float = 0.2) -> T:
    """What `look` finds, as soon as that is true; fails with the last it found at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s; last seen: {found!r}"
        time.sleep(every_s)


def machine_pid(sandbox: Sandbox) -> int:
    """The pid of a sandbox's QEMU."""
    return int(sandbox.why()["pid"])


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[0] in (b"Z", b"X")
    except OSError:
        return True


def descriptors(pid: int) -> dict[int, str]:
    """The open files of a process: number → what it leads to."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except OSError:
            continue
    return found


def disk_files(pid: int) -> list[str]:
    """The files that a machine's disk consists of, one below the other: what its QEMU holds open."""
    return sorted(Path(link).name for link in {*descriptors(pid).values()} if link.endswith((".raw", ".qcow2")))


def minimal() -> tuple[Recipe, Image]:
    """The minimal recipe and its image (built already: the fixtures' template needs it)."""
    recipe = load_recipe("minimal")
    image = find_image(recipe, home_folder())
    assert image is not None, "make image"
    return recipe, image


def machines_of(hypervisor: Hypervisor) -> list[tuple[int, str]]:
    """(pid, id) of all machines that a hypervisor's HOME runs."""
    return list(find_processes(hypervisor.process_name("")))


@contextmanager
def guest_ram(recipe: Recipe) -> Iterator[int]:
    """Empty memory for one boot."""
    descriptor = ram.new_ram(recipe.memory_mib * 1024**2)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
