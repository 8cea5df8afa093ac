"""Ten creates and kills leave processes, descriptors, threads, files and mounts as they were."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from desktop_sandbox import Sandbox
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
