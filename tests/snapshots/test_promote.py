"""A snapshot's files as a template's: what is in them, when it is refused, what is left where it fails. No machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from desktop_sandbox.errors import (
    ConflictError,
    InvalidRequestError,
    MachineError,
    NotFoundError,
    SnapshotMismatchError,
)
from desktop_sandbox.node import shop as shop_module
from desktop_sandbox.node.shop import TemplateShop
from desktop_sandbox.snapshots import promote as promote_module
from desktop_sandbox.snapshots import ram
from desktop_sandbox.snapshots.delta import Delta
from desktop_sandbox.snapshots.manifest import Fit, Manifest, Part
from desktop_sandbox.snapshots.promote import MAX_LAYERS, bytes_needed, check_depth, promote
from desktop_sandbox.snapshots.restore import Origin
from desktop_sandbox.snapshots.snapshot import Snapshot, SnapshotManifest
from desktop_sandbox.snapshots.templates import Template, disk_digest, find_templates, promoted_templates

MIB = 4
PAGE = 4096
PART = Part(0, "0" * 64)
FIT = Fit("7.2.22/x", "tcg", "max", 1, MIB, 2, "f" * 20, 2_000_000)


def written(path: Path) -> Part:
    return Part(path.stat().st_size, disk_digest(path))


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    """A template of 4 MiB whose pages 1 and 500 hold something, and a snapshot that differs in pages 1, 2 and 900."""
    directory, image = tmp_path / "templates" / "minimal-1", tmp_path / "images" / f"minimal-{FIT.image[:16]}"
    directory.mkdir(parents=True)
    image.mkdir(parents=True)
    (image / "disk.raw").write_bytes(b"image")
    memory = ram.new_ram(MIB << 20)
    for page in (1, 500):
        os.pwrite(memory, bytes([page % 251]) * PAGE, page * PAGE)
    ram.seal(memory)
    for name in ("disk.qcow2", "empty.qcow2", "state.bin"):
        (directory / name).write_bytes(f"template {name}".encode())
    state, disk = (written(directory / name) for name in ("state.bin", "disk.qcow2"))
    manifest = Manifest("minimal", 1.0, FIT, PART, state, disk, 9, (1024, 768), {}, quiesced=True, idle_cpu=0.03)
    (directory / "manifest.json").write_text(manifest.to_json())
    saved = tmp_path / "snapshots" / "ss-0a"
    saved.mkdir(parents=True)
    for name in ("disk.qcow2", "state.bin"):
        (saved / name).write_bytes(f"snapshot {name}".encode())
    about = SnapshotManifest(
        "ss-0a", 2.0, "minimal-1", "ram", FIT, PART, PART, PART, (800, 600), {"runs": []}, quiesced=True, stopped_ms=1.0
    )
    runs = np.array([[1, 2], [900, 1]], np.uint64)
    delta = Delta(runs, memoryview(b"a" * PAGE + b"b" * PAGE + b"c" * PAGE))
    template = Template(directory, manifest, image / "disk.raw")
    yield Origin(template, memory, Snapshot(saved, about), delta)
    os.close(memory)


def made(origin: Origin, name: str = "new") -> tuple[Template, int]:
    root = origin.template.directory.parent
    return promote(root, name, origin, now=3.5, max_resolution=(1920, 1200))


@pytest.mark.parametrize("name", ["disk.qcow2", "state.bin"])
def test_a_bit_flipped_in_a_template_is_seen(origin: Origin, name: str) -> None:
    origin.template.check()
    path = origin.template.directory / name
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    with pytest.raises(MachineError, match=f"{name} is damaged") as caught:
        origin.template.check()
    assert "template build --rebuild minimal" in str(caught.value.hint)
    with pytest.raises(MachineError, match="damaged"):  # and is not made official by a promotion
        made(origin)
    assert promoted_templates(origin.template.directory.parents[1]) == {}


def test_a_bit_flipped_in_a_promoted_template_s_layer_is_seen(origin: Origin) -> None:
    template, memory = made(origin)
    os.close(memory)
    template.check()
    (template.directory / "below-0.qcow2").write_bytes(b"template disk.qcow3")
    with pytest.raises(MachineError, match="below-0"):
        template.check()


def test_memory_and_disk_are_the_snapshot_s(origin: Origin, tmp_path: Path) -> None:
    template, memory = made(origin)
    try:
        assert ram.is_sealed(memory)
        pages = {0: 0, 1: ord("a"), 2: ord("b"), 3: 0, 500: 500 % 251, 900: ord("c"), 901: 0}
        loaded = ram.load_ram(template.ram, template.manifest.ram.bytes, template.manifest.ram.digest)
        for descriptor in (memory, loaded):
            assert os.fstat(descriptor).st_size == MIB << 20
            assert {page: os.pread(descriptor, PAGE, page * PAGE) for page in pages} == {
                page: bytes([value]) * PAGE for page, value in pages.items()
            }
        os.close(loaded)
    finally:
        os.close(memory)
    assert [path.read_text() for path in template.layers] == ["template disk.qcow2", "snapshot disk.qcow2"]
    assert template.state.read_text() == "snapshot state.bin"
    assert template.devices_only
    assert not origin.template.devices_only
    (found,) = promoted_templates(tmp_path).values()
    assert found == template
    assert found.image == origin.template.image
    assert found.manifest.resolution == (800, 600)
    assert found.directory.stat().st_mode & 0o077 == 0
    needed, on_disk = bytes_needed(origin)
    assert on_disk >= needed >= 5 * PAGE


def test_a_disk_does_not_become_too_deep(origin: Origin) -> None:
    for depth in range(2, MAX_LAYERS):
        check_depth(origin.template)
        template, memory = made(origin, f"deep-{depth}")
        os.close(memory)
        assert len(template.layers) == depth
        origin = replace(origin, template=template)
    with pytest.raises(ConflictError, match="promoted") as caught:
        check_depth(origin.template)
    assert "minimal" in str(caught.value.hint)


def test_where_the_disk_is_full_nothing_is_left(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = len(os.listdir("/proc/self/fd"))
    for where in ("copy_file", "fsync_directory"):
        with monkeypatch.context() as patch:
            patch.setattr(promote_module, where, full)
            with pytest.raises(MachineError, match="No space left") as caught:
                made(origin)
        assert caught.value.hint == "is the disk full?"
        assert [path.name for path in origin.template.directory.parent.iterdir()] == ["minimal-1"]
        assert len(os.listdir("/proc/self/fd")) == before


async def test_a_shop_shows_and_removes_what_was_promoted(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = FIT
    monkeypatch.setattr("desktop_sandbox.snapshots.templates.offered_fit", lambda *_: offered)
    monkeypatch.setattr(shop_module, "check_unchanged", lambda _: None)
    hypervisor: Any = type("H", (), {"qemu": None})()
    in_use: set[str] = set()
    shop = TemplateShop(tmp_path, cast(Any, hypervisor), lambda: in_use)
    with pytest.raises(ConflictError, match="recipe"):
        shop.check_free("minimal")
    shop.check_free("new")
    template, memory = made(origin)
    os.close(memory)
    with pytest.raises(ConflictError, match="already"):
        shop.check_free("new")
    assert shop.screen("new") == ((800, 600), (1920, 1200))
    assert shop.find_quickly("new") == template == await shop.get("new", lambda _: None)
    info = shop.info("new")
    assert (info.state, info.promoted_from) == ("ready", "ss-0a")
    with pytest.raises(InvalidRequestError, match="nothing to build"):
        await shop.get("new", lambda _: None, rebuild=True)
    # a template that is built anew, or removed, takes nothing from it
    manifest = replace(origin.template.manifest, created_at=9.0)
    other = tmp_path / "templates" / "minimal-9"
    other.mkdir()
    (other / "manifest.json").write_text(json.dumps(asdict(manifest)))
    await shop.remove("minimal")
    assert list(find_templates(tmp_path)) == [template]
    assert template.image.is_file()
    offered = replace(FIT, cpu="other")
    assert shop.find("new") == (None, "the CPU model is other, the snapshot has max")
    assert shop.info("new").state == "stale"
    with pytest.raises(SnapshotMismatchError, match="CPU model") as caught:
        await shop.get("new", lambda _: None)
    assert "minimal" in str(caught.value.hint)
    in_use.add(template.directory.name)
    with pytest.raises(ConflictError, match="running"):
        await shop.remove("new")
    in_use.clear()
    await shop.remove("new")
    assert list((tmp_path / "templates").glob("*new*")) == []
    assert not template.image.exists(), "nothing stands on it any more"
    with pytest.raises(NotFoundError):
        shop.screen("new")
