"""identity.set, clock.set, guest.info: who and when this machine is.

A restored machine is a twin of its siblings until identity.set is done. It is the first thing a caller waits for, so
with `thaw` it only takes what cannot wait: random numbers and the kernel's name. Setting the clock wakes half the
system, and names in files are long ways under emulation: they follow before any program of the user runs again, and
before anything but an action is asked. So does the end of the connections that the snapshot had.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import re
import socket
import struct
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from guest_image.agent import network
from guest_image.agent.errors import OpError, from_os_error
from guest_image.agent.journal import log
from guest_image.agent.registry import boolean, integer, op, string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guest_image.agent.call import Call
    from guest_image.agent.config import AgentConfig

RNDADDENTROPY = 0x40085203
RNDRESEEDCRNG = 0x5207
_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62})", re.IGNORECASE)
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")


@op(
    "identity.set",
    generation=integer(),
    wall_ns=integer(minimum=0),
    entropy_b64=string(),
    hostname=string(),
    machine_id=string(),
    thaw=boolean(False),
    thaw_within_ms=integer(150, 0, 5000),
)
async def identity_set(
    call: Call,
    *,
    generation: int,
    wall_ns: int,
    entropy_b64: str,
    hostname: str,
    machine_id: str,
    thaw: bool,
    thaw_within_ms: int,
) -> dict[str, Any]:
    """Give the machine its own random numbers, time, names; then, with `thaw`, let the user's programs run. {}"""
    received = time.monotonic_ns()
    config = call.agent.config
    try:
        entropy = base64.b64decode(entropy_b64, validate=True)
    except binascii.Error as error:
        raise OpError("invalid", f"entropy_b64 is not base64: {error}") from error
    if not 32 <= len(entropy) <= 1024:
        raise OpError("invalid", f"entropy of {len(entropy)} bytes; 32 to 1024 are allowed")
    if not _HOSTNAME.fullmatch(hostname):
        raise OpError("invalid", f"hostname {hostname!r:.80}", hint="letters, digits and dashes, at most 63")
    if not _MACHINE_ID.fullmatch(machine_id):
        raise OpError("invalid", f"machine_id {machine_id!r:.80}", hint="32 lower-case hex digits")
    try:
        _stir(config.random_device, entropy)
        if config.set_hostname:
            socket.sethostname(hostname)
    except OSError as error:
        raise from_os_error(error, "cannot set the identity") from error
    call.agent.generation = generation

    def finish() -> None:
        with told("the clock"):
            _set_clock(config, wall_ns + time.monotonic_ns() - received)
        _write_names(config, hostname, machine_id)
        if config.network:
            with told("the network"):
                network.bring_up()
                network.close_connections()

    if thaw:
        call.agent.cgroups.thaw_soon(finish, thaw_within_ms / 1000)
    else:
        finish()
    return {}


@op("clock.set", wall_ns=integer(minimum=0))
async def clock_set(call: Call, *, wall_ns: int) -> dict[str, Any]:
    """Set the wall clock (nanoseconds since the epoch)."""
    try:
        _set_clock(call.agent.config, wall_ns)
    except OSError as error:
        raise from_os_error(error, f"cannot set the clock to {wall_ns}") from error
    return {}


@op("guest.info")
async def guest_info(call: Call) -> dict[str, Any]:
    """Versions, uptime, and the session's process (0: not up)."""
    from guest_image.agent import digest
    from guest_image.agent.state_page import LAYOUT_BYTES, PID_OFFSET

    pid = 0
    with suppress(OpError):
        pid = int.from_bytes(call.agent.pages.state()[PID_OFFSET:LAYOUT_BYTES], "little")
    system = os.uname()
    return {
        "agent": digest.build(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "kernel": system.release,
        "hostname": system.nodename,
        "uptime_ms": int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000),
        "generation": call.agent.generation,
        "session_pid": pid,
    }


def _stir(device: str, entropy: bytes) -> None:
    """Credit the entropy and reseed at once, so that the next random number is this machine's own (random(4))."""
    fd = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
    try:
        pool = struct.pack(f"@ii{len(entropy)}s", len(entropy) * 8, len(entropy), entropy)
        fcntl.ioctl(fd, RNDADDENTROPY, pool)
        fcntl.ioctl(fd, RNDRESEEDCRNG, 0)
    finally:
        os.close(fd)


def _set_clock(config: AgentConfig, wall_ns: int) -> None:
    if config.set_clock:
        time.clock_settime_ns(time.CLOCK_REALTIME, wall_ns)


def _write_names(config: AgentConfig, hostname: str, machine_id: str) -> None:
    """The names in files. A disk that takes no more stops no restore: the kernel has them all the same."""
    hosts = f"{config.etc_dir}/hosts"
    wanted = {
        f"{config.etc_dir}/hostname": f"{hostname}\n",
        f"{config.etc_dir}/machine-id": f"{machine_id}\n",
        hosts: _hosts(hosts, hostname),
    }
    if os.path.isfile(config.dbus_machine_id) and not os.path.islink(config.dbus_machine_id):
        wanted[config.dbus_machine_id] = f"{machine_id}\n"
    for path, text in wanted.items():
        with told(path):
            _overwrite(path, text)


@contextmanager
def told(what: str) -> Iterator[None]:
    """A failure is told to the journal."""
    try:
        yield
    except OSError as error:
        log(f"x identity: {what}: {error}")


def _hosts(path: str, hostname: str) -> str:
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost"]
    with suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = [line for line in file.read().splitlines() if line.split()[:1] != ["127.0.1.1"]]
    return "\n".join([*lines, f"127.0.1.1\t{hostname}", ""])


def _overwrite(path: str, text: str) -> None:
    """Write a small file in place: renaming over the old one, or emptying it first, makes ext4 wait for the disk."""
    data = text.encode("utf-8", "surrogateescape")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(fd, data, 0)
        if os.fstat(fd).st_size != len(data):
            os.ftruncate(fd, len(data))
    finally:
        os.close(fd)
