"""When a machine may be frozen, as a table of what was seen."""

from __future__ import annotations

from itertools import pairwise

import pytest

from desktop_sandbox.node.idleness import (
    MAX_YOUNG,
    UNSEEN,
    Idleness,
    Program,
    Programs,
    closer,
    is_at_work,
    parse_closer,
    parse_programs,
    seen,
)

SHELL = Program(asleep=False, ran={70: "5 0 1"})
QUIET = {70: SHELL}

PRINTED = """71
/proc/uptime:123.45 200.00
/proc/1/stat:1 (systemd) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2
/proc/2/stat:2 (kthreadd) S 0 0 0 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 6 1 2
/proc/9/stat:9 (kworker/0:1) I 2 0 0 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 7000 1 2
/proc/70/stat:70 (a) b (c) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9000 1 2
/proc/71/stat:71 (grep) R 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2
/proc/80/stat:80 (short) S 1
/proc/notanumber/stat:1
nonsense
"""
ENDLESS = "7 0x7f0 0x1 0xffffffff 0x0 0x0 0x0 0x7fffc90dc0e8 0x7f0997326ef3"
A_MINUTE = "7 0x7f0 0x1 0xea60 0x0 0x0 0x0 0x7fffc90dc0e8 0x7f0997326ef3"
CLOSER = f"""/proc/70/comm:python3
/proc/70/task/70/schedstat:100 20 3
/proc/70/task/75/schedstat:7 8 9
/proc/70/task/70/wchan:do_poll
/proc/70/task/70/syscall:{ENDLESS}
/proc/70/task/75/syscall:{A_MINUTE}
/proc/81/comm:xterm
/proc/81/task/81/schedstat:1 2 3
/proc/81/task/81/wchan:do_poll
/proc/81/task/81/syscall:{ENDLESS}
/proc/82/comm:gvfsd
/proc/82/task/82/schedstat:1 2 3
/proc/82/task/82/syscall:{A_MINUTE}
/proc/83/task/83/schedstat:1 2 3
/proc/84/task/84/schedstat:1 2 3
/proc/84/task/84/syscall:{ENDLESS}
/proc/85/task/85/schedstat:1 2 3
/proc/85/task/85/syscall:{ENDLESS}
/proc/86/task/86/schedstat:1 2 3
/proc/86/task/86/syscall:{ENDLESS}
nonsense
/proc/84/timers:ID: 0
/proc/85/fdinfo/5:it_value: (59, 12)
/proc/86/fdinfo/5:it_value: (0, 0)
"""


def test_what_the_guest_prints() -> None:
    programs = parse_programs(PRINTED)
    assert programs == Programs(123.45, {1: 0.05, 70: 90.0})
    assert programs.young(60.0) == {70}
    assert programs.young(0.0) == {1, 70}


def test_what_a_closer_look_prints() -> None:
    programs = parse_closer(CLOSER)
    assert programs[70] == Program(asleep=True, ran={70: "100 20 3", 75: "7 8 9"})  # by its second thread
    assert programs[81] == Program(asleep=False, ran={81: "1 2 3"})
    # a service of the desktop; one whose calls cannot be read; a timer; a timerfd; one that is not set
    assert {pid: programs[pid].asleep for pid in range(82, 87)} == {82: False, 83: True, 84: True, 85: True, 86: False}
    _, _, command = closer({81, 70})
    first, second, third = command.split("; ")
    for pid in (70, 81):
        assert f" /proc/{pid}/task/[0-9]*/syscall" in first
        assert f" /proc/{pid}/timers" in second
        assert f" /proc/{pid}/fdinfo/*" in third


def test_what_was_not_seen_counts_as_work() -> None:
    assert seen({70, 90}, QUIET) == {70: SHELL, 90: UNSEEN}
    assert is_at_work(seen({70}, {}), seen({70}, {}))
    many = range(MAX_YOUNG + 1)
    assert is_at_work(seen(many, dict.fromkeys(many, SHELL)), seen(many, dict.fromkeys(many, SHELL)))


@pytest.mark.parametrize(
    "text",
    ["", "x\n", "\n\n\n", "9" * 100_000, "1\n/proc/uptime:\n/proc/1/stat:)))(\n", f"1\n/proc/3/stat:{'9 ' * 60}"],
)
def test_nonsense_is_nothing(text: str) -> None:
    assert set(parse_programs(text).started_s) <= {3}
    assert parse_closer(text) == {}


@pytest.mark.parametrize(
    ("after", "at_work"),
    [
        (QUIET, False),
        ({70: Program(False, {70: "6 0 2"})}, True),
        ({70: Program(False, {70: "5 0 1", 71: "1 0 1"})}, True),
        ({70: Program(True, {70: "5 0 1"})}, True),
        ({**QUIET, 90: Program(False, {})}, True),
        ({}, True),
    ],
)
def test_what_counts_as_work(after: dict[int, Program], at_work: bool) -> None:
    assert is_at_work(QUIET, after) is at_work


def drive(idle: Idleness, seconds: int, share: float, young: dict[int, Program], start: int = 0) -> list[int]:
    """Sample once a second; the seconds at which it wants a look, and -1 at last where it is frozen."""
    wanted = []
    for second in range(start, start + seconds):
        idle.sample(float(second), share * (second - start))
        if idle.wants_look(float(second)):
            wanted.append(second)
            if idle.found(float(second), young):
                wanted.append(-1)
                break
    return wanted


def test_a_quiet_machine_is_looked_into_and_frozen() -> None:
    assert drive(Idleness(10.0, 0.0), 30, 0.05, {}) == [10, -1]
    # something was started in it: it must not run between two looks
    assert drive(Idleness(10.0, 0.0), 30, 0.05, QUIET) == [10, 15, -1]


def test_a_busy_machine_is_never_looked_into() -> None:
    assert drive(Idleness(10.0, 0.0), 60, 0.2, {}) == []


def test_use_begins_the_wait_anew() -> None:
    idle = Idleness(10.0, 0.0)
    assert drive(idle, 12, 0.05, QUIET) == [10]
    idle.disturbed(12.0)
    assert drive(idle, 40, 0.05, QUIET, start=13) == [22, 27, -1]


def test_what_works_is_looked_at_ever_more_seldom() -> None:
    wanted = drive(Idleness(4.0, 0.0), 200, 0.0, {70: Program(True, {})})
    pauses = [later - earlier for earlier, later in pairwise(wanted[1:])]
    assert pauses == sorted(pauses)
    assert 3 < len(wanted) < 10
