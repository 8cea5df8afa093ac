"""A snapshot that becomes a template: desktops begin from it, it needs nothing below it, and nobody can change it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from desktop_sandbox import ConflictError, DesktopSandboxError, Host, MachineError, NotFoundError, Sandbox
from desktop_sandbox.errors import SnapshotMismatchError
from desktop_sandbox.snapshots.faults import VARIABLE
from tests.conftest import RealServer, own_templates
from tests.machine.support import descriptors, eventually, machine_pid

pytestmark = [pytest.mark.machine, pytest.mark.timeout(400)]


@pytest.fixture
def promoting(own_server: RealServer) -> RealServer:
    """A server whose templates are its own, running."""
    own_templates(own_server.home)
    return own_server


@pytest.fixture
def host(promoting: RealServer) -> Iterator[Host]:
    promoting.start(DESKTOP_SANDBOX_FREEZE_AFTER="0")
    with Host.connect(**promoting.client()) as connected:
        yield connected


def create(server: RealServer, template: str = "minimal", **options: object) -> Sandbox:
    return Sandbox.create(template, timeout=None, **options, **server.client())


def read(sandbox: Sandbox, path: str) -> str:
    return sandbox.commands.run(["cat", path]).stdout.strip()


def folder(server: RealServer, name: str) -> Path:
    (found,) = (server.home / "templates").glob(f"{name}-*")
    return found


def identity(sandbox: Sandbox) -> tuple[str, ...]:
    asked = "cat /etc/machine-id /etc/hostname; od -An -tx8 -N8 /dev/urandom"
    return tuple(sandbox.commands.run(asked, user="root").stdout.split())


def test_desktops_begin_from_a_promoted_snapshot(promoting: RealServer, host: Host) -> None:
    first = create(promoting)
    first.set_screen_size(800, 600)
    first.files.write("/home/user/login", "secret")
    first.commands.run("echo tmp > /dev/shm/in-memory; nohup sleep 100000 > /dev/null 2>&1 & echo $! > /tmp/pid")
    saved = first.checkpoint("logged in")
    made = host.promote_snapshot(saved, "logged-in")
    assert (made.state, made.promoted_from, made.resolution) == ("ready", saved.snapshot_id, (800, 600))
    with pytest.raises(ConflictError, match="already"):
        host.promote_snapshot(saved, "logged-in")
    with pytest.raises(ConflictError, match="recipe"):
        host.promote_snapshot(saved, "minimal")

    # it needs neither the snapshot nor whom that was taken of
    host.delete_snapshot(saved)
    first.kill()
    ones = [create(promoting, "logged-in") for _ in range(3)]
    for one in ones:
        assert one.get_screen_size() == (800, 600)
        assert read(one, "/home/user/login") == "secret"
        assert read(one, "/dev/shm/in-memory") == "tmp"
        assert one.commands.run("kill -0 $(cat /tmp/pid)", check=False).exit_code == 0
        one.move_mouse(5, 6)
        assert one.get_cursor_position() == (5, 6)
        assert one.capture("raw").width == 800
    assert len({part for one in ones for part in identity(one)}) == 9
    assert [read(one, "/etc/hostname") for one in ones] == [one.sandbox_id for one in ones]
    with pytest.raises(ConflictError, match="in use"):
        host.remove_template("logged-in")

    # nobody's writes reach it, through whatever descriptor
    ones[0].files.write("/home/user/login", "changed")
    ones[0].commands.run("sync; echo changed > /dev/shm/in-memory")
    held = set()
    for entry in Path(f"/proc/{machine_pid(ones[0])}/fd").iterdir():
        with suppress(OSError):
            flags = (entry.parent.parent / "fdinfo" / entry.name).read_text().split("flags:")[1].split()[0]
            if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY and "memfd" not in os.readlink(entry):
                held.add(os.stat(entry).st_ino)
    assert not held & {path.stat().st_ino for path in folder(promoting, "logged-in").iterdir()}
    assert read(create(promoting, "logged-in"), "/home/user/login") == "secret"

    # what begins from it is as good as any: saved, forked, rolled back, paused, promoted once more
    at = ones[0].checkpoint()
    (child,) = ones[0].fork(1, timeout=None)
    assert read(child, "/home/user/login") == "changed"
    ones[1].pause()
    with pytest.raises(ConflictError):
        host.remove_template("logged-in")
    ones[1].resume()
    assert read(ones[1], "/home/user/login") == "secret"
    host.promote_snapshot(at, "second")
    ones[0].rollback(at)
    second = create(promoting, "second", resolution=(1024, 768))
    assert second.get_screen_size() == (1024, 768)
    assert read(second, "/home/user/login") == "changed"
    assert read(second, "/dev/shm/in-memory") == "changed"
    assert any("guest-ram" in name for name in descriptors(machine_pid(second)).values())

    # another server of this HOME finds it again
    promoting.kill()
    promoting.start()
    assert read(create(promoting, "second"), "/home/user/login") == "changed"
    for info in Sandbox.list(**promoting.client()).sandboxes:
        Sandbox.connect(info.sandbox_id, **promoting.client()).kill()
    with pytest.raises(ConflictError, match="snapshots need template logged-in"):
        host.remove_template("logged-in")
    for info in host.snapshots():
        host.delete_snapshot(info)
    for name in ("second", "logged-in"):
        host.remove_template(name)
        assert list((promoting.home / "templates").glob(f"*{name}*")) == []
        with pytest.raises(NotFoundError):
            create(promoting, name)
    assert create(promoting).commands.run("echo fine").stdout == "fine\n"


def test_the_warm_pool_keeps_promoted_templates_ready(promoting: RealServer) -> None:
    promoting.start(DESKTOP_SANDBOX_WARM_POOL="1", DESKTOP_SANDBOX_FREEZE_AFTER="0")
    with Host.connect(**promoting.client()) as host, create(promoting) as first:
        first.files.write("/home/user/login", "secret")
        host.promote_snapshot(first.checkpoint(), "logged-in")
        with create(promoting, "logged-in"):
            pass

        def ready() -> bool:
            return bool(host.usage()["sandboxes"]["ready"] == 1)

        def comes_from_the_pool() -> bool:
            eventually(ready, seconds=120, every_s=0.3)  # another template's may still be it
            with create(promoting, "logged-in") as warm:
                assert read(warm, "/home/user/login") == "secret"
                return "pool" in warm.why()["events"][0]["data"]["stages_ms"]

        eventually(comes_from_the_pool, seconds=240, every_s=3)
        eventually(ready, seconds=120, every_s=0.3)
        host.remove_template("logged-in")  # what nobody has asked for is no use of it
        assert [info.name for info in host.templates() if info.promoted_from] == []
        assert first.commands.run("echo fine").stdout == "fine\n"


def test_what_is_damaged_or_does_not_fit_is_refused(promoting: RealServer, host: Host) -> None:
    first = create(promoting)
    saved = first.checkpoint()
    delta = promoting.home / "snapshots" / saved.snapshot_id / "delta.bin"
    whole = delta.read_bytes()
    delta.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(MachineError, match="damaged"):
        host.promote_snapshot(saved, "broken")
    delta.write_bytes(whole)
    assert [info.name for info in host.templates() if info.promoted_from] == []
    host.promote_snapshot(saved, "old")
    manifest = folder(promoting, "old") / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"qemu": "', '"qemu": "other-'))
    promoting.kill()
    promoting.start()
    (info,) = [info for info in host.templates() if info.name == "old"]
    assert info.state == "stale"
    assert "QEMU build" in str(info.why)
    with pytest.raises(SnapshotMismatchError, match="QEMU build") as caught:
        create(promoting, "old")
    assert "minimal" in str(caught.value.hint)
    manifest.write_text(text)
    ram = folder(promoting, "old") / "ram.bin"
    file = os.open(ram, os.O_RDWR)
    place = os.lseek(file, 1 << 20, os.SEEK_DATA)
    os.pwrite(file, bytes([os.pread(file, 1, place)[0] ^ 1]), place)
    os.close(file)
    promoting.kill()
    with suppress(FileNotFoundError):
        (promoting.home / "templates" / ".keeper").unlink()  # another keeper knows nothing: it is read from disk
    promoting.start()
    with pytest.raises(MachineError, match="damaged"):
        create(promoting, "old")
    assert first.commands.run("echo fine").stdout == "fine\n"


@pytest.mark.parametrize("place", ["memory", "files", "manifest", "renamed"])
def test_a_server_that_dies_while_it_promotes_leaves_all_or_nothing(promoting: RealServer, place: str) -> None:
    promoting.start()
    sandbox = create(promoting)
    sandbox.files.write("/home/user/login", "secret")
    saved = sandbox.checkpoint()
    promoting.kill()
    promoting.start(**{VARIABLE: f"promote.{place}"})
    with Host.connect(**promoting.client()) as host:
        with pytest.raises(DesktopSandboxError):
            host.promote_snapshot(saved, "logged-in")
        assert promoting.process is not None
        assert promoting.process.wait(30) == -9
        promoting.start()
        whole = place == "renamed"
        found = {info.name for info in host.templates() if info.promoted_from}
        assert found == ({"logged-in"} if whole else set())
        left = [path.name for path in (promoting.home / "templates").iterdir() if path.name.startswith(".building")]
        assert left == []
        if not whole:
            host.promote_snapshot(saved, "logged-in")
        with create(promoting, "logged-in") as begun:
            assert read(begun, "/home/user/login") == "secret"
        assert read(sandbox, "/home/user/login") == "secret"
        assert json.loads((folder(promoting, "logged-in") / "manifest.json").read_text())["name"] == "logged-in"
