"""The wall around a QEMU process: its own uid, mount, network, IPC and PID namespaces, no privileges.

QEMU's authors do not call TCG a security boundary, so this wall is part of the product and not an option. Files reach
QEMU as open descriptors only; inside, it sees its own program, libraries and firmware, read-only, and nothing else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from desktop_sandbox.errors import ConfigurationError

# above the ranges that systemd and container engines hand out
FIRST_UID = 1_900_000_000
UIDS = 4096
# the last three are the gateway's, the media process's and a template build's
SANDBOX_UIDS = UIDS - 3


def first_uid(tag: str) -> int:
    """The first uid of a HOME's machines: each HOME has a range of its own, so two servers' machines differ, too."""
    return FIRST_UID + int(tag, 16) % 4096 * UIDS


def media_uid(tag: str) -> int:
    """The uid of a HOME's media process."""
    return first_uid(tag) + UIDS - 2


def gateway_uid(tag: str) -> int:
    """The uid of the process that dials for a HOME's machines."""
    return first_uid(tag) + UIDS - 3


_READABLE = ("/usr/lib", "/usr/lib64", "/usr/share/qemu", "/usr/share/seabios", "/usr/share/ovmf")
_SYMLINKS = (("usr/lib", "/lib"), ("usr/lib64", "/lib64"))


@dataclass(frozen=True)
class Jail:
    """How machines are walled. Not `privileged`: the server is not root, QEMU keeps our uid in a user namespace."""

    bwrap: str
    setpriv: str
    privileged: bool
    kvm: bool

    def wrap(
        self, argv: Sequence[str], *, uid: int, info_fd: int, readable: Sequence[tuple[str, str]] = ()
    ) -> list[str]:
        """Put `argv` behind the wall. `readable` are further (outside, inside) paths to show read-only.

        The process in the jail keeps running when the server dies; its pid comes as JSON over `info_fd`.
        """
        program = argv[0]
        out = [
            self.bwrap,
            "--unshare-pid",
            "--unshare-net",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup-try",
        ]
        if not self.privileged:
            out += ["--unshare-user", "--disable-userns"]
        out += [
            "--new-session",
            "--as-pid-1",
            "--clearenv",
            "--info-fd",
            str(info_fd),
            "--hostname",
            "machine",
        ]
        # folders that bubblewrap makes on the way to a bind would be closed to the machine's uid
        for path in ("/usr", "/usr/bin", "/usr/share", "/etc", "/boot"):
            out += ["--perms", "0755", "--dir", path]
        for path in _READABLE:
            out += ["--ro-bind-try", path, path]
        for target, link in _SYMLINKS:
            out += ["--symlink", target, link]
        out += [
            "--ro-bind-try",
            "/etc/ld.so.cache",
            "/etc/ld.so.cache",
            "--ro-bind-try",
            "/etc/alternatives",
            "/etc/alternatives",
        ]
        out += ["--ro-bind", program, program, "--ro-bind", self.setpriv, self.setpriv]
        for outside, inside in readable:
            out += ["--ro-bind", outside, inside]
        out += ["--proc", "/proc", "--dev", "/dev"]
        if self.kvm:
            out += ["--dev-bind", "/dev/kvm", "/dev/kvm"]
        out += ["--tmpfs", "/tmp", "--remount-ro", "/", "--chdir", "/"]  # noqa: S108 (inside the jail)
        if self.privileged:
            out += [
                "--cap-drop",
                "ALL",
                "--cap-add",
                "CAP_SETUID",
                "--cap-add",
                "CAP_SETGID",
                "--cap-add",
                "CAP_SETPCAP",
            ]
            out += ["--", *self._become(uid)]
        else:
            out += ["--cap-drop", "ALL", "--"]
        return [*out, *argv]

    def _become(self, uid: int) -> list[str]:
        groups = ["--clear-groups"]
        if self.kvm:
            groups = ["--groups", str(os.stat("/dev/kvm").st_gid)]
        drop = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        return [self.setpriv, f"--reuid={uid}", f"--regid={uid}", *groups, *drop, "--"]


def find_jail(*, kvm: bool) -> Jail:
    """The wall this host can build. Raises ConfigurationError where it cannot."""
    bwrap, setpriv = shutil.which("bwrap"), shutil.which("setpriv")
    if bwrap is None or setpriv is None:
        missing = "bubblewrap" if bwrap is None else "util-linux"
        raise ConfigurationError(f"{missing} is not installed: machines have no wall", hint=f"apt install {missing}")
    privileged = os.geteuid() == 0
    if not privileged and not _user_namespaces():
        raise ConfigurationError(
            "this user may not make user namespaces, so machines would have no wall",
            hint="run as root, or allow them: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000",
        )
    return Jail(bwrap, setpriv, privileged, kvm)


def _user_namespaces() -> bool:
    for name, bad in (("kernel/unprivileged_userns_clone", "0"), ("user/max_user_namespaces", "0")):
        try:
            if Path("/proc/sys", name).read_text().strip() == bad:
                return False
        except OSError:
            continue
    return True
