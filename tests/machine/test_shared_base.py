"""Many children of one moment share a sealed memory with its pages; each is saved against the template all the same."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from desktop_sandbox import Host, NotFoundError, Sandbox
from desktop_sandbox.snapshots.below import BELOW
from tests.conftest import RealServer
from tests.machine.support import descriptors, eventually, machine_pid

pytestmark = pytest.mark.machine

CHILDREN = 8
WRITTEN_MB = 160
# the quickest digest there is under emulation: nobody means to deceive it
SUM = "import functools, sys, zlib; pieces = iter(lambda: sys.stdin.buffer.read(1 << 20), b''); "
SUM += "print(functools.reduce(lambda sum, piece: zlib.adler32(piece, sum), pieces, 1))"
DIGEST = f'python3 -c "{SUM}" < /dev/shm/filled'
FILL = f"yes 'of the parent' | head -c {WRITTEN_MB}000000 > /dev/shm/filled; {DIGEST}"


def run(sandbox: Sandbox, command: str) -> str:
    return sandbox.commands.run(command, timeout=120).stdout.strip()


def below(server: RealServer, sandbox: Sandbox) -> Path:
    (folder,) = (server.home / "sandboxes").glob(sandbox.sandbox_id)
    return folder / BELOW


def test_children_share_what_their_parent_had_written(
    server: RealServer, sandbox: Sandbox, make_sandbox: Callable[..., Sandbox]
) -> None:
    with Host.connect() as host:
        before = {info.snapshot_id for info in host.snapshots()}
    filled = run(sandbox, FILL)
    held = memfds(server)
    children = sandbox.fork(CHILDREN, timeout=600)
    try:
        eventually(lambda: memfds(server) == held, seconds=10)  # its children alone hold the base
        assert all(below(server, child).exists() for child in children)
        with ThreadPoolExecutor(CHILDREN) as threads:
            assert list(threads.map(lambda child: run(child, DIGEST), children)) == [filled] * CHILDREN
        # each has a share of the pages, not a copy
        own = [private_mb(machine_pid(child)) for child in children]
        assert all(mb < WRITTEN_MB for mb in own), own

        # what one writes is its own
        one, two, three, four, *_ = children
        changed = run(one, f"echo 'of the child' | dd of=/dev/shm/filled conv=notrunc status=none; {DIGEST}")
        assert changed != filled
        assert [run(child, DIGEST) for child in (two, three, four)] == [filled] * 3

        # a checkpoint of a child holds the parent's pages too: whoever begins from it needs no base
        saved = one.checkpoint("child")
        run(one, "rm /dev/shm/filled")
        for child in (sandbox, two, three, *children[4:]):
            child.kill()
        one.rollback(saved)
        assert not below(server, one).exists()
        assert run(one, DIGEST) == changed
        other = make_sandbox(snapshot=saved)
        assert run(other, DIGEST) == changed

        four.pause()
        four.resume()
        assert not below(server, four).exists()
        assert run(four, DIGEST) == filled
    finally:
        for made in (*children, sandbox):
            with suppress(NotFoundError):
                made.kill()
    other.kill()
    with Host.connect() as host:
        for info in reversed([info for info in host.snapshots() if info.snapshot_id not in before]):
            host.delete_snapshot(info.snapshot_id)


def test_few_children_get_copies(server: RealServer, sandbox: Sandbox) -> None:
    (child,) = sandbox.fork(1, timeout=120)
    assert not below(server, child).exists()
    assert run(child, "echo there") == "there"
    child.kill()


def memfds(server: RealServer) -> int:
    """How many pieces of memory without a process the server holds."""
    assert server.process is not None
    return sum(link.startswith("/memfd:") for link in descriptors(server.process.pid).values())


def private_mb(pid: int) -> float:
    """Memory that is a process's alone, in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024 / 1e6
