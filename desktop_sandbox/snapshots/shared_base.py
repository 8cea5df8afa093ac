"""One memory for many siblings: the template's with a checkpoint's pages laid into it, sealed, where that is less.

Else each child of a fork gets a copy of those pages (`restore.load_state`).
"""

from __future__ import annotations

import os
from dataclasses import replace

from desktop_sandbox.snapshots.ram import merged_ram, seal
from desktop_sandbox.snapshots.restore import Origin


def base_bytes(origin: Origin) -> int:
    """Memory that a base of its own takes."""
    assert origin.delta is not None
    return os.fstat(origin.memory_fd).st_blocks * 512 + len(origin.delta.pages)


def is_less(origin: Origin, count: int) -> bool:
    """Whether a base for `count` children takes less memory than a copy of the checkpoint's pages for each."""
    if origin.delta is None:
        return False
    return base_bytes(origin) < count * len(origin.delta.pages)


def shared_base(origin: Origin) -> Origin:
    """An origin whose memory holds the checkpoint's pages already (blocking, about a second).

    Its descriptor is the caller's to close. Machines that were started from it hold that memory themselves: with the
    last of them it is gone.
    """
    delta = origin.delta
    assert delta is not None
    runs = [(int(first), int(count)) for first, count in delta.runs]
    memory_fd = merged_ram(origin.memory_fd, origin.template.manifest.shape.ram_bytes, runs, delta.pages)
    try:
        seal(memory_fd)
    except BaseException:
        os.close(memory_fd)
        raise
    return replace(origin, memory_fd=memory_fd, delta=None, below=delta.runs)
