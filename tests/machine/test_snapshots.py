"""Checkpoint, fork, rollback, pause and resume on real machines, and what is left when the server is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from desktop_sandbox import ConflictError, DesktopSandboxError, Host, MachineError, NotFoundError, Sandbox
from tests.conftest import RealServer
from tests.machine.support import disk_files, eventually, gone, machine_pid

pytestmark = pytest.mark.machine

COUNT = "nohup sh -c 'n=0; while sleep 0.05; do n=$((n+1)); echo $n > /tmp/count; done' > /dev/null 2>&1 &"


def folder(server: RealServer, snapshot_id: str) -> Path:
    return server.home / "snapshots" / snapshot_id


def read(sandbox: Sandbox, path: str) -> str:
    return sandbox.commands.run(["cat", path]).stdout.strip()


def forget(*snapshots: str) -> None:
    with Host.connect() as host:
        for snapshot in snapshots:
            host.delete_snapshot(snapshot)


def test_a_rollback_takes_back_files_memory_and_screen(sandbox: Sandbox) -> None:
    sandbox.files.write("/home/user/state", "before")
    sandbox.commands.run("nohup sh -c 'echo memory-1; exec sleep 1000' > /tmp/note 2>&1 & echo $! > /tmp/pid")
    sandbox.set_screen_size(800, 600)
    saved = sandbox.checkpoint("before", description="a place to return to", tags=["t"])
    assert (saved.name, saved.kind, saved.parent, saved.resolution) == ("before", "checkpoint", None, (800, 600))
    assert saved.quiesced
    process = read(sandbox, "/tmp/pid")

    sandbox.files.write("/home/user/state", "after")
    sandbox.files.write("/home/user/new", bytes(5_000_000))
    sandbox.commands.run(f"kill {process}")
    sandbox.set_screen_size(1024, 768)
    pid = machine_pid(sandbox)

    info = sandbox.rollback(saved)
    assert (info.sandbox_id, info.state, info.snapshot) == (sandbox.sandbox_id, "running", saved.snapshot_id)
    assert info.resolution == sandbox.get_screen_size() == (800, 600)
    assert gone(pid)
    assert read(sandbox, "/home/user/state") == "before"
    assert not sandbox.files.exists("/home/user/new")
    assert sandbox.commands.run(f"kill -0 {process}", check=False).exit_code == 0
    sandbox.move_mouse(5, 6)
    assert sandbox.get_cursor_position() == (5, 6)
    shot = sandbox.capture("raw")
    assert (shot.width, shot.height) == (800, 600)

    # once more from there, and by its id
    sandbox.files.write("/home/user/state", "after again")
    sandbox.rollback(saved.snapshot_id)
    assert read(sandbox, "/home/user/state") == "before"
    sandbox.kill()
    forget(saved.snapshot_id)


def test_the_parent_goes_on_and_its_children_are_machines_of_their_own(
    sandbox: Sandbox, make_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox.commands.run(COUNT)
    eventually(lambda: sandbox.files.exists("/tmp/count"))
    children = sandbox.fork(3, timeout=120, metadata={"child": "yes"})
    try:
        before = int(read(sandbox, "/tmp/count"))
        eventually(lambda: int(read(sandbox, "/tmp/count") or 0) > before + 5)
        assert len(Sandbox.list(metadata={"child": "yes"}).sandboxes) == 3

        asked = "hostname; cat /etc/machine-id; head -c 16 /dev/urandom | od -An -tx1; cat /etc/hostname"
        answers = [one.commands.run(asked).stdout.splitlines() for one in (sandbox, *children)]
        for column in range(4):
            assert len({answer[column] for answer in answers}) == 4
        assert [answer[0] for answer in answers[1:]] == [child.sandbox_id for child in children]
        for child in children:
            # the program that was running goes on in each child, from where it was
            first = int(read(child, "/tmp/count"))
            eventually(lambda child=child, first=first: int(read(child, "/tmp/count") or 0) > first)  # type: ignore[misc]
            assert abs(float(child.commands.run("date +%s").stdout) - time.time()) < 10

        # nobody sees what another one writes
        for number, one in enumerate((sandbox, *children)):
            one.files.write("/home/user/mine", str(number))
        assert [read(one, "/home/user/mine") for one in (sandbox, *children)] == ["0", "1", "2", "3"]

        # a child is as good as its parent: it can be saved, too
        saved = children[0].checkpoint()
        assert saved.parent == children[0].get_info().snapshot or saved.parent is not None
        grandchild = make_sandbox(snapshot=saved)
        assert read(grandchild, "/home/user/mine") == "1"
        tree = grandchild.snapshots()
        assert [info.snapshot_id for info in tree][-1] == saved.snapshot_id
        assert {info.kind for info in tree} == {"fork", "checkpoint"}
        forget(*(info.snapshot_id for info in tree))
    finally:
        for child in children:
            child.kill()


def test_a_pause_leaves_no_process_and_a_resume_loses_nothing(sandbox: Sandbox, server: RealServer) -> None:
    sandbox.commands.run(COUNT)
    eventually(lambda: sandbox.files.exists("/tmp/count"))
    for _ in range(4):
        pid = machine_pid(sandbox)
        count = int(read(sandbox, "/tmp/count"))
        info = sandbox.pause()
        assert info.state == "paused"
        assert sandbox.pause().state == "paused"
        assert gone(pid)
        assert [name for _, name in server.machines() if name == sandbox.sandbox_id] == []
        with pytest.raises(ConflictError, match="paused") as caught:
            sandbox.left_click(1, 1)
        assert caught.value.hint == "resume it"
        with Host.connect() as host:
            resting = [found for found in host.snapshots() if found.kind == "pause"]
            assert [found.snapshot_id for found in resting] == [info.snapshot]
            with pytest.raises(ConflictError, match="paused at snapshot"):
                host.delete_snapshot(str(info.snapshot))
        assert sandbox.resume().state == "running"
        assert sandbox.resume().state == "running"
        assert disk_files(machine_pid(sandbox)) == ["disk.qcow2", "disk.raw", "overlay.qcow2"], "no deeper, ever"
        eventually(lambda count=count: int(read(sandbox, "/tmp/count") or 0) > count)  # type: ignore[misc]
        with Host.connect() as host:
            assert [found for found in host.snapshots() if found.kind == "pause"] == []
    sandbox.pause()
    name = sandbox.get_info().snapshot
    sandbox.kill()
    assert not folder(server, str(name)).exists()


def test_a_paused_sandbox_may_be_rolled_back_long_after_it_would_have_ended(
    make_sandbox: Callable[..., Sandbox], server: RealServer
) -> None:
    sandbox = make_sandbox(timeout=5)
    saved = sandbox.checkpoint()
    sandbox.files.write("/home/user/later", "x")
    paused = sandbox.pause()
    assert paused.expires_at is not None
    with Host.connect() as host:
        host.change_snapshot(str(paused.snapshot), name="kept")
    eventually(lambda: datetime.now(UTC) > paused.expires_at)
    info = sandbox.rollback(saved)
    assert info.state == "running"
    assert info.expires_at is not None
    assert info.expires_at > datetime.now(UTC)
    assert not sandbox.files.exists("/home/user/later")
    # a pause's snapshot that somebody gave a name is not the node's to remove
    again = Sandbox.create("minimal", snapshot=str(paused.snapshot))
    assert read(again, "/home/user/later") == "x"
    again.kill()
    sandbox.kill()
    forget(saved.snapshot_id, str(paused.snapshot))


def test_what_expires_may_be_paused_and_come_back_by_itself(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(timeout=3, on_timeout="pause", auto_resume=True)
    sandbox.files.write("/home/user/kept", "kept")
    eventually(lambda: sandbox.get_info().state == "paused")
    assert sandbox.screenshot("png")
    info = sandbox.get_info()
    assert info.state == "running"
    assert info.expires_at is not None
    sandbox.set_timeout(300)
    assert read(sandbox, "/home/user/kept") == "kept"


def test_children_that_all_act_at_once_go_on_all(sandbox: Sandbox) -> None:
    sandbox.move_mouse(1, 1)
    children = sandbox.fork(6)
    pids = [machine_pid(child) for child in children]  # they are asleep: this wakes none

    def stopped() -> list[int]:
        return [pid for pid in pids if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"]

    try:
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(lambda child: child.move_mouse(300, 200), children))
        eventually(lambda: stopped() == [])
        assert {child.get_cursor_position() for child in children} == {(300, 200)}
    finally:
        for child in children:
            child.kill()


def test_who_looks_and_acts_while_it_is_paused_and_rolled_back_has_it_all_the_time(
    make_sandbox: Callable[..., Sandbox],
) -> None:
    sandbox = make_sandbox(auto_resume=True)
    saved = sandbox.checkpoint()
    seen: list[object] = []
    done_there: list[object] = []
    done = threading.Event()

    def again_and_again(ask: Callable[[], object], got: list[object]) -> None:
        while not done.is_set():
            try:
                got.append(ask())
            except DesktopSandboxError as error:
                got.append(error)

    looks = threading.Thread(target=again_and_again, args=[lambda: sandbox.screenshot("jpeg"), seen])
    acts = threading.Thread(target=again_and_again, args=[lambda: sandbox.move_mouse(300, 200), done_there])
    looks.start()
    acts.start()
    try:
        for _ in range(4):
            before = len(seen), len(done_there)
            sandbox.pause()
            eventually(lambda before=before: len(seen) > before[0] and len(done_there) > before[1])
            sandbox.rollback(saved)
    finally:
        done.set()
        looks.join()
        acts.join()
    assert [error for error in seen if isinstance(error, Exception)] == []
    broken_off = [error for error in done_there if isinstance(error, Exception)]
    assert len(broken_off) <= 4, "one that a rollback came in the midst of may have been done or not"
    assert all(isinstance(error, ConflictError) and "meanwhile" in str(error) for error in broken_off), broken_off


def test_a_damaged_snapshot_is_refused_and_harms_nobody(sandbox: Sandbox, server: RealServer) -> None:
    saved = sandbox.checkpoint()
    for name in ("delta.bin", "state.bin", "disk.qcow2"):
        path = folder(server, saved.snapshot_id) / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(MachineError, match="damaged"):
            sandbox.rollback(saved)
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(MachineError):
            Sandbox.create("minimal", snapshot=saved)
        path.write_bytes(whole)
    manifest = folder(server, saved.snapshot_id) / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text[:100])
    with pytest.raises(MachineError, match="manifest"):
        sandbox.rollback(saved)
    manifest.write_text(text.replace('"stopped_ms": ', '"stopped_ms": 1'))
    with pytest.raises(MachineError, match="manifest is damaged"):
        sandbox.rollback(saved)
    data = json.loads(text)
    del data["digest"]
    data["fit"]["qemu"] = "other"
    manifest.write_text(json.dumps(data))
    with pytest.raises(MachineError, match="QEMU build"):
        sandbox.rollback(saved)
    manifest.unlink()
    with pytest.raises(NotFoundError):
        sandbox.rollback(saved)
    manifest.write_text(text)
    assert sandbox.commands.run("echo fine").stdout == "fine\n"
    sandbox.rollback(saved)
    forget(saved.snapshot_id)
    with pytest.raises(NotFoundError):
        sandbox.rollback(saved)


def test_no_descriptor_of_a_parent_reaches_into_its_snapshots(sandbox: Sandbox, server: RealServer) -> None:
    saved = sandbox.checkpoint()
    pid = machine_pid(sandbox)
    inodes = {path.stat().st_ino for path in folder(server, saved.snapshot_id).iterdir()}
    held = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            held.add(os.stat(entry).st_ino)
    assert not inodes & held
    assert folder(server, saved.snapshot_id).stat().st_mode & 0o077 == 0
    forget(saved.snapshot_id)


@pytest.mark.parametrize("step", ["pause", "resume", "rollback", "checkpoint", "fork"])
def test_a_killed_server_loses_no_sandbox(own_server: RealServer, step: str) -> None:
    own_server.start()
    sandbox = Sandbox.create("minimal", timeout=None, **own_server.client())
    sandbox.files.write("/home/user/kept", "kept")
    saved = sandbox.checkpoint()
    steps: dict[str, Callable[[], object]] = {
        "pause": sandbox.pause,
        "resume": sandbox.resume,
        "rollback": lambda: sandbox.rollback(saved),
        "checkpoint": sandbox.checkpoint,
        "fork": lambda: sandbox.fork(2),
    }
    for number in range(4):
        if step == "resume":
            sandbox.pause()
        with ThreadPoolExecutor(1) as thread:
            doing = thread.submit(lambda: _tolerant(steps[step]))
            time.sleep(0.02 + 0.075 * number)  # somewhere in the middle; where, does not matter
            own_server.kill()
            own_server.start()
            doing.result()
        info = sandbox.get_info()
        assert info.state in ("running", "paused"), info
        if info.state == "paused":
            sandbox.resume()
        assert read(sandbox, "/home/user/kept") == "kept"
        alive = Sandbox.list(state=("running", "paused"), **own_server.client()).sandboxes
        names = {name for _, name in own_server.machines()}
        assert names == {found.sandbox_id for found in alive if found.state == "running"}
        for found in alive:
            if found.sandbox_id != sandbox.sandbox_id:
                Sandbox.connect(found.sandbox_id, **own_server.client()).kill()
    known = {info.snapshot_id for info in _host(own_server).snapshots()}
    on_disk = {path.name for path in (own_server.home / "snapshots").iterdir()}
    assert on_disk == known
    for info in _host(own_server).snapshots():
        if info.kind != "pause":
            sandbox.rollback(info)
            assert read(sandbox, "/home/user/kept") == "kept"
    sandbox.kill()


def _tolerant(step: Callable[[], object]) -> None:
    with suppress(DesktopSandboxError):
        step()


def _host(server: RealServer) -> Host:
    return Host.connect(**server.client())


def test_a_machine_that_dies_in_a_checkpoint_takes_nothing_with_it(sandbox: Sandbox, server: RealServer) -> None:
    before = set((server.home / "snapshots").iterdir()) if (server.home / "snapshots").exists() else set()
    pid = machine_pid(sandbox)
    with ThreadPoolExecutor(1) as thread:
        doing = thread.submit(lambda: _tolerant(sandbox.checkpoint))
        time.sleep(0.03)
        os.kill(pid, signal.SIGKILL)
        doing.result()
    eventually(lambda: sandbox.get_info().state == "dead")
    left = set((server.home / "snapshots").iterdir()) - before
    with Host.connect() as host:
        assert {path.name for path in left} <= {info.snapshot_id for info in host.snapshots()}
        for path in left:
            host.delete_snapshot(path.name)


def test_a_checkpoint_amid_input_and_output_can_be_restored(sandbox: Sandbox) -> None:
    """QEMU lays what a port is sent into guest memory while the machine stands still, too."""
    stop = threading.Event()

    def chatter() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with suppress(DesktopSandboxError):
                sandbox.commands.run(f"head -c 300000 /dev/urandom | base64; echo {number}", timeout=20)

    def wiggle() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with suppress(DesktopSandboxError):
                sandbox.files.write("/tmp/noise", bytes(200_000))
                sandbox.get_cursor_position()

    with ThreadPoolExecutor(2) as threads:
        threads.submit(chatter)
        threads.submit(wiggle)
        try:
            saved = [sandbox.checkpoint() for _ in range(6)]
        finally:
            stop.set()
    for snapshot in saved:
        sandbox.rollback(snapshot)
        assert sandbox.commands.run("echo here").stdout == "here\n"
        sandbox.move_mouse(7, 8)
        assert sandbox.get_cursor_position() == (7, 8)
    forget(*(snapshot.snapshot_id for snapshot in saved))


def test_what_is_as_in_the_template_is_not_saved(sandbox: Sandbox) -> None:
    before = sandbox.checkpoint()
    sandbox.commands.run("head -c 60000000 /dev/zero > /dev/shm/zeros")
    after = sandbox.checkpoint()
    assert after.size_bytes - before.size_bytes < 30_000_000
    sandbox.commands.run("yes | head -c 60000000 > /dev/shm/zeros")
    sandbox.rollback(after)
    assert (
        sandbox.commands.run("tr -d '\\0' < /dev/shm/zeros | wc -c; wc -c < /dev/shm/zeros").stdout == "0\n60000000\n"
    )
