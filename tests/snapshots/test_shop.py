"""Which templates and images go when a template is built anew."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest

from desktop_sandbox.errors import ConflictError
from desktop_sandbox.node.shop import TemplateShop
from desktop_sandbox.snapshots.manifest import Fit, Manifest, Part
from desktop_sandbox.snapshots.templates import find_templates


def lay_template(home: Path, number: int) -> str:
    part = Part(0, "0" * 64)
    fit = Fit("7.2.22/x", "tcg", "max", 1, 512, 2, f"image{number}", 2_000_000)
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
