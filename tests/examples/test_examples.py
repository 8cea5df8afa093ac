"""The examples, as a reader would run them, on the minimal template."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import RealServer

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def run(server: RealServer, folder: Path, name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), "minimal", *arguments],
        env={**server.env, "DESKTOP_SANDBOX_API_KEY": server.key},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.machine
def test_first_steps(server: RealServer, tmp_path: Path) -> None:
    said = run(server, tmp_path, "first_steps.py", "seen.png")
    assert "1280×800" in said
    assert "a terminal: " in said
    assert Image.open(tmp_path / "seen.png").size == (1280, 800)


@pytest.mark.machine
def test_batch(server: RealServer, tmp_path: Path) -> None:
    said = run(server, tmp_path, "batch.py", "seen.jpg")
    assert "the pointer is at (640, 400)" in said
    assert "refused: " in said
    assert "the pointer is still at (640, 400)" in said
    assert Image.open(tmp_path / "seen.jpg").format == "JPEG"


@pytest.mark.machine
def test_files_and_commands(server: RealServer, tmp_path: Path) -> None:
    said = run(server, tmp_path, "files_and_commands.py")
    assert "3 squared is 9\n" in said
    assert "stderr: done\n" in said
    assert "fetched: ['1 squared is 1', '2 squared is 4', '3 squared is 9']" in said
    assert "squares.txt" in said
    assert "failed: 'ls /nowhere' ended with exit code 2" in said


def test_each_example_is_tested() -> None:
    tested = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in tested] == []
