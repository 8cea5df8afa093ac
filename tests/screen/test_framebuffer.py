"""Frames out of (fake) guest memory: rows, strides, headers, samples, the state page's seqlock."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from screen_fakes import FakeVM, calm, framebuffer_file, noise, start_vm, xwd_header

from desktop_sandbox.errors import MachineError
from desktop_sandbox.screen.framebuffer import (
    MAX_SIDE,
    Framebuffer,
    GuestMemory,
    Layout,
    PageRuns,
    Run,
    StaleFramebuffer,
    pixel_offset,
)
from desktop_sandbox.screen.machine_screen import MachineScreen
from desktop_sandbox.screen.scatter import ProcessReader
from guest_image.agent.state_page import FILE_BYTES, HEADER_BYTES, ScreenState, pack

PIXELS = noise(60, 100)
STATE = ScreenState(2, 100, 60, 100, 60, 400, 1, 10, 20, 1, 3, 2, 1, 0, 42)
CURSOR = noise(2, 3, seed=9)


def write_state(path, state: ScreenState, cursor: np.ndarray = CURSOR) -> None:
    with open(path, "r+b" if path.exists() else "wb") as file:
        file.write(pack(state))
        file.seek(HEADER_BYTES)
        file.write(cursor.tobytes())
        file.truncate(FILE_BYTES)


class Screen:
    def __init__(self, folder, *, shuffled: bool, trace: bool) -> None:
        self.file, self.page = folder / "Xvfb_screen0", folder / "state"
        self.sizes = framebuffer_file(self.file, PIXELS)
        write_state(self.page, STATE)
        self.vm: FakeVM = start_vm([self.file, self.page], shuffled=shuffled, trace=trace)
        self.wire = {**self.sizes, "framebuffer": self.vm.wire[0], "state": self.vm.wire[1]}
        self.screen = MachineScreen.from_wire(self.vm.memory, self.wire)

    def state(self, **changes: int) -> None:
        write_state(self.page, dataclasses.replace(STATE, **changes))

    def patch(self, offset: int, data: bytes) -> None:
        with self.file.open("r+b") as file:
            file.seek(offset)
            file.write(data)


@pytest.fixture(params=["shuffled", "contiguous", "shuffled-trace", "contiguous-trace"])
def machine(request, tmp_path):
    machine = Screen(tmp_path, shuffled="shuffled" in request.param, trace="trace" in request.param)
    yield machine
    machine.vm.close()


@pytest.mark.parametrize("size", [(100, 60), (1, 1), (99, 60), (100, 7), (37, 41)])
def test_any_size_up_to_the_largest_is_read_tightly(machine, size):
    width, height = size
    frame = machine.screen.framebuffer.read(width, height)
    assert frame.flags.c_contiguous
    assert np.array_equal(frame, PIXELS[:height, :width])


def test_a_frame_can_go_into_a_buffer_of_the_caller(machine):
    buffer = np.zeros((60, 50, 4), np.uint8)
    assert machine.screen.framebuffer.read(50, 60, buffer) is buffer
    assert np.array_equal(buffer, PIXELS[:, :50])
    with pytest.raises(ValueError, match="contiguous"):
        machine.screen.framebuffer.read(51, 60, buffer)
    with pytest.raises(ValueError, match="at most"):
        machine.screen.framebuffer.read(101, 60)


@pytest.mark.parametrize("trace", [False, True])
def test_many_rows_of_a_wide_stride_cross_chunks_and_system_calls(tmp_path, trace):
    pixels = noise(1500, 500)
    sizes = framebuffer_file(tmp_path / "file", pixels)
    vm = start_vm([tmp_path / "file"], trace=trace)
    try:
        screen = Framebuffer(vm.memory, Layout.from_wire({**sizes, "framebuffer": vm.wire[0]}))
        for width, height in [(300, 1499), (500, 1500), (1, 1500)]:
            assert np.array_equal(screen.read(width, height), pixels[:height, :width])
        assert vm.memory._process is None or vm.memory._process.usable
    finally:
        vm.close()


def test_without_the_right_to_trace_the_descriptor_serves(machine):
    memory = machine.vm.memory
    memory._process = ProcessReader(2**22 + 1)  # no process has this id
    screen = MachineScreen.from_wire(memory, machine.wire)
    assert np.array_equal(screen.read(), PIXELS)
    assert not memory._process.usable


def test_an_id_given_to_another_process_is_noticed(machine, tmp_path):
    """The other process has other bytes at the same addresses: here the test's own VM, with its own descriptor gone."""
    other = start_vm([machine.file, machine.page])
    gone = GuestMemory(other.mem_fd, machine.vm.memory._base, 256 << 20, pid=machine.vm.process.pid)
    other.process.kill()
    other.process.wait()
    try:
        with pytest.raises(MachineError, match="ended"):
            MachineScreen.from_wire(gone, machine.wire).framebuffer._file.read_rows(
                np.empty(4096, np.uint8), 0, 1024, 1024
            )
    finally:
        other.close()


def test_size_and_cursor_follow_the_state_page(machine):
    assert machine.screen.read().shape == (60, 100, 4)
    machine.state(seq=4, width=40, height=30, generation=2)
    assert machine.screen.size() == (40, 30)
    assert np.array_equal(machine.screen.read(), PIXELS[:30, :40])
    cursor = machine.screen.cursor()
    assert (cursor.x, cursor.y, cursor.hot_x, cursor.hot_y) == (10, 20, 1, 0)
    assert np.array_equal(cursor.pixels, CURSOR)


def test_a_buffer_of_another_size_is_not_used(machine):
    buffer = np.zeros((60, 100, 4), np.uint8)
    assert machine.screen.read(buffer) is buffer
    machine.state(seq=4, width=40, height=30, generation=2)
    assert machine.screen.read(buffer) is not buffer


def test_a_session_stopped_while_it_writes_leaves_the_last_whole_state(machine):
    machine.screen.state()
    machine.state(seq=3, width=50)
    assert machine.screen.size() == (100, 60)
    never_read = MachineScreen.from_wire(machine.vm.memory, machine.wire)
    with pytest.raises(StaleFramebuffer, match="never seen whole"):
        never_read.size()


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 101},
        {"width": 0},
        {"height": 61},
        {"cursor_width": 129},
        {"cursor_height": 65535},
        {"max_width": 200, "stride_bytes": 800},
        {"stride_bytes": 404},
    ],
)
def test_a_lying_state_page_is_stale(machine, changes):
    machine.state(**changes)
    with pytest.raises(StaleFramebuffer):
        machine.screen.read()


@pytest.mark.parametrize(
    "changed",
    [
        (0, 99),
        (0, 2**32 - 1),
        (1, 6),
        (2, 0),
        (4, 99),
        (5, 61),
        (7, 1),
        (11, 24),
        (12, 404),
        (19, 2**32 - 1),
        (19, 2000),
    ],
)
def test_another_header_is_stale_at_the_next_read(machine, changed):
    frame, rows = machine.screen.read(), range(0, 60, 8)
    watch = machine.screen.framebuffer.watch_rows(100, 60, rows)
    assert watch.same(frame)
    machine.patch(0, xwd_header(100, 60, 400, [changed]))
    with pytest.raises(StaleFramebuffer):
        machine.screen.read()
    with pytest.raises(StaleFramebuffer):
        watch.same(frame)
    with pytest.raises(StaleFramebuffer):
        machine.screen.framebuffer.watch_rows(100, 60, rows)


def test_a_watch_sees_a_change_in_its_own_rows_only(machine):
    frame = machine.screen.read()
    watches = [machine.screen.framebuffer.watch_rows(100, 60, range(first, 60, 8)) for first in range(8)]
    assert all(watch.same(frame) for watch in watches)
    machine.patch(160 + 12 * 256 + 21 * 400 + 7, b"\0" if PIXELS[21, 1, 3] else b"\1")
    assert [watch.same(frame) for watch in watches] == [first != 21 % 8 for first in range(8)]
    assert all(watch.same(machine.screen.read()) for watch in watches)
    assert not watches[0].same(np.ascontiguousarray(frame[:, :50])), "a frame of another size is another one"


def test_a_watch_of_a_part_of_the_screen_takes_no_pixel_beside_it(machine):
    machine.state(width=40, height=30)
    frame, watch = machine.screen.read(), machine.screen.framebuffer.watch_rows(40, 30, range(5, 30, 10))
    for row, column in ((15, 40), (16, 0), (35, 0)):
        machine.patch(160 + 12 * 256 + row * 400 + 4 * column, bytes(value ^ 255 for value in PIXELS[row, column]))
    assert watch.same(frame)
    machine.patch(160 + 12 * 256 + 15 * 400 + 4 * 39, bytes(value ^ 255 for value in PIXELS[15, 39]))
    assert not watch.same(frame)


def test_the_state_is_seen_anew_after_each_change_and_never_half_written(machine):
    first = machine.screen.state()
    assert machine.screen.state() is first, "a page that stays is not taken apart again"
    machine.state(cursor_x=77, seq=4)
    assert machine.screen.state().cursor_x == 77
    machine.state(cursor_x=78, seq=5)
    assert machine.screen.state().cursor_x == 77, "an odd number: it is being written"
    machine.state(cursor_x=78, seq=6)
    assert machine.screen.state().cursor_x == 78
    machine.state(cursor_x=78, seq=8, cursor_serial=2)
    assert machine.screen.state().cursor_serial == 2


numbers = st.one_of(st.integers(-2, 10000), st.integers(-(1 << 70), 1 << 70), st.none(), st.text(max_size=2))


@calm
@given(st.dictionaries(st.sampled_from(["max_width", "max_height", "stride_bytes", "framebuffer"]), numbers))
def test_any_wire_layout_is_stale_or_within_bounds(reply):
    pages = {"size": 1 << 20, "runs": [[0, 1 << 20]]}
    try:
        layout = Layout.from_wire({"framebuffer": pages, **reply})
    except StaleFramebuffer:
        pass
    else:
        assert 0 < layout.max_width <= MAX_SIDE
        assert layout.stride_bytes * layout.max_height < 1 << 20


@calm
@given(
    st.binary(min_size=100, max_size=100),
    st.lists(st.tuples(st.integers(0, 24), st.integers(0, 2**32 - 1)), max_size=3),
)
def test_any_header_is_stale_or_leaves_all_pixels_inside(random_header, changes):
    layout = Layout(PageRuns(1 << 16, (Run(0, 1 << 16),)), 100, 60, 400)
    good = xwd_header(100, 60, 400, changes)
    for header in (random_header, good[:100]):
        try:
            start = pixel_offset(np.frombuffer(header, np.uint8), layout)
        except StaleFramebuffer:
            continue
        assert 100 <= start <= layout.framebuffer.size - 60 * 400


def test_a_layout_outside_of_ram_is_refused_at_once():
    layout = Layout(PageRuns(1 << 16, (Run(1 << 20, 1 << 16),)), 100, 60, 400)
    with pytest.raises(StaleFramebuffer, match="outside"):
        Framebuffer(GuestMemory(-1, 1 << 40, 1 << 20), layout)
