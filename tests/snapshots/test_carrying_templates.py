"""What a node does with exported templates, over real files and a shop. No machine."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from desktop_sandbox.config import ServerConfig
from desktop_sandbox.errors import (
    CapacityError,
    ConflictError,
    InvalidRequestError,
    MachineError,
    NotFoundError,
    SnapshotMismatchError,
    UntrustedError,
)
from desktop_sandbox.node import carrying_templates
from desktop_sandbox.node import shop as shop_module
from desktop_sandbox.node.carrying_templates import CarryingTemplates
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.store import Store
from desktop_sandbox.snapshots import template_export, templates
from desktop_sandbox.snapshots.manifest import Fit
from desktop_sandbox.snapshots.signing import Keys, show_key
from tests.snapshots.template_files import FIT, FOLDER, changed, content_of, exported, lay


class Rooms(CarryingTemplates):
    """Those parts of a node; it has no machine."""

    async def live(self, sandbox_id: str, *, resume: bool = True) -> LiveSandbox:
        raise AssertionError(sandbox_id)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    home = tmp_path / "there"
    home.mkdir()
    return home


@pytest.fixture
async def rooms(tmp_path: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rooms]:
    """A host that has nothing, offers what the templates were made under, and trusts the other."""

    def offered(*_: object) -> Fit:
        return FIT

    monkeypatch.setattr(carrying_templates, "offered_fit", offered)
    for module in (templates, shop_module):
        monkeypatch.setattr(module, "wanted_fit", offered)
    monkeypatch.setattr(shop_module, "why_unfit", lambda *_: None)
    monkeypatch.setattr(shop_module, "check_unchanged", lambda *_: None)
    home = tmp_path / "here"
    home.mkdir()
    store = await Store.open(tmp_path / "node.db")
    hypervisor: Any = SimpleNamespace(tag="0a1b2c3d", qemu=None)  # never started
    keeper: Any = None
    made = Rooms(ServerConfig(home=home, api_key="k" * 20), hypervisor, store, keeper, StringIO())
    made._keys.trust("there", show_key(Keys(there).own()))
    yield made
    await store.close()


async def sent(content: bytes, step: int = 1 << 16) -> AsyncIterator[bytes]:
    for start in range(0, len(content), step):
        yield content[start : start + step]


def home(rooms: Rooms) -> Path:
    return rooms.config.home


def left(rooms: Rooms) -> list[str]:
    """What is in the folder of templates besides locks."""
    return sorted(p.name for p in (home(rooms) / "templates").iterdir() if not p.name.endswith(".lock"))


async def test_a_template_comes_and_is_used_and_goes_on(rooms: Rooms, there: Path) -> None:
    template, image = lay(there)
    content = exported(there, template, image)
    older, _ = lay(home(rooms))
    older.directory.rename(older.directory.with_name("minimal-1600000000000"))
    assert rooms.shop.find_quickly("minimal") is not None
    made = await rooms.import_template(sent(content))
    assert (made.name, made.state, made.promoted_from) == ("minimal", "ready", None)
    assert made.digest == template.manifest.ram.digest
    found = rooms.shop.find_quickly("minimal")
    assert found is not None
    assert found.directory.name == FOLDER, "not the one that was looked up before"
    assert left(rooms) == ["minimal-1600000000000", FOLDER]
    with pytest.raises(ConflictError, match=f"template {FOLDER} is here already") as caught:
        await rooms.import_template(sent(content))
    assert "template rm minimal" in str(caught.value.hint)
    # and on from here, by its name or its folder's, signed by this host
    for name in ("minimal", FOLDER):
        size, pieces = await rooms.export_template(name)
        again = b"".join([piece async for piece in pieces])
        assert len(again) == size
        assert again != content
    shutil.rmtree(home(rooms) / "templates" / FOLDER)
    await rooms.import_template(sent(again))
    assert content_of(home(rooms) / "templates" / FOLDER) == content_of(template.directory)


async def test_a_template_that_lost_its_image_gets_it_back(rooms: Rooms, there: Path) -> None:
    content = exported(there, *lay(there, promoted=True))
    await rooms.import_template(sent(content))
    shutil.rmtree(home(rooms) / "images")
    manifest = home(rooms) / "templates" / "logged-in-1700000000001" / "manifest.json"
    inode = manifest.stat().st_ino
    assert (await rooms.import_template(sent(content))).state == "ready"
    (image,) = (home(rooms) / "images").iterdir()
    assert content_of(image) == content_of(there / "images" / image.name)
    assert left(rooms) == ["logged-in-1700000000001"]
    assert manifest.stat().st_ino == inode, "the template itself stayed"
    shutil.rmtree(home(rooms) / "images")
    manifest.write_text(manifest.read_text().replace("1024", "1280"))
    with pytest.raises(ConflictError, match="here already"):
        await rooms.import_template(sent(content))


async def test_a_promoted_template_comes(rooms: Rooms, there: Path) -> None:
    content = exported(there, *lay(there, promoted=True))
    made = await rooms.import_template(sent(content))
    assert (made.name, made.state, made.promoted_from) == ("logged-in", "ready", "ss-0a")
    assert rooms.shop.screen("logged-in") == ((1024, 768), (1600, 1200))
    assert "logged-in" in {info.name for info in rooms.shop.list()}

    def other_folder(head: dict[str, Any]) -> None:
        head["folder"] = "logged-in-1"

    with pytest.raises(ConflictError, match="there is a template logged-in already"):
        await rooms.import_template(sent(changed(content, Keys(there), other_folder)))

    def recipes_name(head: dict[str, Any]) -> None:
        head["folder"], head["manifest"]["name"] = "desktop-1", "desktop"

    with pytest.raises(ConflictError, match="desktop is the name of a recipe here"):
        await rooms.import_template(sent(changed(content, Keys(there), recipes_name)))


async def test_who_is_refused_leaves_nothing(
    rooms: Rooms, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = exported(there, *lay(there))
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    with pytest.raises(UntrustedError, match="nobody trusts") as caught:
        await rooms.import_template(sent(changed(content, Keys(stranger), lambda head: None)))
    assert show_key(Keys(stranger).own()) in str(caught.value)
    for wrong in (content[:-1], content[: len(content) // 2], content + b"x", b"", b"nothing"):
        with pytest.raises(InvalidRequestError):
            await rooms.import_template(sent(wrong))

    def another_recipe(head: dict[str, Any]) -> None:
        head["folder"], head["manifest"]["name"], head["image"]["recipe"] = "custom-1", "custom", "custom"

    with pytest.raises(SnapshotMismatchError, match="the recipe custom is not here"):
        await rooms.import_template(sent(changed(content, Keys(there), another_recipe)))
    monkeypatch.setattr(carrying_templates, "offered_fit", lambda fit, _: replace(fit, qemu="9", cpu="other"))
    with pytest.raises(SnapshotMismatchError, match=r"the QEMU build is 9.*the CPU model is other"):
        await rooms.import_template(sent(content))
    monkeypatch.setattr(carrying_templates, "offered_fit", lambda fit, _: fit)
    async with rooms.shop.adding("minimal", "minimal"):
        with pytest.raises(ConflictError, match="minimal is being built"):
            await rooms.import_template(sent(content))
    limits = rooms.limits
    rooms.limits = replace(limits, reserve_disk_mib=1 << 40)
    with pytest.raises(CapacityError, match="disk is short"):
        await rooms.import_template(sent(content))
    rooms.limits = limits

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("desktop_sandbox.snapshots.sparse.os.pwrite", full)
        with pytest.raises(MachineError, match="No space left"):
            await rooms.import_template(sent(content))
    assert left(rooms) == []
    assert not (home(rooms) / "images").exists()
    with pytest.raises(NotFoundError, match="template minimal is not ready"):
        await rooms.export_template("minimal")
    with pytest.raises(NotFoundError, match="no usable template"):
        await rooms.export_template("minimal-1")
    await rooms.import_template(sent(content))
    shutil.rmtree(home(rooms) / "images")
    with pytest.raises(NotFoundError, match=r"image of template minimal-.* is gone"):
        await rooms.export_template(FOLDER)


async def test_one_that_comes_in_twice_at_once_is_there_once(
    rooms: Rooms, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying_templates, "_PIECE_BYTES", 1)
    content = exported(there, *lay(there))
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield content[:10_000]
        arrived.set()
        await go_on.wait()
        yield content[10_000:]

    first = asyncio.ensure_future(rooms.import_template(slowly()))
    await arrived.wait()
    with pytest.raises(ConflictError, match="being imported just now"):
        await rooms.import_template(sent(content))
    go_on.set()
    assert (await first).state == "ready"
    assert left(rooms) == [FOLDER]


@pytest.mark.parametrize("place", [False, True])
async def test_who_leaves_in_the_middle(
    rooms: Rooms, there: Path, monkeypatch: pytest.MonkeyPatch, place: bool
) -> None:
    """What was cut off is gone; what had come whole is there."""
    content = exported(there, *lay(there))
    arrived = asyncio.Event()
    monkeypatch.setattr(carrying_templates, "_PIECE_BYTES", 1)

    async def never_ending() -> AsyncIterator[bytes]:
        yield content[: len(content) // 2]
        arrived.set()
        await asyncio.Event().wait()

    if not place:
        leaving = asyncio.ensure_future(rooms.import_template(never_ending()))
        await arrived.wait()
    else:
        loop, real = asyncio.get_running_loop(), template_export.TemplateImporter.finish

        def finish(importer: template_export.TemplateImporter) -> template_export.Imported:
            loop.call_soon_threadsafe(leaving.cancel)
            return real(importer)

        monkeypatch.setattr(template_export.TemplateImporter, "finish", finish)
        leaving = asyncio.ensure_future(rooms.import_template(sent(content)))
        await asyncio.wait([leaving])
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    async with asyncio.timeout(20):
        while carrying_templates._arriving:
            await asyncio.sleep(0.01)
    assert left(rooms) == ([FOLDER] if place else [])
    assert (home(rooms) / "images").exists() == place
