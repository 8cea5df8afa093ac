"""The same again and again: pause and resume, create and kill, fork; and what of it is left over in the end."""

from __future__ import annotations

import time

from desktop_sandbox import Host, Sandbox
from desktop_sandbox.bench.census import Census
from desktop_sandbox.bench.create import LIFETIME_S
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar
from desktop_sandbox.bench.server import Place, keeper_pid
from desktop_sandbox.config import home_folder

_REST_S = 3.0
_WARM_UPS = 5


def measure_soak(place: Place, template: str, counts: Counts, bar: Bar) -> list[Figure]:
    """Empty where the server is not one of the benchmark's own: what is left there is not ours alone."""
    if place.pid is None:
        bar.say("the soak is left out: it takes a server of its own")
        return []

    def make() -> Sandbox:
        return Sandbox.create(template, timeout=LIFETIME_S, **place.client)

    for _ in range(_WARM_UPS):
        with make() as one:
            one.pause()
            one.resume()
            for child in one.fork(2, timeout=LIFETIME_S):
                child.kill()
    _tidy(place)
    before = _count(place.pid)
    cycles, lost = _pauses(make(), counts, bar)
    made = []
    for turn in range(counts.soak_creates):
        bar.say("create, kill", f"{turn + 1} of {counts.soak_creates}")
        began = time.perf_counter()
        with make() as one:
            made.append((time.perf_counter() - began) * 1000)
            one.get_cursor_position()
        bar.tick()
    forked = _forks(make(), counts, bar)
    _tidy(place)
    after = _count(place.pid)
    return [
        Figure("soak.cycle", "soak: pause, resume, first answer", "ms", cycles),
        Figure("soak.lost", f"soak: what {len(cycles)} pauses lost of a file, memory and a program", "things", [lost]),
        Figure("soak.create", "soak: create", "ms", made),
        Figure("soak.forks", "soak: children forked and killed", "desktops", [forked]),
        *_growth(before, after),
    ]


def _count(pid: int) -> Census:
    keeper = keeper_pid(home_folder())
    return Census.take(pid, home_folder(), *([] if keeper is None else [keeper]))


def _growth(before: Census, after: Census) -> list[Figure]:
    counted = (
        ("descriptors", "open files of the server and its helpers", "files", before.descriptors, after.descriptors),
        ("threads", "threads of these", "threads", before.threads, after.threads),
        ("memory", "memory of these (PSS)", "MB", before.memory_mb, after.memory_mb),
        ("kept", "memory in memfds that these hold", "MB", before.kept_mb, after.kept_mb),
        ("processes", "processes of the server and its HOME", "processes", before.processes, after.processes),
        ("files", "files of sandboxes and snapshots", "files", before.files, after.files),
    )
    return [
        Figure(f"soak.left.{name}", f"soak: {words} more than before", unit, [now - was])
        for name, words, unit, was, now in counted
    ]


def _pauses(desktop: Sandbox, counts: Counts, bar: Bar) -> tuple[list[float], int]:
    """Milliseconds of each cycle, and how many things were not there any more in the end."""
    took: list[float] = []
    with desktop:
        desktop.files.write("/home/user/kept", "on disk")
        desktop.commands.run("echo memory > /dev/shm/kept; nohup sleep 1000000 > /dev/null 2>&1 & echo $! > /tmp/pid")
        for turn in range(counts.soak_pauses):
            bar.say("pause, resume", f"{turn + 1} of {counts.soak_pauses}")
            began = time.perf_counter()
            desktop.pause()
            desktop.resume()
            desktop.get_cursor_position()
            took.append((time.perf_counter() - began) * 1000)
            bar.tick()
        looks = ("grep -q 'on disk' /home/user/kept", "grep -q memory /dev/shm/kept", "kill -0 $(cat /tmp/pid)")
        lost = sum(desktop.commands.run(look, check=False).exit_code != 0 for look in looks)
    return took, lost


def _forks(desktop: Sandbox, counts: Counts, bar: Bar) -> int:
    done = 0
    with desktop:
        while done < counts.soak_forks:
            bar.say("fork, kill", f"{done} of {counts.soak_forks}")
            children = desktop.fork(min(10, counts.soak_forks - done), timeout=LIFETIME_S)
            done += len(children)
            for child in children:
                child.kill()
    return done


def _tidy(place: Place) -> None:
    """Remove what the soak saved, and let the server come to rest."""
    with Host.connect(**place.client) as host:
        for snapshot in reversed(host.snapshots()):
            host.delete_snapshot(snapshot)
    time.sleep(_REST_S)
