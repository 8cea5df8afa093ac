"""The server's death (SIGKILL) ends no desktop and leaves no orphan, whatever it was doing."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from contextlib import suppress

from desktop_sandbox import DesktopSandboxError, Sandbox
from desktop_sandbox.sdk.models import SandboxInfo
from tests.conftest import RealServer
from tests.machine.support import eventually, gone, machine_pid

COUNT = "nohup sh -c 'n=0; while sleep 0.1; do n=$((n+1)); echo $n > /tmp/count; done' > /dev/null 2>&1 &"


def test_running_desktops_go_on_and_are_found_again(own_server: RealServer) -> None:
    own_server.start()
    sandbox = Sandbox.create("minimal", metadata={"kept": "yes"}, **own_server.client())
    other = Sandbox.create("minimal", **own_server.client())
    other_pid = machine_pid(other)
    sandbox.commands.run(COUNT)
    sandbox.set_screen_size(900, 700)
    pid = machine_pid(sandbox)
    before = int(eventually(lambda: sandbox.files.exists("/tmp/count") and sandbox.files.read("/tmp/count")))

    for _ in range(2):
        own_server.kill()
        assert not gone(pid)
        own_server.start()
        assert machine_pid(sandbox) == pid
        assert eventually(lambda: int(sandbox.files.read("/tmp/count") or 0) > before)
        assert sandbox.get_screen_size() == (900, 700)
        shot = sandbox.capture("raw")
        assert (shot.width, shot.height) == (900, 700)
        sandbox.move_mouse(11, 12)
        assert sandbox.get_cursor_position() == (11, 12)
    found = Sandbox.list(metadata={"kept": "yes"}, **own_server.client()).sandboxes
    assert [info.sandbox_id for info in found] == [sandbox.sandbox_id]

    # one dies while no server runs: the next server says so
    own_server.kill()
    subprocess.run(["kill", "-9", str(other_pid)], check=True)
    own_server.start()
    info = other.get_info()
    assert info.state == "dead"
    assert "while no server ran" in str(info.reason)

    # an orderly end leaves it running, too; and a kill after an adoption is as thorough
    own_server.stop()
    assert not gone(pid)
    own_server.start()
    sandbox.kill()
    assert gone(pid)
    assert [found for found, _ in own_server.machines()] == []


def create_quietly(server: RealServer) -> None:
    with suppress(DesktopSandboxError):
        Sandbox.create("minimal", **server.client()).close()


def test_killed_in_the_middle_of_creates(own_server: RealServer) -> None:
    chance = random.Random(5)
    own_server.start()
    create_quietly(own_server)
    for _ in range(4):
        callers = [threading.Thread(target=create_quietly, args=(own_server,)) for _ in range(3)]
        for caller in callers:
            caller.start()
        time.sleep(chance.uniform(0, 0.4))
        own_server.kill()
        own_server.start()
        # the callers ask again with the same key, and are answered by the new server
        for caller in callers:
            caller.join(120)
            assert not caller.is_alive()

    everything = all_sandboxes(own_server)
    assert {info.state for info in everything} <= {"running", "dead"}
    assert all(info.reason for info in everything if info.state == "dead")
    running = {info.sandbox_id for info in everything if info.state == "running"}
    assert {machine for _, machine in own_server.machines()} == running
    for sandbox_id in running:
        with Sandbox.connect(sandbox_id, **own_server.client()) as sandbox:
            assert sandbox.commands.run("echo well").stdout == "well\n"
    assert eventually(lambda: not own_server.machines())
    known = {info.sandbox_id for info in all_sandboxes(own_server)}
    assert {path.name for path in (own_server.home / "sandboxes").iterdir()} <= known
    assert not list((own_server.home / "sandboxes").glob("*/overlay.qcow2"))


def all_sandboxes(server: RealServer) -> list[SandboxInfo]:
    return list(Sandbox.list(limit=1000, **server.client()).sandboxes)


def test_a_second_server_of_the_same_home_is_refused(own_server: RealServer) -> None:
    own_server.start()
    command = [sys.executable, "-m", "desktop_sandbox.cli", "serve", "--bind", "127.0.0.1:0"]
    second = subprocess.run(command, env=own_server.env, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode != 0
    assert "another server uses" in second.stderr
    assert "DESKTOP_SANDBOX_HOME" in second.stderr
    assert "Traceback" not in second.stderr
    assert Sandbox.list(**own_server.client()).sandboxes == []
