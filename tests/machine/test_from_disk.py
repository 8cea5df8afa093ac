"""A paused sandbox whose QEMU was upgraded away: refused with the way out, and booted from its disk when asked to."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from desktop_sandbox import DesktopSandboxError, Host, MachineError, Sandbox
from desktop_sandbox.errors import SnapshotMismatchError
from desktop_sandbox.snapshots.faults import VARIABLE
from tests.conftest import RealServer
from tests.machine.support import machine_pid

# a boot under emulation on a busy host
pytestmark = [pytest.mark.machine, pytest.mark.timeout(400)]


def read(sandbox: Sandbox, path: str) -> str:
    return sandbox.commands.run(["cat", path], timeout=90).stdout.strip()


def upgrade(server: RealServer, sandbox: Sandbox) -> Path:
    """Have the sandbox's pause be of another QEMU; its manifest, to be changed back."""
    at = server.home / "snapshots" / str(sandbox.get_info().snapshot) / "manifest.json"
    manifest: dict[str, Any] = json.loads(at.read_text())
    del manifest["digest"]
    manifest["fit"]["qemu"] = "6.2.0/" + "0" * 16
    at.write_text(json.dumps(manifest))
    return at


def test_a_paused_sandbox_is_booted_from_its_disk(own_server: RealServer) -> None:
    own_server.start(DESKTOP_SANDBOX_FREEZE_AFTER="0")
    sandbox = Sandbox.create("minimal", timeout=None, auto_resume=True, **own_server.client())
    sandbox.set_screen_size(800, 600)
    sandbox.files.write("/home/user/kept", "kept")
    names = read(sandbox, "/etc/machine-id"), read(sandbox, "/etc/hostname")
    sandbox.commands.run("echo gone > /dev/shm/in-memory")
    sandbox.pause()
    manifest = upgrade(own_server, sandbox)

    # nothing happens by itself, and it is said what can be done
    for call in (sandbox.resume, lambda: sandbox.left_click(1, 1)):
        with pytest.raises(SnapshotMismatchError, match=r"QEMU build is .*6\.2\.0") as caught:
            call()
        assert f"resume --from-disk {sandbox.sandbox_id}" in str(caught.value.hint)
    assert sandbox.get_info().state == "paused"
    refused = [event for event in sandbox.why()["events"] if event["kind"] == "not-resumed"]
    assert len(refused) == 2
    assert "from-disk" in refused[0]["data"]["hint"]

    info = sandbox.resume(from_disk=True)
    assert (info.state, info.resolution) == ("running", (800, 600))
    (resumed,) = [event for event in sandbox.why()["events"] if event["kind"] == "resumed"]
    assert resumed["data"]["from_disk"] is True
    assert "QEMU build" in resumed["data"]["because"]
    assert read(sandbox, "/home/user/kept") == "kept"
    assert (read(sandbox, "/etc/machine-id"), read(sandbox, "/etc/hostname")) == names
    assert not sandbox.files.exists("/dev/shm/in-memory")
    assert sandbox.get_screen_size() == (800, 600)
    assert sandbox.capture("raw").width == 800
    sandbox.move_mouse(7, 8)
    assert sandbox.get_cursor_position() == (7, 8)
    assert manifest.is_file(), "the memory is still there for the QEMU it was made with"

    # it is as good as others: saved, rolled back, forked, paused, over a restart of the server, too
    sandbox.commands.run("echo anew > /dev/shm/in-memory; echo disk > /home/user/anew; sync", timeout=90)
    saved = sandbox.checkpoint()
    made = json.loads((own_server.home / "snapshots" / saved.snapshot_id / "manifest.json").read_text())
    assert made["booted"] is True
    assert "6.2.0" not in made["fit"]["qemu"]
    own_server.kill()
    own_server.start(DESKTOP_SANDBOX_FREEZE_AFTER="0")
    sandbox.commands.run("rm /dev/shm/in-memory", timeout=90)
    sandbox.rollback(saved)
    assert read(sandbox, "/dev/shm/in-memory") == "anew"
    (child,) = sandbox.fork(1, timeout=None)
    assert read(child, "/dev/shm/in-memory") == "anew"
    child.pause()
    child.resume()
    assert (read(child, "/dev/shm/in-memory"), read(child, "/home/user/anew")) == ("anew", "disk")
    child.kill()

    # one whose memory was damaged is rescued in the same way, one whose disk was is not
    sandbox.pause()
    folder = own_server.home / "snapshots" / str(sandbox.get_info().snapshot)
    (folder / "delta.bin").unlink()
    with pytest.raises(MachineError, match="delta") as lost:
        sandbox.resume()
    assert "--from-disk" in str(lost.value.hint)
    disk = folder / "disk.qcow2"
    whole = disk.read_bytes()
    disk.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(MachineError, match="damaged"):
        sandbox.resume(from_disk=True)
    assert sandbox.get_info().state == "paused"
    disk.write_bytes(whole)
    sandbox.resume(from_disk=True)
    assert read(sandbox, "/home/user/anew") == "disk"
    sandbox.kill()


def test_a_server_that_dies_while_it_boots_leaves_it_paused(own_server: RealServer) -> None:
    own_server.start()
    sandbox = Sandbox.create("minimal", timeout=None, **own_server.client())
    sandbox.files.write("/home/user/kept", "kept")
    sandbox.pause()
    upgrade(own_server, sandbox)
    for place in ("boot.disk", "boot.runs"):
        own_server.kill()
        own_server.start(**{VARIABLE: place})
        with suppress(DesktopSandboxError):
            sandbox.resume(from_disk=True)
        assert own_server.process is not None
        assert own_server.process.wait(60) == -9, place
        own_server.start()
        assert sandbox.get_info().state == "paused", place
        assert own_server.machines() == [], place
        with Host.connect(**own_server.client()) as host:
            assert [info.kind for info in host.snapshots()] == ["pause"], place
    sandbox.resume(from_disk=True)
    assert read(sandbox, "/home/user/kept") == "kept"
    assert machine_pid(sandbox)
    sandbox.kill()
