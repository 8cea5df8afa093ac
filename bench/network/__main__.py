"""`python -m bench.network`: through our gateway, through a plain tap with NAT, through QEMU's user network.

The same machine, restored of the same template, behind each; a server in a network namespace of its own stands for the
internet, so nothing leaves the host. Needs root. Guest, gateway and server share this host's cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from desktop_sandbox import Sandbox
from desktop_sandbox.bench.server import _share_images
from desktop_sandbox.config import home_folder
from tests.machine.places import Place, Server

ADDRESS = "93.184.216.34"
SOURCE, SINK, ECHO = 9001, 9002, 9003
WAYS = {"ours": "our gateway", "nat": "plain tap, NAT", "user": "QEMU user network"}
SCRIPT = Path(__file__).parent / "guest.py"


def pour(connection: socket.socket) -> None:
    """Send without end."""
    piece = bytes(1 << 20)
    while True:
        connection.sendall(piece)


def drain(connection: socket.socket) -> None:
    """Take all, then say how much it was."""
    buffer, count = bytearray(1 << 20), 0
    while got := connection.recv_into(buffer):
        count += got
    connection.sendall(count.to_bytes(8, "big"))


def echo(connection: socket.socket) -> None:
    """Send back what comes."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(4096):
        connection.sendall(data)


@contextlib.contextmanager
def two_places() -> Iterator[Place]:
    """A namespace for server and machines, wired to one that has the servers of the internet."""
    host, internet = Place(), Place()
    host.ip(
        "link set lo up",
        f"link add wire0 type veth peer name wire1 netns /proc/{os.getpid()}/fd/{internet.descriptor}",
        "addr add 203.0.113.1/24 dev wire0",
        "link set wire0 up",
        "route add default via 203.0.113.2",
    )
    internet.ip("link set lo up", "addr add 203.0.113.2/24 dev wire1", "link set wire1 up")
    internet.ip(f"addr add {ADDRESS}/32 dev lo")
    servers = [Server(internet, ADDRESS, port, talk) for port, talk in ((SOURCE, pour), (SINK, drain), (ECHO, echo))]
    try:
        yield host
    finally:
        for server in servers:
            server.close()
        host.close()
        internet.close()


@contextlib.contextmanager
def served(way: str) -> Iterator[dict[str, str]]:
    """A server with this network, in the namespace of the calling thread; how the SDK finds it."""
    with tempfile.TemporaryDirectory(prefix="desktop-sandbox-bench-") as folder:
        home = Path(folder)
        _share_images(home, home_folder())
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        env = {**os.environ, "DESKTOP_SANDBOX_HOME": str(home)}
        with (home / "server.log").open("wb") as log:
            command = [sys.executable, "-m", "bench.network.serve", way, f"127.0.0.1:{port}"]
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 60
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if httpx.get(f"{url}/healthz").is_success:
                        break
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit((home / "server.log").read_text()[-2000:])
                time.sleep(0.05)
            yield {"url": url, "api_key": (home / "api-key").read_text().strip()}
        finally:
            process.terminate()
            process.wait(60)


def measured(way: str, seconds: float) -> dict[str, Any]:
    """Figures of one way, of one machine."""
    with served(way) as there, Sandbox.create("minimal", freeze_after=0, timeout=1800, **there) as sandbox:
        sandbox.files.write("/tmp/guest.py", SCRIPT.read_text())
        command = ["python3", "/tmp/guest.py", ADDRESS, str(seconds)]
        found = json.loads(sandbox.commands.run(command, timeout=120 + 8 * seconds).stdout)
    trips, made = (sorted(found[name]) for name in ("round_trips", "connections"))
    return {
        "download_mb_s": found["download"] / 1e6,
        "upload_mb_s": found["upload"] / 1e6,
        "round_trip_ms": statistics.median(trips) * 1000,
        "round_trip_p95_ms": trips[int(len(trips) * 0.95)] * 1000,
        "connections_per_s": len(made) / sum(made),
    }


def main() -> None:
    """Measure, print a table, and write JSON where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is measured, in turn")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each figure is taken")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rounds: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with two_places() as host, Progress(transient=True) as progress:
        bar = progress.add_task("ways", total=options.rounds * len(WAYS))
        for number in range(options.rounds):
            for way, name in WAYS.items():
                progress.update(bar, description=f"{name}, {number + 1} of {options.rounds}")
                rounds[way].append(host.within(lambda way=way: measured(way, options.seconds)))
                progress.advance(bar)
    medians = {
        way: {name: round(statistics.median(one[name] for one in found), 2) for name in found[0]}
        for way, found in rounds.items()
    }
    table = Table(title=f"Network of a `minimal` machine, medians of {options.rounds}, load {load:.2f} at the begin")
    table.add_column("")
    for way in WAYS.values():
        table.add_column(way, justify="right")
    for name in medians["ours"]:
        table.add_row(name.replace("_", " "), *(f"{medians[way][name]:g}" for way in WAYS))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps({"load": load, "rounds": rounds, "medians": medians}, indent=1))


if __name__ == "__main__":
    main()
