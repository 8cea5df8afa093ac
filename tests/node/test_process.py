"""A machine's process: what its jail must say in time, and how much it may take."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm import process as process_module
from desktop_sandbox.microvm.process import _limits, _read_pid, file_limit


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)


def jail(pipe: tuple[int, int], line: str) -> subprocess.Popen[bytes]:
    """A line of shell in place of the jail; `$INFO` leads to who started it."""
    write = pipe[1]
    path = f"/proc/self/fd/{write}"
    child = subprocess.Popen(["sh", "-c", line], pass_fds=[write], start_new_session=True, env={"INFO": path})
    os.close(write)
    return child


def test_it_says_which_process_is_in_it(pipe: tuple[int, int], tmp_path: Path) -> None:
    child = jail(pipe, """printf %s '{"child' > $INFO; sleep 0.2; printf %s '-pid": 4711}' > $INFO""")
    assert _read_pid(pipe[0], child, tmp_path / "log") == 4711
    assert child.wait(5) == 0


def test_one_that_fails_is_told_with_its_log(pipe: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "log").write_text("no user namespaces here")
    with pytest.raises(MachineError, match=r"exit 3") as caught:
        _read_pid(pipe[0], jail(pipe, "exit 3"), tmp_path / "log")
    assert caught.value.hint == "no user namespaces here"


@pytest.mark.parametrize("line", ["sleep 60", "printf '{' > $INFO; sleep 60", "(sleep 60) & wait"])
def test_one_that_says_nothing_in_time_is_ended(
    pipe: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(process_module, "_JAIL_S", 0.5)
    child = jail(pipe, line)
    began = time.monotonic()
    with pytest.raises(MachineError, match=r"did not start within 0\.5 s"):
        _read_pid(pipe[0], child, tmp_path / "log")
    assert time.monotonic() - began < 5
    assert child.returncode == -9
    assert process_module._read_all(pipe[0], time.monotonic() + 5) is not None, "nothing of it holds the pipe any more"


@pytest.mark.parametrize("gib", [2, 8, 1024])
def test_a_disk_that_is_written_whole_fits_into_the_limit(gib: int) -> None:
    command = ["qemu-img", "measure", "--output", "json", "--size", f"{gib}G", "-O", "qcow2"]
    measured = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout)
    limit = file_limit(gib << 30, 1 << 30)
    assert measured["fully-allocated"] + (1 << 30) < limit, "with its memory in it once, as savevm does"
    assert limit < (gib << 30) * 1.04 + (2 << 30)


def test_threads_are_limited_where_the_uid_is_the_machines_own() -> None:
    own, shared = dict(_limits(1 << 30, own_uid=True)), dict(_limits(1 << 30, own_uid=False))
    assert own.pop(resource.RLIMIT_NPROC) == 256
    assert own == shared
    assert shared[resource.RLIMIT_FSIZE] == 1 << 30
