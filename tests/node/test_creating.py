"""Room for creates that come at once: each counts from when it found room until it counts as a machine. No machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import pytest

from desktop_sandbox.errors import CapacityError, MachineError
from desktop_sandbox.microvm.process import ProcessId
from desktop_sandbox.microvm.standing import Beginners
from desktop_sandbox.node import core
from desktop_sandbox.node.capacity import Figures, Limits
from desktop_sandbox.node.creating import Creating
from desktop_sandbox.node.demand import Demand
from desktop_sandbox.node.facts import SandboxSpec
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.store import Store

FREE_MIB = 4096


class Maker(Creating):
    """Makes sandboxes without machines; `fails`: each start ends in this error."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.store = store
        self.limits = limits
        self.config = SimpleNamespace(home=Path("/nowhere"))  # type: ignore[assignment]
        self.shop = SimpleNamespace(screen=lambda _: ((1280, 800), (1920, 1200)))  # type: ignore[assignment]
        self.networks = SimpleNamespace(has=lambda _: True)  # type: ignore[assignment]
        self.fails: Exception | None = None
        self.seen: list[int] = []
        """How many counted, as machines or on their way to be, whenever one had just been adopted."""
        self._live, self._parked, self._ending = {}, [], WeakValueDictionary()
        self._creating, self._last_create = 0, 0.0
        self._demand, self._beginners = Demand(0), Beginners()

    async def live(self, sandbox_id: str, *, resume: bool = True) -> LiveSandbox:
        raise AssertionError("no machine is asked for")

    async def _origin(self, spec: SandboxSpec) -> Any:
        await asyncio.sleep(0.01)

    async def _start(self, sandbox_id: str, *_: Any, **__: Any) -> Any:
        await asyncio.sleep(0.01)
        if self.fails is not None:
            raise self.fails
        process = SimpleNamespace(identity=ProcessId(1, 1, ""), pid=1)
        machine = SimpleNamespace(id=sandbox_id, process=process, directory="")
        return SimpleNamespace(machine=machine, has_just_begun=False)

    def _adopt(self, live: LiveSandbox) -> None:
        self._live[live.machine.id] = live
        asyncio.get_running_loop().call_soon(lambda: self.seen.append(len(self._live) + self._creating))

    def _clean(self, sandbox_id: str) -> None:
        """Nothing was made."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    found = await Store.open(tmp_path / "node.db")
    yield found
    await found.close()


@pytest.fixture(autouse=True)
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "read_figures", lambda _, sandboxes: Figures(FREE_MIB, 1 << 20, sandboxes))


async def many(maker: Maker, count: int) -> list[Any]:
    spec = SandboxSpec(template="minimal")
    return await asyncio.gather(*(maker.create(spec) for _ in range(count)), return_exceptions=True)


def refused(made: list[Any]) -> list[CapacityError]:
    return [each for each in made if isinstance(each, CapacityError)]


async def test_at_once_no_more_are_made_than_may_be(store: Store) -> None:
    maker = Maker(store, Limits(max_sandboxes=1))
    made = await many(maker, 5)
    assert len(refused(made)) == 4
    assert "1 are allowed" in str(refused(made)[0])
    assert len(maker._live) == 1
    assert maker._creating == 0


async def test_at_once_no_more_are_made_than_there_is_memory_for(store: Store) -> None:
    room = core.FIRST_MEMORY_MIB * 3
    maker = Maker(store, Limits(reserve_memory_mib=FREE_MIB - room))
    made = await many(maker, 6)
    assert len(refused(made)) == 3
    assert "memory is short" in str(refused(made)[0])


async def test_a_machine_counts_once(store: Store) -> None:
    maker = Maker(store, Limits(max_sandboxes=2))
    for count in (1, 2):
        await maker.create(SandboxSpec(template="minimal"))
        assert maker.seen[-1] == count
    assert maker._creating == 0


async def test_what_was_not_made_counts_no_more(store: Store) -> None:
    maker = Maker(store, Limits(max_sandboxes=2))
    maker.fails = MachineError("it ended")
    made = await many(maker, 3)
    assert [type(each) for each in made].count(MachineError) == 2
    assert maker._creating == 0
    with contextlib.suppress(MachineError):
        await maker.create(SandboxSpec(template="minimal"), key="k")
    maker.fails = None
    await maker.create(SandboxSpec(template="minimal"))
    await maker.create(SandboxSpec(template="minimal"), key="k")  # known already: nothing is made
    assert maker._creating == 0
