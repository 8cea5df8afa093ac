"""What machines share never changes: not by a hostile guest with root, and not by its QEMU's uid from outside.

A template's memory and disk, the base that many children of a fork share, and the snapshot that they begin from.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from desktop_sandbox import Host, Sandbox
from desktop_sandbox.snapshots import ram
from desktop_sandbox.snapshots.manifest import Manifest
from desktop_sandbox.snapshots.templates import MANIFEST, disk_digest
from tests.conftest import RealServer
from tests.machine.support import descriptors, machine_pid

SYS_PIDFD_GETFD = 438
KEPT = ("disk.raw", "disk.qcow2")
FILLED = "/dev/shm/fill"
FILL_MIB = 180
CHILDREN = 8
"""With so many a base is less than a copy of what their parent wrote for each of them."""

# runs with QEMU's uid, and tries everything on each descriptor of QEMU's that leads to something shared
ATTACK = """
import ctypes, fcntl, json, mmap, os, sys
pid, numbers, inherited, paths = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
done, seen = [], []

def attempt(what, deed):
    try:
        if deed() is not False:
            done.append(what)
    except (OSError, ValueError, OverflowError):
        pass

def hole(fd):
    return libc.fallocate(fd, 3, ctypes.c_long(0), ctypes.c_long(4096)) == 0

def map_and_write(fd):
    with mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as view:
        view[0] ^= 255

def late_write(fd):  # a mapping made read-only first, then made writable
    view = mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
    for line in open("/proc/self/maps"):
        if "guest-ram" in line or "disk" in line:
            low = int(line.split("-")[0], 16)
            return libc.mprotect(ctypes.c_void_p(low), ctypes.c_size_t(4096), 3) == 0
    return False

def torment(name, fd):
    attempt(name + " pwrite", lambda: os.pwrite(fd, b"x", 0))
    attempt(name + " mmap", lambda: map_and_write(fd))
    attempt(name + " mprotect", lambda: late_write(fd))
    attempt(name + " shrink", lambda: os.ftruncate(fd, 4096))
    attempt(name + " grow", lambda: os.ftruncate(fd, 1 << 40))
    attempt(name + " punch", lambda: hole(fd))
    attempt(name + " chmod", lambda: os.fchmod(fd, 0o666))
    attempt(name + " seal", lambda: fcntl.fcntl(fd, 1033, 0x10))

for number in numbers:
    path = f"/proc/{pid}/fd/{number}"
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_TRUNC):
        try:
            fd = os.open(path, flags)
        except OSError:
            continue
        seen.append(number)
        torment(f"{path} reopened {flags}", fd)
for fd in inherited:
    os.pread(fd, 1, 0)
    seen.append(fd)
    torment(f"inherited {fd}", fd)
    try:
        torment(f"inherited {fd} reopened", os.open(f"/proc/self/fd/{fd}", os.O_RDWR))
    except OSError:
        pass
for path in paths:
    attempt(path + " unlink", lambda: os.unlink(path))
    for flags in (os.O_WRONLY, os.O_RDWR):
        attempt(path + " open", lambda: os.open(path, flags))
print(json.dumps([done, seen, os.getuid()]))
"""

# writes noise into a file: path, offset and length in MiB (one random block again and again: quick under emulation)
SPOIL = """
import os, sys
block = os.urandom(4096) * 256
with open(sys.argv[1], "r+b" if sys.argv[1].startswith("/dev/vd") else "wb") as file:
    file.seek(int(sys.argv[2]) << 20)
    for _ in range(int(sys.argv[3])):
        file.write(block)
    file.flush()
    os.fsync(file.fileno())
"""


@dataclass(frozen=True)
class Digests:
    ram: str
    state: str
    disk: str
    memory: str


class Shared:
    """What one machine shares with its siblings."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.pid = machine_pid(sandbox)
        links = descriptors(self.pid)
        self.numbers = [n for n, link in links.items() if link.endswith(KEPT) or "guest-ram" in link]
        self.memory = next(n for n, link in links.items() if "guest-ram" in link)
        self.inode = os.stat(f"/proc/{self.pid}/fd/{self.memory}").st_ino
        self.template = Path(next(link for link in links.values() if link.endswith("/disk.qcow2"))).parent
        self.image = Path(next(link for link in links.values() if link.endswith("/disk.raw")))

    def memory_digest(self) -> str:
        """Of the memory that its QEMU maps, as it is now."""
        descriptor = os.open(f"/proc/{self.pid}/fd/{self.memory}", os.O_RDONLY)
        try:
            assert ram.is_sealed(descriptor)
            digest = ram._Digest(os.fstat(descriptor).st_size)
            for offset, data in ram._content(descriptor, os.fstat(descriptor).st_size):
                digest.add(offset, data)
        finally:
            os.close(descriptor)
        return digest.hex()

    def digests(self) -> Digests:
        files = (disk_digest(self.template / name) for name in ("ram.bin", "state.bin", "disk.qcow2"))
        return Digests(*files, memory=self.memory_digest())


def take_descriptor(pid: int, number: int) -> int:
    """A duplicate of another process's descriptor, with its very access mode (pidfd_getfd)."""
    pidfd = os.pidfd_open(pid)
    try:
        taken = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
    finally:
        os.close(pidfd)
    assert taken >= 0, os.strerror(ctypes.get_errno())
    return int(taken)


def attack(shared: Shared, home: Path, *paths: Path) -> None:
    """Try everything on what a machine shares, with its QEMU's uid: nothing works."""
    uid = os.stat(f"/proc/{shared.pid}").st_uid
    taken = [take_descriptor(shared.pid, number) for number in shared.numbers]
    targets = [str(path) for path in (*shared.template.iterdir(), shared.image, home / "node.db", *paths)]
    interpreter = shutil.which("python3", path="/usr/bin:/bin")
    assert interpreter is not None
    become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
    try:
        answer = subprocess.run(
            [*become, interpreter, "-I", "-c", ATTACK, json.dumps([shared.pid, shared.numbers, taken, targets])],
            check=False, pass_fds=taken, cwd="/", capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    finally:
        for descriptor in taken:
            os.close(descriptor)
    assert answer.returncode == 0, answer.stderr
    done, seen, attacker = json.loads(answer.stdout)
    assert attacker == uid != 0
    assert shared.memory in seen, "the attack could open QEMU's own descriptors"
    assert set(taken) <= set(seen)
    assert done == []


def fill(hostile: Sandbox, mib: int = FILL_MIB) -> None:
    """Fill a guest's memory."""
    hostile.commands.run(["python3", "-c", SPOIL, FILLED, "0", str(mib)], user="root", timeout=120, check=False)


def spoil_disk(hostile: Sandbox) -> None:
    """Write over the disk below the mounted file system, its own superblock last."""
    run = hostile.commands.run
    run("echo 3 > /proc/sys/vm/drop_caches", user="root", timeout=60, check=False)
    for offset_mib in ("3000", "1000", "0"):
        run(["python3", "-c", SPOIL, "/dev/vda", offset_mib, "16"], user="root", timeout=120, check=False)


def first_page(sandbox: Sandbox) -> str:
    return sandbox.commands.run(f"head -c 4096 {FILLED} | md5sum", timeout=60).stdout


def test_a_hostile_guest_and_its_children_change_nothing(
    make_sandbox: Callable[..., Sandbox], server: RealServer
) -> None:
    hostile = make_sandbox()
    shared = Shared(hostile)
    before = shared.digests()
    manifest = Manifest.from_json((shared.template / MANIFEST).read_text())
    assert before.memory == manifest.ram.digest
    assert (before.state, before.disk) == (manifest.state.digest, manifest.disk.digest)

    fill(hostile)
    saw = first_page(hostile)
    children = hostile.fork(CHILDREN, timeout=600)
    child, sibling = children[:2]
    snapshot = server.home / "snapshots" / str(child.get_info().snapshot)
    try:
        # these share a base of their own, over the template's disk
        base = Shared(child)
        assert base.inode == Shared(sibling).inode != shared.inode
        base_before = base.memory_digest()
        saved = {path.name: disk_digest(path) for path in snapshot.iterdir()}
        assert len(saved) == 4

        fill(child, 60)  # over what it shares with its siblings
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(spoil_disk, (hostile, child)))
        if os.geteuid() == 0:
            attack(base, server.home, snapshot, *snapshot.iterdir())

        assert shared.digests() == before
        assert base.memory_digest() == base_before
        assert {path.name: disk_digest(path) for path in snapshot.iterdir()} == saved
        assert first_page(sibling) == saw, "a sibling has what its parent had written, and nothing of another child"
    finally:
        for one in children:
            one.kill()
        hostile.kill()
        with Host.connect() as host:
            host.delete_snapshot(snapshot.name)
    with make_sandbox() as fresh:
        assert fresh.commands.run(f"test ! -e {FILLED} && echo clean").stdout == "clean\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become QEMU's uid")
def test_qemus_own_uid_changes_nothing(sandbox: Sandbox, server: RealServer) -> None:
    shared = Shared(sandbox)
    before = shared.digests()
    image_before = os.stat(shared.image)
    attack(shared, server.home)
    assert shared.digests() == before
    after = os.stat(shared.image)
    assert (after.st_mtime_ns, after.st_size, after.st_mode) == (
        image_before.st_mtime_ns,
        image_before.st_size,
        image_before.st_mode,
    )
    assert sandbox.commands.run("echo alive").stdout == "alive\n"
