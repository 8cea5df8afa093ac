"""The session's decisions: state page, restarts, configuration, cgroups; and its programs as real processes."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from guest_image.agent import state_page
from guest_image.agent.state_page import FILE_BYTES, HEADER_BYTES, ScreenState
from guest_image.builder import layin
from guest_image.recipe import TREE_DIRECTORY, load_recipe
from guest_image.session import config
from guest_image.session.apps import Supervisor, restart_delay_s
from guest_image.session.cgroups import own_cgroup
from guest_image.session.pages import LockedFile, StateWriter, cursor_bytes, framebuffer_stride

FIRST = ScreenState(
    seq=0, width=1280, height=800, max_width=1920, max_height=1200, stride_bytes=7680, generation=1, cursor_x=0,
    cursor_y=0, cursor_serial=0, cursor_width=0, cursor_height=0, hot_x=0, hot_y=0, session_pid=77,
)  # fmt: skip


def test_state_page_is_whole_after_each_update() -> None:
    page = mmap.mmap(-1, FILE_BYTES)
    writer = StateWriter(page, FIRST)
    first = state_page.unpack(page[:4096])
    assert first is not None
    writer.update(cursor_x=1279, cursor_y=0)
    writer.update(b"\1\2\3\4", cursor_serial=9, cursor_width=1, cursor_height=1)
    state = state_page.unpack(page[:4096])
    assert state is not None
    assert (state.cursor_x, state.cursor_y, state.cursor_serial) == (1279, 0, 9)
    assert state.seq == first.seq + 4
    assert page[HEADER_BYTES : HEADER_BYTES + 4] == b"\1\2\3\4"


def test_state_page_of_a_session_that_died_while_writing_is_made_whole() -> None:
    page = mmap.mmap(-1, FILE_BYTES)
    StateWriter(page, ScreenState(**{**vars_of(FIRST), "seq": 7}))
    state = state_page.unpack(page[:4096])
    assert state is not None
    assert state.seq % 2 == 0
    assert state.seq > 7


def vars_of(state: ScreenState) -> dict[str, int]:
    return {name: getattr(state, name) for name in state.__dataclass_fields__}


def test_an_update_that_changes_nothing_writes_nothing() -> None:
    page = mmap.mmap(-1, FILE_BYTES)
    writer = StateWriter(page, FIRST)
    before = page[:4096]
    writer.update(cursor_x=0)
    assert page[:4096] == before


def test_cursor_is_little_endian_and_cut_to_what_fits() -> None:
    assert cursor_bytes([0x80112233, 0xFF000000], 2, 1) == (b"\x33\x22\x11\x80\0\0\0\xff", 2, 1)
    data, width, height = cursor_bytes(list(range(200 * 130)), 200, 130)
    assert (width, height) == (128, 128)
    assert data[128 * 4 : 128 * 4 + 4] == (200).to_bytes(4, "little")


def test_stride_comes_from_the_xwd_header() -> None:
    words = [160, 7, 2, 24, 1920, 1200, 0, 0, 32, 0, 32, 32, 7680]
    header = b"".join(word.to_bytes(4, "big") for word in words)
    assert framebuffer_stride(header) == 7680
    with pytest.raises(ValueError, match="version"):
        framebuffer_stride(bytes(100))


def test_files_are_locked_in_memory(tmp_path: Path) -> None:
    locked = LockedFile(tmp_path / "state", 8192)
    locked.map[0:2] = b"hi"
    assert (tmp_path / "state").read_bytes()[:2] == b"hi"
    status = Path("/proc/self/status").read_text()
    assert int(status.split("VmLck:")[1].split()[0]) >= 8


@pytest.mark.parametrize(
    ("lived_s", "failures", "delay_s"), [(3600, 5, 0), (60, 0, 0), (1, 0, 0.5), (1, 1, 1), (0, 4, 8), (0, 99, 60)]
)
def test_restarts_become_less_eager(lived_s: float, failures: int, delay_s: float) -> None:
    assert restart_delay_s(lived_s, failures) == delay_s


def test_a_program_that_ends_is_started_again_and_one_that_may_end_is_not(tmp_path: Path) -> None:
    now = [0.0]
    supervisor = Supervisor({"PATH": "/usr/bin:/bin"}, lambda: None, tmp_path, lambda: now[0])
    again = config.AppConfig(("sh", "-c", f"echo x >> {tmp_path}/again"))
    once = config.AppConfig(("sh", "-c", f"echo x >> {tmp_path}/once"), restart=False)
    supervisor.start(again)
    supervisor.start(once)
    supervisor.start(config.AppConfig(("/no/such/program",)))
    deadline = time.monotonic() + 10
    while supervisor._children and time.monotonic() < deadline:
        supervisor.reap()
        time.sleep(0.01)
    assert supervisor.run_due() == 0.5
    now[0] = 0.6
    assert supervisor.run_due() == 1.0  # the missing program failed again and waits longer
    assert [child.app for child in supervisor._children.values()] == [again]
    for child in supervisor._children.values():
        child.process.wait()
    assert (tmp_path / "again").read_text() == "x\nx\n"
    assert (tmp_path / "once").read_text() == "x\n"


@pytest.mark.parametrize("name", ["minimal", "desktop"])
def test_the_session_reads_what_the_builder_lays_in(name: str) -> None:
    facts = config.parse(json.loads(layin.recipe_json(load_recipe(name))))
    assert facts.resolution == (1280, 800)
    assert facts.window_manager.argv == load_recipe(name).window_manager
    assert len(facts.apps) == len(load_recipe(name).apps)


def test_environment_is_what_the_agent_expects() -> None:
    text = config.environment_file(config.user_environment(1000, {"A": "b=c"}))
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert lines["DISPLAY"] == ":0"
    assert lines["DBUS_SESSION_BUS_ADDRESS"] == "unix:path=/run/user/1000/bus"
    assert lines["A"] == "b=c"


def test_own_cgroup() -> None:
    top = Path("/sys/fs/cgroup/system.slice/desktop-session.service")
    assert own_cgroup("0::/system.slice/desktop-session.service\n") == top
    assert own_cgroup("0::/system.slice/desktop-session.service/display\n") == top


def test_what_is_started_later_is_started_once(tmp_path: Path) -> None:
    now = [0.0]
    supervisor = Supervisor({"PATH": "/usr/bin:/bin"}, lambda: None, tmp_path, lambda: now[0])
    clock = config.AppConfig(("sh", "-c", f"echo x >> {tmp_path}/clock"), restart=False)
    supervisor.start_later(clock, 1.5)
    supervisor.start_later(clock, 1.5)
    assert supervisor.run_due() == 1.5
    now[0] = 1.6
    assert supervisor.run_due() is None
    for child in supervisor._children.values():
        child.process.wait()
    assert (tmp_path / "clock").read_text() == "x\n"


def test_a_nameless_program_runs_but_cannot_learn_the_hosts_name() -> None:
    nameless = [sys.executable, str(TREE_DIRECTORY / "desktop/usr/local/lib/desktop-sandbox/nameless")]
    assert subprocess.run([*nameless, "echo", "fine"], capture_output=True, check=True).stdout == b"fine\n"
    asked = subprocess.run([*nameless, "uname", "-n"], capture_output=True, check=False)
    assert (asked.returncode, asked.stdout) == (1, b"")


RUNNING = TREE_DIRECTORY / "desktop/usr/local/lib/desktop-sandbox/chromium-running"


def ask_running(home: Path, *arguments: str) -> int:
    """The exit code of what asks a browser whose profile is in `home`."""
    command = [sys.executable, "-ISE", str(RUNNING), *arguments]
    return subprocess.run(command, cwd=home, env={"HOME": str(home)}, check=False).returncode


@pytest.mark.parametrize(("answer", "code"), [(b"ACK", 0), (b"SHUTDOWN", 1), (b"", 1)])
def test_a_browser_that_runs_is_given_what_to_open(tmp_path: Path, answer: bytes, code: int) -> None:
    """The message is Chromium's (chrome/browser/process_singleton_posix.cc): a peer reads it and answers."""
    profile, beside = tmp_path / ".config/chromium", tmp_path / "beside"
    profile.mkdir(parents=True)
    beside.mkdir()
    (profile / "SingletonCookie").symlink_to("123")
    (beside / "SingletonCookie").symlink_to("123")
    (profile / "SingletonSocket").symlink_to(beside / "SingletonSocket")
    shutil.copy(shutil.which("sleep"), tmp_path / "chromium")
    living = subprocess.Popen([tmp_path / "chromium", "60"])
    (profile / "SingletonLock").symlink_to(f"sb-template00000000-{living.pid}")
    heard: list[bytes] = []

    def browser(listener: socket.socket) -> None:
        with listener, listener.accept()[0] as peer:
            heard.append(b"".join(iter(lambda: peer.recv(4096), b"")))
            peer.sendall(answer)

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(beside / "SingletonSocket"))
    listener.listen()
    serving = threading.Thread(target=browser, args=(listener,))
    serving.start()
    assert ask_running(tmp_path, "--app=https://example.org") == 1, "what is unusual is the browser's own affair"
    assert ask_running(tmp_path, "--new-window", "file:///ä") == code
    serving.join()
    assert heard == [f"START\0{tmp_path}\0chromium\0--new-window\0file:///ä".encode()]
    assert ask_running(tmp_path) == 1, "it does not answer"
    assert len(list(profile.iterdir())) == 3, "but it runs, and keeps its lock"
    living.kill()
    living.wait()
    assert ask_running(tmp_path, "--incognito", "--kiosk") == 1, "it has ended"
    assert list(profile.iterdir()) == [], "and asks nobody whether another computer uses its profile"
    mine = f"{socket.gethostname()}-77"
    (profile / "SingletonLock").symlink_to(mine)
    assert ask_running(tmp_path) == 1
    assert os.readlink(profile / "SingletonLock") == mine, "whether its own process lives the browser knows"


def test_a_browser_of_another_profile_or_none_is_not_asked(tmp_path: Path) -> None:
    assert ask_running(tmp_path, "file:///x") == 1
    profile = tmp_path / ".config/chromium"
    profile.mkdir(parents=True)
    (profile / "SingletonCookie").symlink_to("123")
    (tmp_path / "SingletonCookie").symlink_to("456")
    (profile / "SingletonSocket").symlink_to(tmp_path / "SingletonSocket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "SingletonSocket"))
        listener.listen()
        assert ask_running(tmp_path, "file:///x") == 1
