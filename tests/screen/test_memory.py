"""Guest memory: what a lying guest says never leads outside its RAM, and honest runs give the file's bytes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from screen_fakes import GIB, PAGE, calm, start_vm

from desktop_sandbox.errors import MachineError
from desktop_sandbox.screen.memory import MAX_RUNS, Descriptor, GuestMemory, PageRuns, Run, StaleFramebuffer

BASE = 1 << 40


@pytest.fixture
def vm(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(np.random.default_rng(5).bytes(40 * PAGE + 123))
    vm = start_vm([file], ram_bytes=5 * GIB)
    yield vm, file.read_bytes()
    vm.close()


def test_a_descriptor_stays_open_for_whoever_reads_through_it_yet(tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(bytes(PAGE) + b"x" * PAGE)
    fd = os.open(tmp_path / "ram", os.O_RDONLY)
    memory = GuestMemory(Descriptor(fd), 0, 2 * PAGE)
    mapped = memory.map(PageRuns(PAGE, (Run(PAGE, PAGE),)))
    buffer = bytearray(PAGE)
    plan = mapped.plan(memoryview(buffer), 0)
    del memory, mapped
    plan.read()
    assert buffer == b"x" * PAGE
    del plan
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_shuffled_pages_on_both_sides_of_the_hole_give_the_file(vm):
    vm, content = vm
    addresses = [address for address, _ in vm.wire[0]["runs"]]
    assert min(addresses) < 3 * GIB
    assert max(addresses) >= 4 * GIB
    mapped = vm.memory.map(PageRuns.from_wire(vm.wire[0]))
    assert mapped.read(0, len(content)).tobytes() == content
    for offset, length in [(0, 1), (PAGE - 1, 2), (PAGE, PAGE), (5000, 30000), (len(content) - 7, 7), (0, 0)]:
        assert mapped.read(offset, length).tobytes() == content[offset : offset + length]
    for offset, length in [(-1, 2), (len(content), 1), (0, len(content) + 1)]:
        with pytest.raises(ValueError, match="bytes"):
            mapped.read(offset, length)


def test_a_stopped_machine_is_read_and_a_dead_one_is_an_error(vm):
    vm, content = vm
    mapped = vm.memory.map(PageRuns.from_wire(vm.wire[0]))
    vm.process.send_signal(signal.SIGSTOP)
    assert mapped.read(0, 9000).tobytes() == content[:9000]
    vm.process.kill()
    vm.process.wait()
    with pytest.raises(MachineError, match="cannot be read"):
        mapped.read(0, 10)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_the_descriptor_is_all_that_another_user_needs(vm):
    vm, content = vm
    mapped = vm.memory.map(PageRuns.from_wire(vm.wire[0]))
    child = f"import os,sys; sys.stdout.buffer.write(os.pread({vm.mem_fd}, 4096, {mapped._addresses[0]}))"
    done = subprocess.run(
        ["/usr/bin/python3", "-c", child],
        user=65534,
        group=65534,
        pass_fds=[vm.mem_fd],
        capture_output=True,
        check=True,
    )
    assert done.stdout == content[:PAGE]


def test_memory_that_is_not_mapped_is_an_error():
    fd = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        mapped = GuestMemory(fd, 4096, 1 << 20).map(PageRuns(PAGE, (Run(0, PAGE),)))
        with pytest.raises(MachineError, match="Input/output error"):
            mapped.read(0, 10)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("run", "offset"),
    [
        (Run(0, PAGE), 0),
        (Run(3 * GIB - PAGE, PAGE), 3 * GIB - PAGE),
        (Run(4 * GIB, PAGE), 3 * GIB),
        (Run(6 * GIB - PAGE, PAGE), 5 * GIB - PAGE),
        (Run(3 * GIB - PAGE, 2 * PAGE), None),
        (Run(3 * GIB, PAGE), None),
        (Run(4 * GIB - PAGE, PAGE), None),
        (Run(4 * GIB - PAGE, 2 * PAGE), None),
        (Run(6 * GIB, PAGE), None),
        (Run(6 * GIB - PAGE, 2 * PAGE), None),
        (Run(1 << 64, PAGE), None),
    ],
)
def test_addresses_of_a_machine_of_5_gib(run, offset):
    memory = GuestMemory(-1, BASE, 5 * GIB)
    if offset is None:
        with pytest.raises(StaleFramebuffer, match="outside"):
            memory.file_offset(run)
    else:
        assert memory.file_offset(run) == offset


def test_a_small_machine_has_nothing_above_4_gib():
    with pytest.raises(StaleFramebuffer):
        GuestMemory(-1, BASE, GIB).file_offset(Run(4 * GIB, PAGE))


numbers = st.one_of(
    st.integers(-PAGE, 2 * PAGE),
    st.integers(-2, 1 << 21).map(lambda page: page * PAGE),
    st.integers(-(1 << 70), 1 << 70),
)
junk = st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=3), numbers, st.lists(numbers, max_size=3))
wire = st.one_of(
    junk,
    st.fixed_dictionaries({"size": st.one_of(numbers, junk), "runs": st.one_of(junk, st.lists(junk, max_size=5))}),
    st.lists(st.tuples(numbers, st.integers(1, 4).map(lambda n: n * PAGE)), max_size=5).map(
        lambda runs: {"size": sum(n for _, n in runs), "runs": [list(run) for run in runs]}
    ),
)


@calm
@given(wire, st.integers(1, 6 * 1024).map(lambda mib: mib << 20))
def test_whatever_the_guest_says_only_its_ram_is_ever_addressed(value, ram_bytes):
    try:
        mapped = GuestMemory(-1, BASE, ram_bytes).map(PageRuns.from_wire(value))
    except StaleFramebuffer:
        return
    for address, start, end in zip(mapped._addresses, mapped._starts, mapped._ends, strict=True):
        assert start < end
        assert address >= BASE
        assert address + end - start <= BASE + ram_bytes
    assert mapped._ends[-1] >= mapped.size


def test_neighbouring_runs_are_merged():
    mapped = GuestMemory(-1, BASE, GIB).map(
        PageRuns(3 * PAGE, (Run(PAGE, PAGE), Run(2 * PAGE, PAGE), Run(9 * PAGE, PAGE)))
    )
    assert mapped.run_count == 2


def test_too_many_runs_are_refused_before_they_are_looked_at():
    with pytest.raises(StaleFramebuffer, match="at most"):
        PageRuns.from_wire({"size": PAGE, "runs": [None] * (MAX_RUNS + 1)})


def test_a_memory_without_sense_is_a_mistake_of_the_caller():
    for arguments in [(-1, BASE, 0), (-1, -1, GIB), (-1, BASE, GIB, 5 * GIB)]:
        with pytest.raises(ValueError, match="RAM"):
            GuestMemory(*arguments)
