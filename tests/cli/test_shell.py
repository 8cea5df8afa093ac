"""`shell`, `jobs` and `forward` as processes of their own, against the API on a fake node."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import typer

from desktop_sandbox import Sandbox
from desktop_sandbox.cli.forwarding import parse_ports
from tests.api.test_routes import wait_for
from tests.cli.test_cli import Run, live, run  # noqa: F401
from tests.fake_reach import FakeJob
from tests.live_server import Live

WAIT_S = 30.0
CLI = [sys.executable, "-m", "desktop_sandbox.cli"]
HEARING = ["env", "--default-signal=INT", *CLI]
"""Whoever starts the tests in a shell's background has SIGINT ignored in all below."""


@pytest.fixture
def box(live: Live) -> str:  # noqa: F811
    return Sandbox.create().sandbox_id


class Screen:
    """A process in a terminal of this host."""

    def __init__(self, *args: str) -> None:
        self.master, slave = pty.openpty()
        self.resize(30, 100, tell=False)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen([*CLI, *args], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        self.seen = b""

    def resize(self, rows: int, columns: int, *, tell: bool = True) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)  # it has no controlling terminal that would

    def until(self, data: bytes) -> None:
        end = time.monotonic() + WAIT_S
        while data not in self.seen:
            assert time.monotonic() < end, f"{data!r} never came, but {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536)

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def end(self) -> int:
        end = time.monotonic() + WAIT_S
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end: {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536)
        while select.select([self.master], [], [], 0.1)[0]:
            self.seen += os.read(self.master, 65536)
        return self.process.returncode


@contextmanager
def screen(*args: str) -> Iterator[Screen]:
    made = Screen(*args)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        os.close(made.master)
        os.close(made.slave)


def job_of(live: Live) -> FakeJob:  # noqa: F811
    return list(live.node.fake_jobs.values())[-1]


def test_shell(live: Live, run: Run, box: str) -> None:  # noqa: F811
    with screen("shell", box, "--user", "root") as first:
        first.until(b"ready")
        first.type(b"ls\x03")
        first.until(b"ls\x03")
        spec = job_of(live).spec
        assert (spec.user, spec.rows, spec.columns, spec.command) == ("root", 30, 100, None)
        first.resize(50, 132)
        wait_for(lambda: job_of(live).sizes == [(50, 132)], 20)
        first.type(b"\x1d")
        assert first.end() == 0
        name = job_of(live).info.id
        assert f"shell {box} --attach {name}".encode() in first.seen
        assert termios.tcgetattr(first.slave) == first.before
    assert name in run("shell", box, "--list").out
    assert json.loads(run("shell", box, "--list", "--json").out)[0]["running"] is True
    with screen("shell", box, "--attach", name) as second:
        second.until(b"ls\x03")
        second.type(b"exit 7")
        assert second.end() == 7
        assert termios.tcgetattr(second.slave) == second.before
    assert run("shell", box, "--attach", "term-000000000000").code == 1
    assert run("shell", box, "--kill", name).code == 0


def test_shell_with_pipes(live: Live, box: str) -> None:  # noqa: F811
    done = subprocess.run(
        [*CLI, "shell", box, "--", "cat", "-"], input=b"exit 3", capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (3, b"ready\n")
    assert job_of(live).spec.command == ["cat", "-"]


def test_jobs(live: Live, run: Run, box: str) -> None:  # noqa: F811
    name = run("jobs", "start", box, "-i", "--", "make all").out.strip()
    assert (job_of(live).spec.command, job_of(live).spec.stdin) == ("make all", True)
    assert name in run("jobs", "ls", box).out
    assert run("jobs", "signal", box, name, "usr1").code == 0
    assert job_of(live).signals == [10]
    assert run("jobs", "signal", box, name, "nonsense").code == 2
    done = subprocess.run(
        [*CLI, "jobs", "attach", box, name, "-i"], input=b"exit 3", capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (3, b"ready\n")
    other = run("jobs", "start", box, "true").out.strip()
    assert run("jobs", "kill", box, other).code == 0
    assert json.loads(run("jobs", "ls", box, "--json").out)[1]["exit_code"] == 143


@pytest.mark.parametrize(("text", "ports"), [("8080", (8080, 8080)), ("8080:80", (8080, 80)), ("0:80", (0, 80))])
def test_ports(text: str, ports: tuple[int, int]) -> None:
    assert parse_ports(text) == ports


@pytest.mark.parametrize("text", ["", "x", "80:", ":80", "0", "80:0", "70000", "1:70000", "-1", "1:2:3"])
def test_no_ports(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_ports(text)


def test_forward(live: Live, run: Run, box: str) -> None:  # noqa: F811
    process = subprocess.Popen([*HEARING, "forward", box, "0:8080"], stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        said = process.stderr.readline().decode()
        port = int(said.partition(" ")[0].rpartition(":")[2])
        assert f"port 8080 of {box}" in said
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
                got = b""
                peer.sendall(b"x" * 200_000)
                peer.shutdown(socket.SHUT_WR)
                while data := peer.recv(65536):
                    got += data
                assert got == b"hello " + b"x" * 200_000
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
    assert run("forward", box, "x").code == 2
