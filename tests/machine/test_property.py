"""Random operations on real desktops against a model: files, a counter in memory and the screen are what they must be.

The same operations in each run; DESKTOP_SANDBOX_PROPERTY_RUNS=50 tries so many others, and shrinks what fails.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from desktop_sandbox import DesktopSandboxError, Host, NotFoundError, Sandbox
from tests.conftest import RealServer
from tests.machine.support import eventually

pytestmark = pytest.mark.machine

RUNS = int(os.environ.get("DESKTOP_SANDBOX_PROPERTY_RUNS", "0"))
STEPS = 14
MOST_ALIVE = 3
FILE = "/home/user/file"
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "black": (0, 0, 0)}
# the number is in the memory of a shell, and nowhere else
COUNTER = (
    "mkfifo /tmp/ask /tmp/say; nohup sh -c 'n=0; while true; do read what < /tmp/ask;"
    ' [ "$what" = add ] && n=$((n+1)); echo $n > /tmp/say; done\' > /dev/null 2>&1 &'
)


@dataclass(frozen=True)
class Model:
    """What a desktop must hold."""

    file: str = ""
    count: int = 0
    colour: str = "black"
    paused: bool = False
    at: str | None = None


class Desktops(RuleBasedStateMachine):
    """Desktops and their models, by sandbox id; snapshots and the models that they hold."""

    def __init__(self) -> None:
        super().__init__()
        self.real: dict[str, Sandbox] = {}
        self.models: dict[str, Model] = {}
        self.saved: dict[str, Model] = {}
        self.forks: set[str] = set()

    @initialize()
    def begin(self) -> None:
        sandbox = Sandbox.create("minimal", timeout=900)
        self.real[sandbox.sandbox_id] = sandbox
        self.models[sandbox.sandbox_id] = Model()
        sandbox.files.write(FILE, "")
        sandbox.commands.run(COUNTER)
        sandbox.commands.run("DISPLAY=:0 xsetroot -solid black")
        self.check(sandbox)

    def one(self, number: int, *, paused: bool = False) -> Sandbox:
        """One of those that run (or are paused), which one by number; made to run where none does."""
        fit = [self.real[name] for name, model in self.models.items() if model.paused is paused]
        if fit or paused:
            return fit[number % len(fit)]
        sandbox = self.real[list(self.models)[number % len(self.models)]]
        sandbox.resume()
        self.learn(sandbox, paused=False)
        return sandbox

    def learn(self, sandbox: Sandbox, **changes: object) -> None:
        self.models[sandbox.sandbox_id] = replace(self.models[sandbox.sandbox_id], **changes)  # type: ignore[arg-type]

    def check(self, sandbox: Sandbox) -> None:
        """A running desktop is as its model."""
        model = self.models[sandbox.sandbox_id]
        assert sandbox.files.read(FILE) == model.file
        assert ask(sandbox, "get") == model.count
        eventually(lambda: corner(sandbox) == COLOURS[model.colour], seconds=20)
        assert sandbox.get_info().snapshot == model.at

    @rule(number=st.integers(0, 9), text=st.text("abcé\n", max_size=8))
    def write(self, number: int, text: str) -> None:
        sandbox = self.one(number)
        sandbox.files.write(FILE, text)
        self.learn(sandbox, file=text)

    @rule(number=st.integers(0, 9))
    def count(self, number: int) -> None:
        sandbox = self.one(number)
        self.learn(sandbox, count=self.models[sandbox.sandbox_id].count + 1)
        assert ask(sandbox, "add") == self.models[sandbox.sandbox_id].count

    @rule(number=st.integers(0, 9), colour=st.sampled_from(sorted(COLOURS)))
    def paint(self, number: int, colour: str) -> None:
        sandbox = self.one(number)
        sandbox.commands.run(f"DISPLAY=:0 xsetroot -solid {colour}")
        self.learn(sandbox, colour=colour)
        self.check(sandbox)

    @rule(number=st.integers(0, 9))
    def checkpoint(self, number: int) -> None:
        sandbox = self.one(number)
        model = self.models[sandbox.sandbox_id]
        made = sandbox.checkpoint()
        assert made.parent == model.at
        self.saved[made.snapshot_id] = replace(model, at=made.snapshot_id)
        self.learn(sandbox, at=made.snapshot_id)
        self.check(sandbox)

    @precondition(lambda self: len(self.real) < MOST_ALIVE)
    @rule(number=st.integers(0, 9))
    def fork(self, number: int) -> None:
        sandbox = self.one(number)
        (child,) = sandbox.fork(1, timeout=900)
        at = child.get_info().snapshot
        assert at is not None
        self.forks.add(at)
        self.learn(sandbox, at=at)
        self.real[child.sandbox_id] = child
        self.models[child.sandbox_id] = self.models[sandbox.sandbox_id]
        self.check(child)
        self.check(sandbox)

    @precondition(lambda self: self.saved)
    @rule(number=st.integers(0, 9), which=st.integers(0, 9))
    def rollback(self, number: int, which: int) -> None:
        sandbox = self.real[list(self.models)[number % len(self.models)]]
        snapshot = list(self.saved)[which % len(self.saved)]
        sandbox.rollback(snapshot)
        self.models[sandbox.sandbox_id] = self.saved[snapshot]
        self.check(sandbox)

    @rule(number=st.integers(0, 9))
    def pause(self, number: int) -> None:
        sandbox = self.one(number)
        sandbox.pause()
        self.learn(sandbox, paused=True)
        assert sandbox.get_info().state == "paused"

    @precondition(lambda self: any(model.paused for model in self.models.values()))
    @rule(number=st.integers(0, 9))
    def resume(self, number: int) -> None:
        sandbox = self.one(number, paused=True)
        sandbox.resume()
        # the pause's own snapshot goes with it: it stands where it stood
        self.learn(sandbox, paused=False)
        self.check(sandbox)

    @precondition(lambda self: len(self.real) > 1)
    @rule(number=st.integers(0, 9))
    def kill(self, number: int) -> None:
        name = list(self.models)[number % len(self.models)]
        self.real.pop(name).kill()
        del self.models[name]
        with pytest.raises(NotFoundError):
            Sandbox.connect(name)

    def teardown(self) -> None:
        try:
            for name, sandbox in self.real.items():
                if self.models[name].paused:
                    sandbox.resume()
                self.check(sandbox)
        finally:
            for sandbox in self.real.values():
                with suppress(DesktopSandboxError):
                    sandbox.kill()
            with Host.connect() as host:
                for snapshot in {*self.saved, *self.forks}:
                    with suppress(NotFoundError):
                        host.delete_snapshot(snapshot)


def ask(sandbox: Sandbox, what: str) -> int:
    """What the counter says."""
    return int(sandbox.commands.run(f"echo {what} > /tmp/ask; cat /tmp/say", timeout=30).stdout)


def corner(sandbox: Sandbox) -> tuple[int, ...]:
    """The colour of the screen's lower left corner, where no window is."""
    return tuple(sandbox.screenshot("raw", region=(2, 790, 1, 1), cursor=False))


def test_whatever_is_done_nothing_is_lost(server: RealServer) -> None:
    phases = [Phase.explicit, Phase.generate, *([Phase.shrink] if RUNS else [])]
    how = settings(
        max_examples=RUNS or 2,
        stateful_step_count=STEPS,
        derandomize=RUNS == 0,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    before = {name for _, name in server.machines()}
    run_state_machine_as_test(Desktops, settings=how)
    assert {name for _, name in server.machines()} <= before
