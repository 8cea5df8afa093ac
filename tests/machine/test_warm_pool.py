"""Desktops that stand ready: each its own machine, handed out once, given up for real requests, never left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from desktop_sandbox import CapacityError, Host, Sandbox
from desktop_sandbox.config import ServerConfig
from desktop_sandbox.node.facts import SandboxSpec
from desktop_sandbox.node.local import LocalNode
from tests.conftest import RealServer, make_home
from tests.machine.support import eventually

READY_S = 90


def ready(server: RealServer) -> int:
    with Host.connect(**server.client()) as host:
        return int(host.usage()["sandboxes"]["ready"])


def stages(sandbox: Sandbox) -> dict[str, float]:
    return dict(sandbox.why()["events"][0]["data"]["stages_ms"])


def facts(sandbox: Sandbox) -> tuple[str, str, str]:
    """Machine id, hostname and random bytes."""
    said = sandbox.commands.run("cat /etc/machine-id /etc/hostname; od -An -tx8 -N8 /dev/urandom", user="root")
    first, second, third = said.stdout.split()
    return first, second, third


def test_what_stands_ready_is_handed_out_once_and_is_a_machine_of_its_own(own_server: RealServer) -> None:
    own_server.start(DESKTOP_SANDBOX_WARM_POOL="2", DESKTOP_SANDBOX_FREEZE_AFTER="0")
    first = Sandbox.create("minimal", timeout=600, **own_server.client())
    assert "pool" not in stages(first)
    eventually(lambda: ready(own_server) >= 1, seconds=READY_S, every_s=0.3)
    second = Sandbox.create("minimal", timeout=600, **own_server.client())
    assert "pool" in stages(second)
    second.left_click(20, 20)
    assert second.get_cursor_position() == (20, 20)
    assert abs(float(second.commands.run("date +%s.%N").stdout) - time.time()) < 5
    assert len({*facts(first), *facts(second)}) == 6
    # another size than the template's is made as before
    other = Sandbox.create("minimal", resolution=(800, 600), timeout=600, **own_server.client())
    assert "pool" not in stages(other)
    assert other.get_screen_size() == (800, 600)
    ids = {one.sandbox_id for one in (first, second, other)}
    with Host.connect(**own_server.client()) as host:
        assert host.usage()["sandboxes"]["running"] == 3
    eventually(lambda: ready(own_server) >= 1, seconds=READY_S, every_s=0.3)
    assert len(own_server.machines()) > len(ids)
    own_server.kill()
    own_server.start()
    assert {machine_id for _, machine_id in own_server.machines()} == ids
    assert second.commands.run("echo on").stdout == "on\n"


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[LocalNode]:
    found = await LocalNode.start(ServerConfig(make_home(tmp_path / "home"), "unused-key-0123456", warm_pool=1))
    yield found
    await found.kill_all()
    await found.aclose()


async def test_it_is_given_up_where_a_request_needs_its_memory(node: LocalNode) -> None:
    spec = SandboxSpec(template="minimal", timeout_s=600)
    await node.create(spec)

    async def standing() -> int:
        return int((await node.usage())["sandboxes"]["ready"])

    await comes(standing)
    enough = node.limits
    node.limits = replace(enough, reserve_memory_mib=1 << 30)
    with pytest.raises(CapacityError):
        await node.create(spec)
    assert await standing() == 0
    node.limits = enough
    await node.create(spec)


async def comes(standing: Any) -> None:
    deadline = time.monotonic() + READY_S
    while await standing() == 0:
        assert time.monotonic() < deadline, "none stands ready"
        await asyncio.sleep(0.2)
