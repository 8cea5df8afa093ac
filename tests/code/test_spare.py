"""A kernel that was started before anybody asked: the first who asks has it at once, with what is his around it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.code.test_kernel import ROOT, Context, surroundings
from tests.machine.support import eventually

pytestmark = pytest.mark.timeout(240)
READY = {"t": "ready", "language": "python", "name": "python3"}


@pytest.fixture
def spare(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "guest_image.code", "--spare", "python3"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=ROOT, env=surroundings(tmp_path))
    eventually((tmp_path / "code-spare-python3").is_socket)
    yield process
    process.kill()
    process.wait()


def end(context: Context) -> None:
    assert context.process.stdin is not None
    context.process.stdin.close()
    assert context.process.wait(30) == 0


def parent_of(pid: str) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_first_has_it_and_the_next_one_of_its_own(spare: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    first = Context("python3", tmp_path, cwd=tmp_path / "there", WORD="given")
    assert first.hear() == READY
    assert parent_of(first.value("import os; os.getpid()")) == spare.pid
    assert first.value("os.environ['WORD'], os.path.basename(os.getcwd())") == "('given', 'there')"
    second = Context("python3", tmp_path)
    assert second.hear() == READY
    assert parent_of(second.value("import os; os.getpid()")) == second.process.pid
    # a kernel that is started anew is where its context was asked for, too
    first.ask(op="restart")
    first.until("restarted")
    assert first.value("import os; os.environ['WORD'], os.path.basename(os.getcwd())") == "('given', 'there')"
    # much, both ways
    assert first.value(f"len({'x' * 300_000!r})") == "300000"
    assert sum(len(each.get("text", "")) for each in first.run("print('y' * 3_000_000)")) == 3_000_001
    end(first)
    end(second)
    assert spare.wait(30) == 0
    assert list(tmp_path.glob("code-*")) == []


def test_who_is_killed_takes_the_kernel_along(spare: subprocess.Popen[bytes], tmp_path: Path) -> None:
    context = Context("python3", tmp_path)
    assert context.hear() == READY
    context.process.send_signal(signal.SIGKILL)
    context.process.wait()
    assert spare.wait(60) == 0


def test_a_spare_that_died_is_no_hindrance(spare: subprocess.Popen[bytes], tmp_path: Path) -> None:
    os.kill(spare.pid, signal.SIGKILL)
    spare.wait()
    context = Context("python3", tmp_path)
    assert context.hear() == READY
    assert context.value("1 + 1") == "2"
    end(context)
