"""Creates and kills, checkpoints, forks, pauses and rollbacks leave all as it was.

Processes, descriptors, threads, memory, files and mounts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from desktop_sandbox import Host, Sandbox
from desktop_sandbox.bench.census import Census
from tests.conftest import RealServer
from tests.machine.support import descriptors, eventually

JOURNALS = ("-wal", "-shm", "server.log")


@dataclass(frozen=True)
class State:
    machines: tuple[tuple[int, str], ...]
    descriptors: Counter[str]
    threads: int
    files: frozenset[str]
    mounts: str
    children: tuple[int, ...]


def kind(link: str) -> str:
    """Descriptors by what they are, not by number: `socket`, `memfd`, or the path."""
    return link.split(":", maxsplit=1)[0] if not link.startswith("/") else link


def look(server: RealServer) -> State:
    assert server.process is not None
    pid = server.process.pid
    tasks = Path(f"/proc/{pid}/task")
    return State(
        machines=tuple(server.machines()),
        descriptors=Counter(kind(link) for link in descriptors(pid).values()),
        threads=len(list(tasks.iterdir())),
        files=frozenset(str(p) for p in server.home.rglob("*") if not p.name.endswith(JOURNALS)),
        mounts=Path("/proc/self/mounts").read_text(),
        children=tuple(int(c) for task in tasks.iterdir() for c in (task / "children").read_text().split()),
    )


def use(server: RealServer) -> None:
    with Sandbox.create("minimal", **server.client()) as sandbox:
        sandbox.commands.run("echo hello")
        sandbox.screenshot()
        sandbox.files.write("/tmp/a", "b")
        sandbox.left_click(5, 5)


def test_ten_creates_and_kills(own_server: RealServer) -> None:
    own_server.start()
    # what exists once (caches, pools of threads, the keeper, the template's memory) exists after these
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: use(own_server), range(5)))
    before = eventually(lambda: _quiet(own_server), seconds=30)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: use(own_server), range(10)))
    after = eventually(lambda: _quiet(own_server), seconds=30)
    assert after.machines == before.machines == ()
    assert after.children == before.children
    assert after.files == before.files
    assert after.mounts == before.mounts
    grown = after.descriptors - before.descriptors
    assert sum(grown.values()) <= 2, f"connections of clients may differ; nothing else: {grown}"
    # a pool of worker threads may still be growing to its limit
    assert after.threads <= before.threads + 4


def _quiet(server: RealServer) -> State | None:
    """The state, once no machine is left."""
    state = look(server)
    return state if not state.machines else None


ROUNDS = 6
# by how much a round may seem to add; what leaks adds 1, or hundreds of MB of kept memory (a template's own
# grows as guests read pages of it that nobody wrote)
SLOPES = {"descriptors": 0.5, "threads": 0.5, "memory_mb": 1.0, "kept_mb": 30.0, "processes": 0.0, "files": 0.0}


def slope(values: Sequence[float]) -> float:
    """The usual step from one to the next; a jump, as of a pool that is filled, is none."""
    return median(after - before for before, after in pairwise(values))


def use_snapshots(server: RealServer) -> None:
    """All that replaces or multiplies a machine, and nothing is kept."""
    with Sandbox.create("minimal", **server.client()) as sandbox:
        saved = sandbox.checkpoint()
        children = sandbox.fork(2)
        children[0].move_mouse(5, 5)
        forked_at = children[0].get_info().snapshot
        for child in children:
            child.kill()
            child.close()
        sandbox.pause()
        sandbox.resume()
        sandbox.rollback(saved)
        sandbox.move_mouse(6, 6)
    with Host.connect(**server.client()) as host:
        for snapshot in (str(forked_at), saved.snapshot_id):
            host.delete_snapshot(snapshot)


def count(server: RealServer) -> Census:
    """Once it is the same twice: namespaces are made ahead, and connections are closed a little late."""
    assert server.process is not None
    pid, found = server.process.pid, [Census.take(server.process.pid, server.home)]

    def settled() -> bool:
        found.append(Census.take(pid, server.home))
        before, now = found[-2:]
        return _quiet(server) is not None and (before.descriptors, before.threads) == (now.descriptors, now.threads)

    eventually(settled, seconds=30)
    return found[-1]


def test_rounds_of_everything_have_no_slope(own_server: RealServer) -> None:
    own_server.start()
    # pools of threads have grown, and all that exists once is there
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: use_snapshots(own_server), range(3)))
    counted = []
    for _ in range(ROUNDS):
        use_snapshots(own_server)
        counted.append(count(own_server))
    for what, most in SLOPES.items():
        values = [getattr(one, what) for one in counted]
        assert slope(values) <= most, f"{what} after each round: {values}"


def test_a_slope_is_not_a_jump() -> None:
    assert slope([5, 5, 5, 9, 9, 10]) == 0
    assert slope([5, 6, 7, 8, 7, 8]) == 1
