"""A machine, or the media process, dies (SIGKILL) at a named step of what the server does; the server goes on.

Every sandbox runs, is paused, or is dead with its reason; every complete snapshot restores, no partial one is seen; no
process or file is left over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from desktop_sandbox import DesktopSandboxError, Host, Sandbox
from desktop_sandbox.sdk.models import SnapshotInfo
from desktop_sandbox.snapshots.faults import VARIABLE
from tests.conftest import RealServer, end_server, free_port, make_home
from tests.machine.support import eventually, gone
from tests.machine.victims import dies

pytestmark = pytest.mark.machine

# whose machine dies where, and what that sandbox is afterwards; one that ends while it is restored is started once more
STEPS = [
    ("create", "create.started", "running"),
    ("create", "create.kept", "dead"),
    ("checkpoint", "save.captured", "dead"),
    ("fork", "fork.saved", "dead"),
    ("rollback", "rollback.noted", "running"),
    ("pause", "save.captured", "paused"),
    ("pause", "pause.noted", "paused"),
    ("resume", "create.started", "running"),
    ("resume", "resume.made", "dead"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server in which things die where a file says."""
    running = RealServer(make_home(tmp_path_factory.mktemp("faulty") / "home"), free_port())
    yield running.start(**{VARIABLE: f"@{running.home / 'die-at'}"})
    end_server(running)


@pytest.fixture
def faulty(served: RealServer) -> Iterator[RealServer]:
    """It, for one test: what that leaves over is no other's."""
    yield served
    end_all(served)
    with Host.connect(**served.client()) as host:
        for found in reversed(host.snapshots()):
            host.delete_snapshot(found)


def end_all(server: RealServer) -> None:
    for one in Sandbox.list(state=("running", "paused"), **server.client()).sandboxes:
        Sandbox.connect(one.sandbox_id, **server.client()).kill()


def do(server: RealServer, step: str, sandbox: Sandbox, saved: SnapshotInfo) -> Sandbox:
    """Carry out a step, whatever becomes of it; the sandbox that it is about."""
    steps: dict[str, Callable[[], object]] = {
        "create": lambda: Sandbox.create("minimal", timeout=None, **server.client()),
        "checkpoint": sandbox.checkpoint,
        "fork": lambda: sandbox.fork(2, timeout=None),
        "rollback": lambda: sandbox.rollback(saved),
        "pause": sandbox.pause,
        "resume": sandbox.resume,
    }
    with suppress(DesktopSandboxError):
        made = steps[step]()
        return made if isinstance(made, Sandbox) else sandbox
    return sandbox


def read(sandbox: Sandbox) -> str:
    return sandbox.files.read("/home/user/kept")


@pytest.mark.parametrize(("step", "place", "becomes"), STEPS)
def test_a_machine_that_dies_at_a_step_takes_nothing_with_it(
    faulty: RealServer, step: str, place: str, becomes: str
) -> None:
    sandbox = Sandbox.create("minimal", timeout=None, **faulty.client())
    sandbox.files.write("/home/user/kept", "kept")
    saved = sandbox.checkpoint()
    if step == "resume":
        sandbox.pause()
    with dies(faulty, "qemu", place):
        about = do(faulty, step, sandbox, saved)

    eventually(lambda: about.get_info().state == becomes, seconds=20)
    info = about.get_info()
    assert info.state != "dead" or info.reason
    if info.state == "paused":
        about.resume()
    if info.state != "dead":
        assert about.commands.run("echo well").stdout == "well\n"
    in_order(faulty)
    end_all(faulty)
    with Host.connect(**faulty.client()) as host:
        for found in reversed(host.snapshots()):
            with Sandbox.create("minimal", snapshot=found, timeout=None, **faulty.client()) as restored:
                assert read(restored) == "kept"
            host.delete_snapshot(found)
    in_order(faulty)
    assert faulty.machines() == []
    eventually(lambda: zombies(faulty) == [], seconds=10)


def in_order(server: RealServer) -> None:
    """Machines run for what runs, and nothing else; what is on disk is known."""

    def look() -> bool:
        found = Sandbox.list(limit=1000, **server.client()).sandboxes
        running = {one.sandbox_id for one in found if one.state == "running"}
        assert {one.state for one in found} <= {"running", "paused", "dead"}
        assert all(one.reason for one in found if one.state == "dead")
        kept = {path.parent.name for path in (server.home / "sandboxes").glob("*/overlay.qcow2")}
        return {name for _, name in server.machines()} == running == kept

    eventually(look, seconds=20)
    with Host.connect(**server.client()) as host:
        known = {one.snapshot_id for one in host.snapshots()}
    assert {path.name for path in (server.home / "snapshots").iterdir()} == known


def zombies(server: RealServer) -> list[int]:
    """Processes that the server started, and whose end it has not seen."""
    assert server.process is not None
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    return [pid for task in tasks for pid in map(int, task.read_text().split()) if gone(pid)]


def test_a_media_process_that_dies_amid_a_step_disturbs_none(faulty: RealServer) -> None:
    with Sandbox.create("minimal", timeout=None, **faulty.client()) as sandbox:

        def recordings() -> list[str]:
            return sorted(one.state for one in sandbox.recordings.list())

        sandbox.files.write("/home/user/kept", "kept")
        sandbox.recordings.start()
        with dies(faulty, "streamer", "save.captured"):
            saved = sandbox.checkpoint()
        # the recording goes on in another file, by another media process
        eventually(lambda: recordings() == ["broken", "recording"], seconds=20)

        with dies(faulty, "streamer", "rollback.ended"):
            sandbox.rollback(saved)
        assert read(sandbox) == "kept"
        eventually(lambda: recordings() == ["broken", "broken", "recording"], seconds=20)
        assert sandbox.recordings.stop().state == "done"
    in_order(faulty)
