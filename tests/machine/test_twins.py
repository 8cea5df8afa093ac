"""Two sandboxes of one template hold the same memory, and are two machines all the same."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from desktop_sandbox import Sandbox

LOOK = (
    "cat /etc/machine-id; hostname; cat /etc/hostname; "
    "head -c 16 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/uuid"
)


@pytest.fixture
def twins(make_sandbox: Callable[..., Sandbox]) -> tuple[Sandbox, Sandbox]:
    return make_sandbox(), make_sandbox()


def test_identities_and_random_numbers_differ(twins: tuple[Sandbox, Sandbox]) -> None:
    first, second = (twin.commands.run(LOOK).stdout.splitlines() for twin in twins)
    assert len(first) == len(second) == 5
    assert not [value for value in first if value in second]
    for lines, twin in zip((first, second), twins, strict=True):
        assert lines[1] == lines[2] == twin.sandbox_id
        assert len(lines[0]) == 32
    ids = [twin.commands.run("cat /var/lib/dbus/machine-id").stdout.strip() for twin in twins]
    assert ids == [first[0], second[0]]
    program = (
        "import random, uuid, secrets, os; print(random.random(), uuid.uuid4(), secrets.token_hex(), os.getrandom(8))"
    )
    python = [twin.commands.run(["python3", "-c", program]).stdout.split() for twin in twins]
    assert not set(python[0]) & set(python[1])


def test_clocks_are_the_hosts(twins: tuple[Sandbox, Sandbox]) -> None:
    for twin in twins:
        # the guest looks at its clock within the call: the best of several calls bounds the error
        errors = []
        for _ in range(5):
            before = time.time()
            guest = float(twin.commands.run("echo $EPOCHREALTIME").stdout)
            after = time.time()
            errors.append(max(0.0, before - guest, guest - after))
        assert min(errors) < 0.2, errors


def test_neither_sees_what_the_other_writes(twins: tuple[Sandbox, Sandbox]) -> None:
    one, other = twins
    one.files.write("/home/user/only-here", "one")
    one.commands.run("echo one > /dev/shm/only-here; echo one > /etc/only-here; sync", user="root")
    for path in ("/home/user/only-here", "/dev/shm/only-here", "/etc/only-here"):
        assert one.files.exists(path)
        assert not other.files.exists(path)
    one.commands.run("xsetroot -solid '#ff0000'")
    region = (2, 600, 40, 40)
    assert one.screenshot("raw", region=region) == bytes((255, 0, 0)) * 1600
    assert other.screenshot("raw", region=region) != one.screenshot("raw", region=region)


CLOCK = """
import sys, threading, time
from guest_image.session.clock import ClockWatch
def set_it():
    while True:
        time.clock_settime_ns(time.CLOCK_REALTIME, time.time_ns() + 1000)
sys.setswitchinterval(1e-6)
watch = ClockWatch()
threading.Thread(target=set_it, daemon=True).start()
until, seen = time.monotonic() + 3, 0
while time.monotonic() < until:
    seen += watch.take()
print(seen)
"""


def test_the_desktop_outlives_a_clock_that_is_set_once_more_while_it_looks(sandbox: Sandbox) -> None:
    sandbox.files.write("/tmp/clock.py", CLOCK)
    seen = sandbox.commands.run("PYTHONPATH=/opt/desktop-sandbox/lib python3 /tmp/clock.py", user="root").stdout
    assert int(seen) > 20
    shown = sandbox.commands.run("systemctl show -p NRestarts,ActiveState desktop-session", user="root").stdout
    assert sorted(shown.split()) == ["ActiveState=active", "NRestarts=0"]
