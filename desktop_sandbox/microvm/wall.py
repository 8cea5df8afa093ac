"""The wall around a process that reads what strangers send (the media process, the gateway of the sandboxes' networks):
no rights, no files but its own program.

As root: a uid of its own, no capabilities, namespaces of its own but for the network. Otherwise a user namespace; where
there is none, it runs as this user without new privileges, and `doctor` says so.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from desktop_sandbox.errors import ConfigurationError
from desktop_sandbox.microvm.jail import Jail, find_jail

log = logging.getLogger("desktop_sandbox.wall")

MODULES = ("streamer", "actions", "guest_image", "desktop_sandbox")
_SYSTEM = (
    "/usr",
    "/etc/ssl",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/ld.so.cache",
    "/etc/alternatives",
)
_LINKS = ("/bin", "/lib", "/lib64", "/sbin")


@dataclass(frozen=True)
class Wall:
    """How such a process is walled; `jail` None: only without new privileges. `uid` counts for root only."""

    jail: Jail | None
    uid: int
    why: str

    def command(self, argv: Sequence[str], name: str = "streamer") -> list[str]:
        """`argv` behind the wall, on a host called `name`; it ends when this server does."""
        if self.jail is None:
            setpriv = shutil.which("setpriv")
            return list(argv) if setpriv is None else [setpriv, "--no-new-privs", "--", *argv]
        out = [self.jail.bwrap, "--die-with-parent", "--new-session", "--as-pid-1", "--hostname", name]
        out += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        if not self.jail.privileged:
            out += ["--unshare-user", "--disable-userns"]
        # first, since the project may lie below one of them
        out += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"]  # noqa: S108 (inside)
        out += list(_binds(_shown()))
        out += ["--remount-ro", "/", "--chdir", "/", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"]
        out += ["--setenv", "PYTHONPATH", os.pathsep.join(_import_paths()), "--setenv", "HOME", "/tmp"]  # noqa: S108
        out += ["--setenv", "PYTHONDONTWRITEBYTECODE", "1", "--setenv", "LANG", "C.UTF-8", "--cap-drop", "ALL"]
        if self.jail.privileged:
            for capability in ("SETUID", "SETGID", "SETPCAP"):
                out += ["--cap-add", f"CAP_{capability}"]
            drop = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--clear-groups"]
            become = [self.jail.setpriv, f"--reuid={self.uid}", f"--regid={self.uid}", *drop, "--"]
            return [*out, "--", *become, *argv]
        return [*out, "--", *argv]


def find_wall(uid: int) -> Wall:
    """The best wall on this host. ConfigurationError as root without bubblewrap: strangers must not meet root."""
    try:
        jail = find_jail(kvm=False)
    except ConfigurationError as error:
        if os.geteuid() == 0:
            raise
        return Wall(None, uid, error.message)
    if jail.privileged:
        return Wall(jail, uid, "a uid of its own, no capabilities, and namespaces of its own but for the network")
    return Wall(jail, uid, "this user's uid, in namespaces of its own but for the network")


def end_process(child: subprocess.Popen[bytes], patience_s: float = 3.0) -> int:
    """Let a process that knows that it shall go end by itself, or kill it; its exit code. Blocking.

    The wall's own process is not enough: what is behind the wall has another uid, so no death signal of its parent's.
    """
    try:
        return child.wait(patience_s)
    except subprocess.TimeoutExpired:
        log.warning("process %d x did not end within %.0f s: killed", child.pid, patience_s)
        with suppress(OSError):  # it has just ended, or this kernel does not tell children
            for inside in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split():
                os.kill(int(inside), signal.SIGKILL)
        child.kill()
        return child.wait(patience_s)


def _import_paths() -> list[str]:
    """The folders that hold the modules it imports: the project or site-packages."""
    found: dict[str, None] = {}
    for name in MODULES:
        spec = find_spec(name)
        for place in spec.submodule_search_locations or () if spec else ():
            found[str(Path(place).resolve().parent)] = None
    return list(found)


def _shown() -> list[str]:
    """What it may read, existing paths only, parents before children."""
    paths = {*_SYSTEM, sys.prefix, sys.base_prefix, os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix)}
    for place in _import_paths():
        paths |= {str(Path(place, name)) for name in MODULES}
    for entry in sys.path:
        if entry.endswith(("site-packages", "dist-packages")):
            paths.add(entry)
    kept = sorted(path for path in paths if os.path.exists(path))
    return [path for path in kept if not any(path.startswith(f"{other}/") for other in kept)]


def _binds(paths: Sequence[str]) -> Iterator[str]:
    made: set[str] = set()
    for path in paths:
        # folders that bubblewrap makes on the way would be closed to another uid
        for parent in reversed(Path(path).parents):
            if str(parent) not in made and str(parent) not in ("/", "/tmp"):  # noqa: S108 (inside)
                made.add(str(parent))
                yield from ("--perms", "0755", "--dir", str(parent))
        yield from ("--ro-bind", path, path)
    for link in _LINKS:
        if os.path.islink(link):
            yield from ("--symlink", os.readlink(link), link)
        elif os.path.isdir(link):
            yield from ("--ro-bind", link, link)
