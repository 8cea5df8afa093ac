"""What this host offers for desktops, and what to do about what is missing. Looks only; changes nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from desktop_sandbox.config import home_folder
from desktop_sandbox.errors import ConfigurationError, MachineError
from desktop_sandbox.microvm.accelerator import find_accelerator
from desktop_sandbox.microvm.host import find_qemu
from desktop_sandbox.microvm.jail import find_jail
from desktop_sandbox.microvm.wall import find_wall
from desktop_sandbox.network.maker_client import MakerClient


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `ok`: True, False (it will not work), or None (it works, but could be better)."""

    name: str
    ok: bool | None
    message: str
    hint: str | None = None


def report(home: Path | None = None) -> list[Finding]:
    """Look at everything a server needs. Takes up to three seconds the first time after a boot (the KVM probe)."""
    return list(_look(home or home_folder()))


def _look(home: Path) -> Iterator[Finding]:
    try:
        qemu = find_qemu()
    except ConfigurationError as error:
        yield Finding("qemu", False, error.message, error.hint)
        return
    yield Finding("qemu", True, f"{qemu.path}, version {qemu.version}")
    cache = home / "accelerator.json"
    if not os.access(home if home.exists() else home.parent, os.W_OK):
        cache = Path(tempfile.gettempdir()) / "desktop-sandbox-accelerator.json"
    accelerator = find_accelerator(qemu, cache)
    if accelerator.kind == "kvm":
        yield Finding("kvm", True, accelerator.why)
    else:
        yield Finding("kvm", None, f"not used, machines are emulated (TCG): {accelerator.why}", accelerator.hint)
    yield _wall(kvm=accelerator.kind == "kvm")
    yield _media_wall()
    yield _memory_rights()
    yield _network()
    yield _cgroups()
    for tool, package in (("mmdebstrap", "mmdebstrap"), ("qemu-img", "qemu-utils"), ("mke2fs", "e2fsprogs")):
        found = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        yield Finding(tool, found is not None, found or "not installed", None if found else f"apt install {package}")
    yield _reading()
    yield _space(home)


def _wall(*, kvm: bool) -> Finding:
    try:
        jail = find_jail(kvm=kvm)
    except ConfigurationError as error:
        return Finding("wall", False, error.message, error.hint)
    if jail.privileged:
        return Finding("wall", True, "each machine gets its own uid and its own mount, network, IPC and PID namespaces")
    return Finding(
        "wall", None, "machines share this user's uid, in user namespaces of their own", "run as root for a uid each"
    )


def _media_wall() -> Finding:
    try:
        wall = find_wall(0)
    except ConfigurationError as error:
        return Finding("streamer", False, error.message, error.hint)
    if wall.jail is None:
        return Finding(
            "streamer",
            None,
            f"the media process, which strangers send packets to, runs as this user: {wall.why}",
            "allow user namespaces and install bubblewrap, or run as root",
        )
    return Finding("streamer", True if wall.jail.privileged else None, f"the media process gets {wall.why}")


def _network() -> Finding:
    """Whether sandboxes get a network: one namespace is made, and is gone again."""
    maker = MakerClient()
    try:
        maker.start()
        maker.make().close()
    except (ConfigurationError, MachineError) as error:
        return Finding("network", None, error.message, error.hint or "sandboxes run without a network until then")
    finally:
        maker.close()
    how = "as root" if os.geteuid() == 0 else "in a user namespace"
    return Finding("network", True, f"each sandbox gets a network namespace of its own, without an uplink, made {how}")


def _memory_rights() -> Finding:
    """Whether the server may read the screens out of its machines' memory (ptrace access, see proc(5))."""
    if os.geteuid() == 0:
        return Finding("screen", True, "the server runs as root and can read its machines' screens")
    try:
        scope = Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip()
    except OSError:
        scope = "0"
    if scope == "0":
        return Finding("screen", True, "processes of one user may read each other (no Yama restriction)")
    return Finding(
        "screen",
        False if scope == "3" else None,
        f"Yama's ptrace_scope is {scope}: after a restart the server cannot read the screens of older machines",
        "run as root, or sysctl kernel.yama.ptrace_scope=0",
    )


def _cgroups() -> Finding:
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        if os.access("/sys/fs/cgroup/cgroup.subtree_control", os.W_OK):
            return Finding("cgroups", True, "version 2: each machine has limits of its own")
        return Finding(
            "cgroups", None, "version 2, but not this user's: machines run without memory limits of their own"
        )
    return Finding(
        "cgroups",
        None,
        "no unified hierarchy (version 1 or hybrid): machines run without memory and process limits of their own",
        "boot with systemd.unified_cgroup_hierarchy=1",
    )


def _reading() -> Finding:
    found = shutil.which("tesseract")
    if found is None:
        return Finding("tesseract", None, "not installed: no text is read on screens", "apt install tesseract-ocr")
    return Finding("tesseract", True, found)


def _space(home: Path) -> Finding:
    place = home
    while not place.exists():
        place = place.parent
    free_gib = shutil.disk_usage(place).free / 1024**3
    if free_gib < 6:
        return Finding(
            "disk", False, f"{free_gib:.1f} GiB free below {home}", "an image and its template need about 5 GiB"
        )
    return Finding("disk", True, f"{free_gib:.0f} GiB free below {home}")
