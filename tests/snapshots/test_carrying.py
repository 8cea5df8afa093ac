"""What a node does with exported files and pictures, over a real database and real files. No machine."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from desktop_sandbox.config import ServerConfig
from desktop_sandbox.errors import ConflictError, SnapshotMismatchError
from desktop_sandbox.node import carrying
from desktop_sandbox.node.carrying import Carrying, in_pieces
from desktop_sandbox.node.facts import Screenshot
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.pictures import Pictures
from desktop_sandbox.node.store import Store
from desktop_sandbox.snapshots.export import Head, export
from desktop_sandbox.snapshots.manifest import Fit, Part
from desktop_sandbox.snapshots.signing import Keys
from desktop_sandbox.snapshots.snapshot import Snapshot, SnapshotManifest, new_directory, read_snapshot

FIT = Fit("7.2", "tcg", "max", 1, 512, 1, "image", 1000)
PART = Part(0, "")
MANIFEST = SnapshotManifest("ss-0a", 1.5, "minimal-1", "ram", FIT, PART, PART, PART, (800, 600), {}, True, 2.5)


class Rooms(Carrying, Pictures):
    """Those parts of a node; it has no machine, and counts what it draws."""

    drawn = 0

    async def live(self, sandbox_id: str, *, resume: bool = True) -> LiveSandbox:
        raise AssertionError(sandbox_id)

    def _draw(self, snapshot_id: str, width: int) -> Screenshot:
        self.drawn += 1
        return Screenshot(b"", "image/jpeg", width, width)


@pytest.fixture
async def rooms(tmp_path: Path) -> AsyncIterator[Rooms]:
    store = await Store.open(tmp_path / "node.db")
    hypervisor: Any = SimpleNamespace(tag="0a1b2c3d")  # never started
    keeper: Any = None
    yield Rooms(ServerConfig(home=tmp_path, api_key="k" * 20), hypervisor, store, keeper, StringIO())
    await store.close()


async def keep(rooms: Rooms, home: Path) -> None:
    work = new_directory(home, "ss-0a-import")
    for name in ("delta.bin", "state.bin", "disk.qcow2"):
        (work / name).write_bytes(b"")
    await rooms._keep(work, Head(MANIFEST, {"template": "minimal", "sandbox": "sb-1"}))


async def test_a_snapshot_without_a_record_leaves_no_files(rooms: Rooms, tmp_path: Path) -> None:
    await keep(rooms, tmp_path)
    target = tmp_path / "snapshots" / "ss-0a"
    assert target.is_dir()
    target.rename(tmp_path / "elsewhere")
    with pytest.raises(sqlite3.IntegrityError):  # the record is there already
        await keep(rooms, tmp_path)
    assert [*(tmp_path / "snapshots").iterdir()] == []


def carried(home: Path) -> bytes:
    """A file that this host exported, of a snapshot it has not."""
    saved = home / "elsewhere" / "ss-0a"
    saved.mkdir(parents=True, exist_ok=True)
    parts = {}
    for name in ("delta.bin", "state.bin", "disk.qcow2"):
        (saved / name).write_bytes(name.encode())
        parts[name.split(".")[0]] = Part(len(name), hashlib.sha256(name.encode()).hexdigest())
    about = {"template": "minimal", "sandbox": "sb-1", "name": "there"}
    _, pieces = export(Snapshot(saved, replace(MANIFEST, **parts)), about, Keys(home))
    return b"".join(pieces)


async def in_one(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_what_is_here_already_comes_once_more_under_another_name(
    rooms: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "offered_fit", lambda fit, _: fit)
    content = carried(tmp_path)
    with pytest.raises(SnapshotMismatchError, match="templates/minimal-1 is not here") as caught:
        await rooms.import_snapshot(in_one(content))
    assert "RAM ram" in str(caught.value)
    assert "there: desktop-sandbox template export minimal-1; here: desktop-sandbox template import" in str(
        caught.value.hint
    )
    monkeypatch.setattr(rooms, "_check_template", lambda _: None)
    first = await rooms.import_snapshot(in_one(content))
    assert (first.id, first.name) == ("ss-0a", "there")
    with pytest.raises(ConflictError, match="here already") as clash:
        await rooms.import_snapshot(in_one(content))
    assert "--name" in str(clash.value.hint)
    second = await rooms.import_snapshot(in_one(content), name="here")
    assert second.name == "here"
    assert second.id != first.id
    for info in (first, second):
        taken = read_snapshot(tmp_path, info.id)
        assert taken.manifest.id == info.id
        taken.check()
    assert {path.name for path in (tmp_path / "snapshots").iterdir()} == {first.id, second.id}
    monkeypatch.setattr(carrying, "offered_fit", lambda fit, _: replace(fit, qemu="9", cpu="other"))
    with pytest.raises(SnapshotMismatchError, match=r"the QEMU build is 9.*the CPU model is other"):
        await rooms.import_snapshot(in_one(content), name="third")


async def test_pictures_wider_than_the_screen_are_one(rooms: Rooms, tmp_path: Path) -> None:
    await keep(rooms, tmp_path)
    for width in (800, 801, 5000, 8192):
        assert (await rooms.thumbnail("ss-0a", width)).width == 800
    assert rooms.drawn == 1
    assert (await rooms.thumbnail("ss-0a", 320)).width == 320
    assert rooms.drawn == 2


async def test_who_leaves_while_a_piece_is_read_closes_it_afterwards() -> None:
    reading, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def slow() -> Generator[bytes, None, None]:
        try:
            reading.set()
            assert go_on.wait(30)
            yield b"a"
            yield b"b"
        finally:
            closed.set()

    async def take() -> list[bytes]:
        return [piece async for piece in in_pieces(slow())]

    taking = asyncio.ensure_future(take())
    assert await asyncio.to_thread(reading.wait, 30)
    taking.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert closed.is_set()
    assert await take() == [b"a", b"b"]
