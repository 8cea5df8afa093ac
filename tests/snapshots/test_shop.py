"""Which templates fit this host and which are built anew, what a failed build tells, and what goes afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from desktop_sandbox.api.builds import Builds
from desktop_sandbox.errors import ConfigurationError, ConflictError, MachineError, NotFoundError
from desktop_sandbox.microvm.accelerator import Accelerator
from desktop_sandbox.microvm.cgroup import Cgroup
from desktop_sandbox.microvm.host import QemuBuild, check_unchanged
from desktop_sandbox.microvm.jail import Jail
from desktop_sandbox.microvm.machine import Hypervisor
from desktop_sandbox.node import shop as shop_module
from desktop_sandbox.node.shop import TemplateShop
from desktop_sandbox.snapshots.manifest import Fit, Manifest, Part
from desktop_sandbox.snapshots.progress import Report, Step
from desktop_sandbox.snapshots.templates import Template, find_templates, image_directory, wanted_fit
from guest_image.builder import BuildCancelledError, BuildError
from guest_image.recipe import Recipe, load_recipe

OLD_FIT = Fit("7.2.22/x", "tcg", "max", 1, 512, 2, "image", 2_000_000)


def lay_template(home: Path, number: int, fit: Fit | None = None) -> str:
    part = Part(0, "0" * 64)
    fit = fit or replace(OLD_FIT, image=f"image{number}")
    manifest = Manifest(
        "minimal", float(number), fit, part, part, part, 0, (1024, 768), {}, quiesced=True, idle_cpu=0.03
    )
    folder = home / "templates" / f"minimal-{number}"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(asdict(manifest)))
    return folder.name


async def test_a_template_that_a_machine_stands_on_stays(tmp_path: Path) -> None:
    names = [lay_template(tmp_path, number) for number in range(1, 6)]
    in_use = {names[0]}
    shop = TemplateShop(tmp_path, cast(Any, None), lambda: in_use)
    shop._remove_older(list(find_templates(tmp_path))[-1])
    assert [template.directory.name for template in find_templates(tmp_path)] == [names[0], *names[-2:]]
    with pytest.raises(ConflictError, match="running"):
        await shop.remove("minimal")
    in_use.clear()
    await shop.remove("minimal")
    assert list(find_templates(tmp_path)) == []


# --- another QEMU, processor or accelerator


@pytest.fixture
def hypervisor(tmp_path: Path) -> Hypervisor:
    """One whose QEMU is an empty file."""
    qemu = tmp_path / "qemu"
    qemu.touch()
    build = QemuBuild(str(qemu), "7.2.22", "0123456789abcdef", (0, int(os.stat(qemu).st_mtime)))
    jail = Jail("bwrap", "setpriv", privileged=True, kvm=False)
    return Hypervisor(build, Accelerator("tcg", "it is a test"), jail, Cgroup("test", tmp_path / "none"), "0000beef")


@pytest.fixture
def home(tmp_path: Path, hypervisor: Hypervisor) -> Path:
    """With a template of `minimal` that fits."""
    fit = wanted_fit(load_recipe("minimal"), hypervisor)
    lay_template(tmp_path / "home", 1, fit)
    image = image_directory(tmp_path / "home", "minimal", fit.image)
    image.mkdir(parents=True)
    (image / "disk.raw").touch()
    return tmp_path / "home"


class Builder:
    """Stands in for the builders of image and template, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path, fit: Fit) -> None:
        self.built = 0
        self._home, self._fit = home, fit
        monkeypatch.setattr(shop_module, "build_image", lambda *_, **__: SimpleNamespace())
        monkeypatch.setattr(shop_module, "build_template", self._template)

    async def _template(
        self, _home: Path, _recipe: Recipe, _image: Any, _hypervisor: Hypervisor, _: Report
    ) -> Template:
        self.built += 1
        lay_template(self._home, 1 + self.built, self._fit)
        return list(find_templates(self._home))[-1]


async def test_one_that_fits_is_taken(home: Path, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = Builder(monkeypatch, home, OLD_FIT)
    shop = TemplateShop(home, hypervisor)
    assert (shop.info("minimal").state, shop.info("minimal").why) == ("ready", None)
    found = shop.find_quickly("minimal")
    assert found is not None
    assert await shop.get("minimal", pytest.fail) == found
    assert builder.built == 0


@pytest.mark.parametrize(
    ("field", "made_under", "said"),
    [
        ("qemu", "6.2.0/fedcba9876543210", "the QEMU build is 7.2.22/0123456789abcdef, the snapshot has 6.2.0/fedcba9"),
        ("cpu", "qemu64", "the CPU model is max, the snapshot has qemu64"),
        ("accelerator", "kvm", "the accelerator is tcg, the snapshot has kvm"),
    ],
)
async def test_one_that_was_made_under_another_is_stale_and_built_anew(
    home: Path, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch, field: str, made_under: str, said: str
) -> None:
    (laid,) = find_templates(home)
    builder = Builder(monkeypatch, home, laid.manifest.fit)
    manifest = json.loads((laid.directory / "manifest.json").read_text())
    manifest["fit"][field] = made_under
    (laid.directory / "manifest.json").write_text(json.dumps(manifest))

    shop = TemplateShop(home, hypervisor)
    found, why = shop.find("minimal")
    assert found is None
    assert said in str(why)
    assert (shop.info("minimal").state, shop.info("minimal").why) == ("stale", why)
    assert shop.find_quickly("minimal") is None
    steps: list[Step] = []
    built = await shop.get("minimal", steps.append)
    assert steps[0].message == f"rebuilding minimal: {why}"
    assert builder.built == 1
    assert shop.find_quickly("minimal") == built
    assert shop.info("minimal").state == "ready"


def test_a_qemu_that_was_replaced_under_the_server_is_noticed(home: Path, hypervisor: Hypervisor) -> None:
    shop = TemplateShop(home, hypervisor)
    assert shop.find_quickly("minimal") is not None
    Path(hypervisor.qemu.path).write_text("another")
    for look in (lambda: check_unchanged(hypervisor.qemu), lambda: shop.find_quickly("minimal")):
        with pytest.raises(ConfigurationError, match="was replaced while the server ran") as caught:
            look()
        assert "restart the server" in str(caught.value.hint)
    Path(hypervisor.qemu.path).unlink()
    with pytest.raises(ConfigurationError, match="is gone"):
        shop.find_quickly("minimal")


# --- a build that is followed


async def steps_of(build: AsyncIterator[Any]) -> list[Any]:
    return [step async for step in build]


def broken(tmp_path: Path) -> BuildError:
    return BuildError("mmdebstrap ended with 3", hint="look", log=tmp_path / "the.log", tail="no route to the mirror")


async def test_a_build_raises_what_went_wrong(
    tmp_path: Path, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_image(*_: Any, **__: Any) -> None:
        raise broken(tmp_path)

    monkeypatch.setattr(shop_module, "build_image", build_image)
    shop = TemplateShop(tmp_path, hypervisor)
    with pytest.raises(NotFoundError, match="nothing"):
        await steps_of(shop.build("nothing"))
    with pytest.raises(MachineError, match="mmdebstrap ended with 3") as caught:
        await steps_of(shop.build("minimal"))
    assert caught.value.hint == f"look; the whole log: {tmp_path / 'the.log'}"


async def test_who_follows_a_build_is_told_what_went_wrong(
    tmp_path: Path, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_image(*_: Any, **__: Any) -> None:
        raise broken(tmp_path)

    monkeypatch.setattr(shop_module, "build_image", build_image)
    node = SimpleNamespace(build_template=TemplateShop(tmp_path, hypervisor).build)
    async with asyncio.TaskGroup() as tasks:
        builds = Builds(cast(Any, node), tasks)
        ends = {}
        for name in ("nothing", "minimal"):
            lines = [line async for line in builds.start(name, rebuild=False, key=None).follow()]
            ends[name] = json.loads(lines[-1])["problem"]
    assert ends["nothing"]["type"].endswith(":not-found")
    problem = ends["minimal"]
    assert problem["type"].endswith(":machine")
    assert "mmdebstrap ended with 3" in problem["detail"]
    assert str(tmp_path / "the.log") in problem["hint"]
    assert problem["evidence"]["tail"] == "no route to the mirror"


async def test_who_leaves_a_build_stops_it(
    tmp_path: Path, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()

    def build_image(_recipe: Recipe, _home: Path, progress: Any, *, cancel: threading.Event, **_: Any) -> None:
        progress(SimpleNamespace(step="Debian packages", fraction=0.1, message=""))
        if cancel.wait(10):
            stopped.set()
            raise BuildCancelledError("the build was stopped")

    monkeypatch.setattr(shop_module, "build_image", build_image)
    build = TemplateShop(tmp_path, hypervisor).build("minimal")
    assert (await anext(build))["step"] == "Debian packages"
    await build.aclose()  # type: ignore[attr-defined]
    assert stopped.is_set()
