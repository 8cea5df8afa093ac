"""The ladder of fixtures for tests on real machines: a HOME of its own → a server → a sandbox.

Images and templates are shared with the user's HOME (immutable, built once); everything else is the test run's own.
A failed test leaves its sandbox's directory and last screen in test-artifacts/.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from desktop_sandbox import Sandbox
from desktop_sandbox.config import home_folder
from tests import preloaded
from tests.preloaded import PreloadedProcess

ARTIFACTS = Path(__file__).parent.parent / "test-artifacts"
PURE_TEST_S = 180
ALARM_AGAIN_S = 60.0
SESSION_END_S = 60.0
SHARED = ("images", "bases", "wheels", "templates", "images.lock", "accelerator.json")


def make_home(path: Path) -> Path:
    """A HOME for tests at `path`, with the images and templates of the user's own."""
    shared = home_folder()
    path.mkdir(parents=True, mode=0o700)
    for name in ("images", "bases", "wheels", "templates"):
        (shared / name).mkdir(parents=True, exist_ok=True)
    (shared / "images.lock").touch()
    for name in SHARED:
        if (shared / name).exists():
            (path / name).symlink_to(shared / name)
    return path


def own_templates(home: Path) -> Path:
    """Give a test's HOME a folder of templates of its own, with those of the user's in it: for tests that make some."""
    shared = (home / "templates").resolve()
    (home / "templates").unlink()
    (home / "templates").mkdir()
    for template in shared.iterdir():
        if not template.name.startswith("."):
            (home / "templates" / template.name).symlink_to(template)
    return home


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class RealServer:
    """`desktop-sandbox serve` as a process of its own."""

    home: Path
    port: int
    process: PreloadedProcess | subprocess.Popen[bytes] | None = None
    preloaded: bool = True
    """Else it starts where its caller is: a thread may be in a network of its own."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return (self.home / "api-key").read_text().strip()

    @property
    def env(self) -> dict[str, str]:
        """What a client of it has in its environment."""
        # another server's key (see the fixture `server`) is not this one's: each makes its own in its HOME
        env = {name: value for name, value in os.environ.items() if name != "DESKTOP_SANDBOX_API_KEY"}
        return {**env, "DESKTOP_SANDBOX_HOME": str(self.home), "DESKTOP_SANDBOX_URL": self.url}

    def start(self, **settings: str) -> RealServer:
        with (self.home / "server.log").open("ab") as log:
            program, env = "desktop_sandbox.cli", {**self.env, **settings}
            words = ["serve", "--bind", f"127.0.0.1:{self.port}"]
            if self.preloaded:
                self.process = preloaded.start(program, *words, env=env, output=log.fileno())
            else:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", program, *words], env=env, stdout=log, stderr=log
                )
        deadline = time.monotonic() + 30
        while True:
            with suppress(httpx.HTTPError):  # verify: certificates that nobody needs here take 20 ms of a core
                if httpx.get(f"{self.url}/healthz", verify=False).is_success:
                    return self
            assert self.process.poll() is None, (self.home / "server.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the server did not start within 30 s"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: as if the power of the server process alone went off."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """End it in order; its desktops run on."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def machines(self) -> list[tuple[int, str]]:
        """(pid, machine id) of all QEMU processes of this HOME (jails' outer processes as well)."""
        from desktop_sandbox.microvm.setup import find_hypervisor
        from desktop_sandbox.node.recovery import find_processes

        return list(find_processes(find_hypervisor(self.home).process_name("")))

    def client(self) -> dict[str, str]:
        """Keyword arguments that lead the SDK to this server."""
        return {"url": self.url, "api_key": self.key}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """The real server that most tests share; the SDK finds it through the environment."""
    home = make_home(tmp_path_factory.mktemp("real") / "home")
    running = RealServer(home, free_port()).start()
    before = {name: os.environ.get(name) for name in ("DESKTOP_SANDBOX_URL", "DESKTOP_SANDBOX_API_KEY")}
    os.environ["DESKTOP_SANDBOX_URL"] = running.url
    os.environ["DESKTOP_SANDBOX_API_KEY"] = running.key
    yield running
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    end_server(running)


def end_server(running: RealServer) -> None:
    """Stop a server and end what is left of its machines."""
    running.stop()
    for pid, _ in running.machines():
        with suppress(ProcessLookupError):
            os.kill(pid, 9)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RealServer]:
    """A server for one test alone, to be killed and started again; not started yet."""
    running = RealServer(make_home(tmp_path / "home"), free_port())
    yield running
    end_server(running)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs no machine does not keep a process waiting for as long as what does."""
    for item in items:
        needs_machine = item.get_closest_marker("machine") or item.get_closest_marker("desktop")
        if not needs_machine and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(PURE_TEST_S))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Each try of a test has the whole time, and is told again and again that it is over.

    pytest-timeout takes its alarm away when a try fails, and an event loop swallows what is raised in its callbacks.
    """
    item.stash.setdefault(_alarm, (signal.getitimer(signal.ITIMER_REAL)[0], signal.getsignal(signal.SIGALRM)))
    set_alarm(item)


def set_alarm(item: pytest.Item) -> None:
    """Have a test's whole time begin now."""
    limit_s, handler = item.stash[_alarm]
    if limit_s:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, limit_s, ALARM_AGAIN_S)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What all tests shared is ended by now; threads that do not end keep no process for ever."""
    if hasattr(session.config, "workerinput"):
        faulthandler.dump_traceback_later(SESSION_END_S, exit=True, file=sys.__stderr__)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when != "teardown":
        item.stash[_failed] = report.failed
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """A test that will be tried once more begins from nothing: what it shares with others may be what was spoiled."""
    if item.stash.get(_failed, False):
        set_alarm(item)
    tries = getattr(item, "execution_count", 0)
    if item.stash.get(_failed, False) and 0 < tries <= (item.config.getoption("reruns", 0) or 0):
        item.session._setupstate.teardown_exact(None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why the first try of a test failed, though the second did not: that is a fault, too."""
    for report in terminalreporter.stats.get("rerun", []):
        why = [line for line in report.longreprtext.splitlines() if line.startswith("E ")]
        said = " / ".join(why)[:600] or report.longreprtext[-600:]
        terminalreporter.write_line(f"first try of {report.nodeid}: {said}")


_failed = pytest.StashKey[bool]()
_alarm = pytest.StashKey[tuple[float, Any]]()


def keep_evidence(request: pytest.FixtureRequest, running: RealServer, sandbox: Sandbox) -> None:
    """Save a failed test's last screen, state and logs."""
    folder = ARTIFACTS / request.node.name.replace("/", "_")[:120]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with suppress(Exception):
        (folder / "screen.png").write_bytes(sandbox.screenshot())
    with suppress(Exception):
        (folder / "why.txt").write_text(str(sandbox.why()))
    for name in ("serial.log", "qemu.log", "command.txt"):
        with suppress(OSError):
            shutil.copy(running.home / "sandboxes" / sandbox.sandbox_id / name, folder)
    shutil.copy(running.home / "server.log", folder)


@pytest.fixture
def make_sandbox(server: RealServer, request: pytest.FixtureRequest) -> Iterator[Callable[..., Sandbox]]:
    """Make sandboxes that are ended after the test."""
    made: list[Sandbox] = []

    def make(template: str = "minimal", **options: object) -> Sandbox:
        made.append(Sandbox.create(template, **options))
        return made[-1]

    yield make
    for sandbox in made:
        if request.node.stash.get(_failed, False):
            keep_evidence(request, server, sandbox)
        with suppress(Exception):
            sandbox.kill()


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """A running `minimal` desktop of the test's own."""
    return make_sandbox("minimal")


@pytest.fixture
def desktop(make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """A running `desktop` desktop of the test's own: browser open, panel, menu."""
    return make_sandbox("desktop")
