"""The keeper of templates' memory: a real process, asked by many threads at once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from desktop_sandbox.snapshots import ram
from desktop_sandbox.snapshots.keeper import KeeperClient
from desktop_sandbox.snapshots.restore import TemplateMemory


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[KeeperClient]:
    path = str(tmp_path / "keeper")
    client = KeeperClient(path)
    yield client
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.connect(path)
        pid = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))[0]
    client.close()
    os.kill(pid, signal.SIGTERM)


def test_each_thread_gets_the_memory_it_asked_for(keeper: KeeperClient) -> None:
    sizes = {f"template-{number}": (number + 1) * 4096 for number in range(8)}
    for key, size in sizes.items():
        descriptor = ram.new_ram(size)
        keeper.put(key, descriptor)
        os.close(descriptor)

    def ask(key: str) -> tuple[str, int]:
        descriptor = keeper.get(key)
        assert descriptor is not None
        try:
            return key, os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, list(sizes) * 100))
    assert [(key, size) for key, size in answers if size != sizes[key]] == []


def test_what_is_dropped_is_gone_and_others_stay(keeper: KeeperClient) -> None:
    for key in ("a", "b"):
        descriptor = ram.new_ram(4096)
        keeper.put(key, descriptor)
        os.close(descriptor)
    keeper.drop("a")
    assert keeper.get("a") is None
    kept = keeper.get("b")
    assert kept is not None
    os.close(kept)


def test_memory_of_templates_that_are_gone_is_let_go(keeper: KeeperClient) -> None:
    for key in ("here", "gone"):
        descriptor = ram.new_ram(4096)
        keeper.put(key, descriptor)
        os.close(descriptor)
    memory = TemplateMemory(keeper)

    async def forget() -> None:
        assert await memory.forget_others({"here", "another"}) == ["gone"]

    asyncio.run(forget())
    assert keeper.keys() == ["here"]
    assert keeper.get("gone") is None
