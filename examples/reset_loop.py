"""Episodes in parallel, each from the same starting point: a rollback instead of a new desktop.

python examples/reset_loop.py [TEMPLATE] [DESKTOPS] [EPISODES]
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from desktop_sandbox import Host, Sandbox


def episodes(desktop: Sandbox, start: str, count: int) -> list[float]:
    """Leave traces, reset, find none; how long each reset took, in seconds."""
    took = []
    for number in range(count):
        desktop.files.write("/home/user/trace", str(number))
        began = time.monotonic()
        desktop.rollback(start)
        took.append(time.monotonic() - began)
        if desktop.files.exists("/home/user/trace"):
            raise RuntimeError("the desktop remembers an earlier episode")
    return took


def main(template: str = "desktop", desktops: str = "2", count: str = "3") -> None:
    """Prepare one desktop, fork it, and let all of them run episodes."""
    with Sandbox.create(template, timeout=900) as first:
        first.files.write("/home/user/task", "prepared once")
        start = first.checkpoint("start of every episode").snapshot_id
        runners = first.fork(int(desktops), timeout=900)
        try:
            with ThreadPoolExecutor(len(runners)) as pool:
                took = sorted(
                    s for part in pool.map(lambda one: episodes(one, start, int(count)), runners) for s in part
                )
            print(f"{len(took)} episodes, a reset took {took[len(took) // 2]:.2f} s (median)")
        finally:
            for runner in runners:
                runner.kill()
    with Host.connect() as host:
        for snapshot in host.snapshots():
            if snapshot.sandbox_id == first.sandbox_id:
                host.delete_snapshot(snapshot)


if __name__ == "__main__":
    main(*sys.argv[1:])
