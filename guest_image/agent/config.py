"""Where the agent finds things. Everything it touches in the guest is named here, so that tests can move it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PORTS_DIR = "/dev/virtio-ports"


def open_device(name: str) -> int:
    """Open the virtio-serial port of that name without blocking: a file descriptor. OSError if it cannot be."""
    return os.open(f"{PORTS_DIR}/desktop.{name}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


@dataclass(frozen=True)
class AgentConfig:
    """Paths and limits of one agent; times in seconds."""

    open_port: Callable[[str], int] = open_device
    session_dir: str = "/run/desktop-session"
    cgroup_root: str = "/sys/fs/cgroup"
    session_cgroup: str = "system.slice/desktop-session.service"
    etc_dir: str = "/etc"
    dbus_machine_id: str = "/var/lib/dbus/machine-id"
    random_device: str = "/dev/urandom"
    set_clock: bool = True
    set_hostname: bool = True
    network: bool = True
    user: str = "user"
    display: str = ":0"
    reopen_s: float = 0.02
    stall_s: float = 0.02
    term_grace_s: float = 0.3
    drain_grace_s: float = 0.1
    x_timeout_s: float = 15.0
    max_calls: int = 256
    realtime: bool = True

    @property
    def framebuffer(self) -> str:
        """The file in which the X server keeps the screen."""
        return f"{self.session_dir}/Xvfb_screen0"

    @property
    def state_page(self) -> str:
        """The file in which the session keeps size and cursor."""
        return f"{self.session_dir}/state"

    @property
    def environment(self) -> str:
        """KEY=VALUE lines: the environment of the desktop's programs."""
        return f"{self.session_dir}/environment"

    @property
    def apps_cgroup(self) -> str:
        """The cgroup of everything the user runs (may be missing while the session is down)."""
        return f"{self.cgroup_root}/{self.session_cgroup}/apps"
