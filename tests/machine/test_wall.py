"""The wall around a running machine, looked at from outside: uid, privileges, namespaces, files, limits."""

from __future__ import annotations

import os
import re
import shlex
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from desktop_sandbox import Sandbox
from desktop_sandbox.microvm.jail import FIRST_UID, UIDS
from desktop_sandbox.microvm.process import file_limit
from desktop_sandbox.network.namespace import GATEWAY_ADDRESS
from tests.conftest import RealServer
from tests.machine.support import descriptors, machine_pid, minimal

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the uids of the wall need a server that is root")


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_each_machine_has_a_uid_of_its_own_without_any_privilege(make_sandbox: Callable[..., Sandbox]) -> None:
    pids = [machine_pid(make_sandbox()) for _ in range(2)]
    uids = set()
    for pid in pids:
        now = status(pid)
        for name in ("Uid", "Gid"):
            kinds = set(now[name].split())
            assert len(kinds) == 1, f"real, effective, saved and file system {name} are the same"
            assert FIRST_UID <= int(min(kinds)) < FIRST_UID + 4096 * UIDS
        uids.add(now["Uid"])
        assert now["Groups"] == ""
        assert now["NoNewPrivs"] == "1"
        assert now["Seccomp"] == "2"
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(now[capabilities], 16) == 0, capabilities
    assert len(uids) == 2


def test_namespaces_are_its_own(make_sandbox: Callable[..., Sandbox]) -> None:
    pids = [os.getpid(), *(machine_pid(make_sandbox()) for _ in range(2))]
    for kind in ("mnt", "net", "ipc", "pid", "uts"):
        assert len({os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids}) == 3, kind


def test_it_sees_nothing_of_the_host(sandbox: Sandbox, server: RealServer) -> None:
    pid = machine_pid(sandbox)
    root = Path(f"/proc/{pid}/root")
    assert {path.name for path in root.iterdir()} <= {"usr", "lib", "lib64", "etc", "proc", "dev", "tmp", "boot"}
    assert {path.name for path in (root / "etc").iterdir()} <= {"ld.so.cache", "alternatives"}
    assert {path.name for path in (root / "usr/bin").iterdir()} == {"qemu-system-x86_64", "setpriv"}
    assert [*(root / "tmp").iterdir()] == []
    assert [*(root / "boot").iterdir()] == []
    hidden = [server.home, Path.home(), Path("/etc/passwd"), Path("/etc/shadow"), Path("/var"), Path("/run")]
    assert not [path for path in hidden if (root / str(path).lstrip("/")).exists()]
    # only harmless devices; the terminals are a fresh, empty devpts
    nodes = {path.name for path in (root / "dev").iterdir() if stat.S_ISCHR(path.lstat().st_mode)}
    assert nodes <= {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console", "kvm"}
    assert not any(stat.S_ISBLK(path.lstat().st_mode) for path in (root / "dev").iterdir())
    interfaces = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert {entry.split(b"=")[0] for entry in environment if entry} <= {b"PWD"}


def test_everything_it_sees_is_read_only(sandbox: Sandbox) -> None:
    for line in Path(f"/proc/{machine_pid(sandbox)}/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind not in ("proc", "devpts", "devtmpfs") and where not in ("/dev", "/tmp"):
            assert "ro" in options.split(","), line
        assert "nosuid" in options.split(","), line


def test_limits(sandbox: Sandbox) -> None:
    pid = machine_pid(sandbox)
    disk = next(number for number, link in descriptors(pid).items() if link.endswith("disk.raw"))
    disk_bytes = os.stat(f"/proc/{pid}/fd/{disk}").st_size
    file_bytes = file_limit(disk_bytes, minimal()[0].memory_mib << 20)
    assert disk_bytes < file_bytes < 2 * disk_bytes
    limits = Path(f"/proc/{pid}/limits").read_text()
    for name, value in (
        ("Max core file size", 0),
        ("Max open files", 1024),
        ("Max file size", file_bytes),
        ("Max processes", 256),
    ):
        found = re.search(rf"^{name} +(\S+) +(\S+)", limits, re.MULTILINE)
        assert found is not None
        assert (int(found.group(1)), int(found.group(2))) == (value, value), name


def test_its_descriptors_are_those_meant_and_no_others(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox, _other = make_sandbox(), make_sandbox()
    why = sandbox.why()
    own = Path(why["directory"])
    meant = [
        re.compile(pattern)
        for pattern in (
            r"/dev/null",
            r"/memfd:guest-ram.*",
            r"anon_inode:.*",
            r"socket:.*",
            rf"{re.escape(str(own))}/(qemu|serial)\.log",
            rf"{re.escape(str(own))}/overlay\.qcow2",
            r"/.*/images/minimal-[0-9a-f]+/disk\.raw",
            r"/.*/templates/minimal-\d+/disk\.qcow2",
        )
    ]
    pid = int(why["pid"])
    found = descriptors(pid)
    taps = [link for link in found.values() if link == "/dev/net/tun"]
    assert len(taps) <= 1, "the wire of its network card, if there is a network"
    others = {n: link for n, link in found.items() if link not in taps}
    assert not {n: link for n, link in others.items() if not any(p.fullmatch(link) for p in meant)}
    for number, link in found.items():
        flags = int(re.search(r"^flags:\s+(\d+)", Path(f"/proc/{pid}/fdinfo/{number}").read_text(), re.M).group(1), 8)  # type: ignore[union-attr]
        if link.endswith(("disk.raw", "disk.qcow2")):
            assert flags & os.O_ACCMODE == os.O_RDONLY, f"{link} is open for writing"
        if link.endswith(".log"):
            assert flags & os.O_ACCMODE == os.O_WRONLY, f"{link} is open for reading"
            assert flags & os.O_APPEND


def test_the_server_can_be_reached_from_the_guest_through_nothing(sandbox: Sandbox, server: RealServer) -> None:
    """Neither at its own loopback, nor at the gateway's address, nor at any of this host's."""
    addresses = ["127.0.0.1", GATEWAY_ADDRESS]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward, suppress(OSError):  # a host may have no route
        outward.connect(("192.0.2.1", 9))  # sends nothing: which of its addresses this host would use
        addresses.append(outward.getsockname()[0])
    for address in addresses:
        line = f"exec 3<>/dev/tcp/{address}/{server.port} && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
        tried = sandbox.commands.run(f"timeout 20 bash -c {shlex.quote(line)}", check=False)
        assert "HTTP/" not in tried.stdout, address
