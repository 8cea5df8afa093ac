"""Whether there is room for one more: also for what those that have just begun take yet."""

from __future__ import annotations

import os

import pytest

from desktop_sandbox.errors import CapacityError
from desktop_sandbox.microvm.host import process_own_mib
from desktop_sandbox.node.capacity import Figures, Limits, check_room, still_to_come

LIMITS = Limits(max_sandboxes=10, reserve_memory_mib=1000, reserve_disk_mib=2000)
NOW = Figures(available_memory_mib=2000, free_disk_mib=9000, sandboxes=3)


def test_what_has_just_begun_grows_to_what_one_takes_at_first_and_no_further() -> None:
    assert still_to_come([50, 192, 400], 192) == 142
    assert still_to_come([], 192) == 0


def test_room_is_kept_for_it() -> None:
    check_room(LIMITS, NOW, memory_mib=200, disk_mib=64, promised_mib=800)
    with pytest.raises(CapacityError, match="801 MiB for desktops that have just begun") as caught:
        check_room(LIMITS, NOW, memory_mib=200, disk_mib=64, promised_mib=801)
    assert caught.value.evidence["short"] == "memory"
    with pytest.raises(CapacityError, match=r"2000 MiB free, 1000 MiB kept for the host, 1001 MiB needed"):
        check_room(LIMITS, NOW, memory_mib=1001, disk_mib=64)


def test_a_process_has_memory_of_its_own_until_it_is_gone() -> None:
    before = process_own_mib(os.getpid())
    kept = b"x" * (40 << 20)
    assert process_own_mib(os.getpid()) >= before + 35
    assert len(kept) == 40 << 20
    assert process_own_mib(2**22 - 3) == 0
