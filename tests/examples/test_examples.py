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


@pytest.mark.machine
def test_tree_search(server: RealServer, tmp_path: Path) -> None:
    said = run(server, tmp_path, "tree_search.py", "63")
    assert "step 1: tried 0, 3, 6, 9; kept 6" in said
    assert "step 2: tried 60, 63, 66, 69; kept 63" in said
    assert said.endswith("found 63\n")


@pytest.mark.machine
def test_reset_loop(server: RealServer, tmp_path: Path) -> None:
    assert "4 episodes, a reset took " in run(server, tmp_path, "reset_loop.py", "2", "2")


def test_each_example_is_tested() -> None:
    tested = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in tested] == []


@pytest.mark.machine
def test_gym_loop(server: RealServer, tmp_path: Path) -> None:
    lines = run(server, tmp_path, "gym_loop.py", "2", "3").splitlines()
    assert lines[0].endswith("images (2, 200, 320, 3), rewards [1. 1.], over [ True  True]")
    assert lines[1].endswith("rewards [0. 0.], over [False False]")
    assert lines[2].endswith("rewards [1. 1.], over [ True  True]")


@pytest.mark.machine
def test_openenv_loop(server: RealServer, tmp_path: Path) -> None:
    said = run(server, tmp_path, "openenv_loop.py")
    assert said.startswith("640×400, pointer at (")
    assert said.endswith("reward 1.0, done True\n")
