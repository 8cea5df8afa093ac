"""A base that is made beside something else: it holds what it should, and nothing of it is left, however that ends."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from desktop_sandbox.microvm.private_pages import PAGE, runs_of
from desktop_sandbox.snapshots import shared_base
from desktop_sandbox.snapshots.delta import Delta
from desktop_sandbox.snapshots.restore import Origin
from desktop_sandbox.snapshots.shared_base import BaseBeside

PAGES = 64


@pytest.fixture
def template_fd():
    descriptor = os.memfd_create("template")
    os.pwrite(descriptor, b"t" * PAGE * PAGES, 0)
    yield descriptor
    os.close(descriptor)


def delta() -> Delta:
    return Delta(runs_of(np.array([1, 2, 9])), memoryview(b"c" * PAGE * 3))


def memories() -> int:
    """How many memfds this process holds, counting those that are open twice."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += "memfd:" in os.readlink(entry)
        except OSError:
            continue
    return found


async def nothing_left(before: int) -> None:
    async with asyncio.timeout(10):
        while memories() != before:
            await asyncio.sleep(0.01)


async def test_it_holds_the_pages_and_goes_with_its_owner(template_fd: int) -> None:
    before = memories()
    base = BaseBeside()
    base.begin(template_fd, delta())
    any_template: Any = None
    origin = await base.under(Origin(any_template, template_fd, None, delta()))
    assert origin.delta is None
    assert origin.below is not None
    assert origin.below.tolist() == [[1, 2], [9, 1]]
    assert [os.pread(origin.memory_fd, 1, page * PAGE) for page in (0, 1, 2, 3, 9)] == [b"t", b"c", b"c", b"t", b"c"]
    base.close()
    await nothing_left(before)


async def test_without_a_base_an_origin_is_as_it_was(template_fd: int) -> None:
    any_template: Any = None
    origin = Origin(any_template, template_fd, None, delta())
    base = BaseBeside()
    assert await base.under(origin) is origin
    base.close()


async def test_one_that_nobody_waits_for_or_that_fails_leaves_nothing(
    template_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = memories()
    base = BaseBeside()
    base.begin(template_fd, delta())
    base.close()
    await nothing_left(before)

    def fails(descriptor: int) -> None:
        raise OSError("a test")

    monkeypatch.setattr(shared_base, "seal", fails)
    base = BaseBeside()
    base.begin(template_fd, delta())
    any_template: Any = None
    with pytest.raises(OSError, match="a test"):
        await base.under(Origin(any_template, template_fd, None, delta()))
    base.close()
    await nothing_left(before)
