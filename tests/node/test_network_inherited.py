"""Whose network a desktop made of a snapshot gets, with its secrets; no machine is started."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from desktop_sandbox.errors import NotFoundError
from desktop_sandbox.node.creating import Creating, new_record
from desktop_sandbox.node.facts import SandboxSpec
from desktop_sandbox.node.store import Store

SECRET = {
    "allow": None,
    "deny": [],
    "headers": [{"host": "api.example.org", "set": {"X-Key": "5ec2e7"}}],
    "proxy": "http://me:5ec2e7@10.1.2.3:3128",
}


class Maker(Creating):
    """Tells what it would make; knows one snapshot, of the sandbox sb-1."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def live(self, sandbox_id: str) -> Any:
        raise AssertionError("no machine is asked for")

    @contextlib.asynccontextmanager
    async def _using(self, snapshot_id: str) -> AsyncIterator[Any]:
        yield SimpleNamespace(sandbox="sb-1", template="desktop", resolution=(1280, 800))

    async def _create(self, spec: SandboxSpec, *more: Any, **named: Any) -> Any:
        return spec.network


@pytest.fixture
async def maker(tmp_path: Path) -> AsyncIterator[Maker]:
    store = await Store.open(tmp_path / "node.db")
    for name, network in (("sb-1", SECRET), ("sb-2", "none")):
        await store.add(new_record(name, SandboxSpec(network=network), (1280, 800), None, "", 1.0))
    yield Maker(store)
    await store.close()


async def test_a_desktop_of_a_snapshot_has_its_secrets_and_another_only_if_told(maker: Maker) -> None:
    born = SandboxSpec(snapshot="ss-1")
    assert await maker.create(born) == SECRET
    assert await maker.create(SandboxSpec(snapshot="ss-1", network_of="sb-2")) == "none"
    assert await maker.create(SandboxSpec(snapshot="ss-1", network="internet")) == "internet"
    assert await maker.create(SandboxSpec()) is None


async def test_a_network_of_nobody_is_no_network_at_all(maker: Maker) -> None:
    with pytest.raises(NotFoundError):
        await maker.create(SandboxSpec(snapshot="ss-1", network_of="sb-3"))


async def test_a_record_is_shown_without_its_secrets(maker: Maker) -> None:
    record = await maker.store.get("sb-1")
    assert record.network == SECRET
    assert "5ec2e7" not in str(record.info())
