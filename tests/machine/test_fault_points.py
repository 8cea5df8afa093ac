"""The server dies (SIGKILL) at a named step of what it does to a sandbox; the next one finds all in order.

Every sandbox runs, is paused, or is dead with its reason; every complete snapshot restores, no partial one is seen; no
process or file is left over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from desktop_sandbox import DesktopSandboxError, Host, Sandbox
from desktop_sandbox.sdk.models import SnapshotInfo
from desktop_sandbox.snapshots.faults import VARIABLE
from tests.conftest import RealServer

pytestmark = [pytest.mark.machine, pytest.mark.timeout(400)]

SAVES = ("save.quiet", "save.captured", "save.files", "save.renamed", "save.recorded")
STEPS = {
    "create": ("create.started", "create.made", "create.kept"),
    "checkpoint": SAVES,
    "fork": (*SAVES, "fork.saved", "create.started:2", "create.kept:2", "fork.made"),
    "rollback": ("rollback.noted", "rollback.ended", "create.started", "resume.made", "resume.noted"),
    "pause": (*SAVES, "pause.noted", "pause.ended"),
    "resume": ("create.started", "resume.made", "resume.noted"),
}


def read(sandbox: Sandbox, path: str) -> str:
    return sandbox.commands.run(["cat", path]).stdout.strip()


def start(server: RealServer) -> None:
    """A server that dies where a file says."""
    server.start(**{VARIABLE: f"@{server.home / 'die-at'}"})


def die_in(server: RealServer, step: str, place: str, sandbox: Sandbox, saved: SnapshotInfo) -> None:
    """Have the server die at a place of a step; the next one runs afterwards."""
    steps: dict[str, Callable[[], object]] = {
        "create": lambda: Sandbox.create("minimal", timeout=None, **server.client()),
        "checkpoint": sandbox.checkpoint,
        "fork": lambda: sandbox.fork(3, timeout=None),
        "rollback": lambda: sandbox.rollback(saved),
        "pause": sandbox.pause,
        "resume": sandbox.resume,
    }
    (server.home / "die-at").write_text(place)
    with suppress(DesktopSandboxError):
        steps[step]()
    assert server.process is not None
    assert server.process.wait(60) == -9, f"{place} is not passed in {step}"
    (server.home / "die-at").unlink()
    start(server)


@pytest.mark.parametrize("step", STEPS)
def test_a_server_that_dies_at_a_step_loses_nothing(own_server: RealServer, step: str) -> None:
    start(own_server)
    sandbox = Sandbox.create("minimal", timeout=None, **own_server.client())
    sandbox.files.write("/home/user/kept", "kept")
    saved = sandbox.checkpoint()
    for place in STEPS[step]:
        if step == "resume":
            sandbox.pause()
        die_in(own_server, step, place, sandbox, saved)
        info = sandbox.get_info()
        assert info.state in ("running", "paused"), (place, info)
        if info.state == "paused":
            sandbox.resume()
        assert read(sandbox, "/home/user/kept") == "kept"
        found = Sandbox.list(**own_server.client()).sandboxes
        running = {one.sandbox_id for one in found if one.state == "running"}
        assert {name for _, name in own_server.machines()} == running, place
        assert all(one.reason for one in found if one.state == "dead"), place
        if step == "fork" and place != "fork.made":  # all its children, or none
            assert running == {sandbox.sandbox_id}, place
        for one in found:
            if one.sandbox_id != sandbox.sandbox_id:
                Sandbox.connect(one.sandbox_id, **own_server.client()).kill()
        with Host.connect(**own_server.client()) as host:
            known = {one.snapshot_id: one for one in host.snapshots()}
            assert {path.name for path in (own_server.home / "snapshots").iterdir()} == set(known), place
            for one in known.values():
                if one.snapshot_id != saved.snapshot_id and one.kind != "pause":
                    sandbox.rollback(one)
                    assert read(sandbox, "/home/user/kept") == "kept"
                    sandbox.rollback(saved)
                    host.delete_snapshot(one)
    sandbox.kill()
    assert own_server.machines() == []
