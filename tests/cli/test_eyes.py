"""The commands that wait, compare, find and read, on a server without machines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.api.test_eyes import grey, later, painted, written
from tests.cli.test_cli import Run, live, run  # noqa: F401
from tests.live_server import Live


@pytest.fixture
def box(live: Live, run: Run) -> str:  # noqa: F811
    made: str = run("create").out.strip()
    return made


def test_waits(live: Live, run: Run, box: str, tmp_path: Path) -> None:  # noqa: F811
    stable = run("wait", "stable", box, "--quiet", "50", "-o", "still.jpg")
    assert stable.code == 0
    assert "stable after" in stable.err
    assert (tmp_path / "still.jpg").read_bytes().startswith(b"\xff\xd8")
    fake = live.node.sandboxes[box]
    with later(0.3, fake, painted((300, 200, 10, 6))):
        changed = run("wait", "change", box, "--timeout", "20")
    assert (changed.code, changed.out) == (0, "300,200,10,6\n")
    nothing = run("wait", "change", box, "--timeout", "0.1")
    assert nothing.code == 1
    assert "nothing changed" in nothing.err
    assert run("wait", "window", box, "FILES").out == f"{0x200001}\n"
    missing = run("wait", "window", box, "Firefox", "--timeout", "0.1")
    assert missing.code == 1
    assert "open windows: 'files'" in missing.err
    assert run("wait", "window", box).code == 2
    assert run("wait", "stable", box, "--region", "1,2,3").code == 2


def test_changes_and_pictures(live: Live, run: Run, box: str, tmp_path: Path) -> None:  # noqa: F811
    fake = live.node.sandboxes[box]
    moment = run("changes", box).out.strip()
    fake.frame = painted((300, 200, 40, 30))
    fake.frame[205:215, 305:320, :3] = (9, 99, 200)
    assert run("changes", box, "--since", moment).out == "300,200,40,30\n"
    found = json.loads(run("changes", box, "--since", moment, "--ignore", "300,200,40,20", "--json").out)
    assert found["regions"] == [[300, 220, 40, 10]]
    cv2.imwrite("before.png", grey()[..., :3])
    assert run("changes", box, "--picture", "before.png").out == "300,200,40,30\n"
    cv2.imwrite("part.png", fake.frame[196:234, 296:344, :3])
    table = run("find-picture", box, "part.png").out
    assert "296,196,48,38" in table
    assert "1.000" in table
    cv2.imwrite("other.png", np.random.default_rng(3).integers(0, 255, (20, 20, 3), dtype=np.uint8))
    assert run("find-picture", box, "other.png").code == 1
    assert "cannot read" in run("find-picture", box, "nowhere.png").err
    assert run("find-picture", box).code == 2
    assert run("find-picture", box, "part.png", "--scale", "big").code == 2
    marked = run("mark", box, "--box", "10,20,30,40=Save", "-o", "marked.png")
    assert "Save" in marked.out
    assert Image.open(tmp_path / "marked.png").size == (1280, 800)
    assert run("mark", box).code == 2
    acted = run("act", box, '{"type": "click", "x": 1, "y": 2}', "--changes")
    assert "changed: nothing on the screen" in acted.out


def test_clipboard_and_cursor(live: Live, run: Run, box: str, tmp_path: Path) -> None:  # noqa: F811
    assert run("clipboard", "set", box, "héllo").code == 0
    assert run("clipboard", "get", box).out == "héllo\n"
    assert "no picture" in run("clipboard", "get", box, "--picture", "out.png").err
    cv2.imwrite("in.png", grey()[:9, :9, :3])
    assert run("clipboard", "set", box, "--picture", "in.png").code == 0
    assert run("clipboard", "get", box, "--picture", "out.png").code == 0
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "in.png").read_bytes()
    assert run("clipboard", "get", box, "--picture", "-").raw == (tmp_path / "in.png").read_bytes()
    assert run("clipboard", "set", box).code == 2
    shown = run("cursor", box, "-o", "cursor.png")
    assert "left_ptr" in shown.out
    assert Image.open(tmp_path / "cursor.png").size == (2, 3)
    assert json.loads(run("cursor", box, "--json").out)["hot_spot"] == [1, 0]


@pytest.mark.skipif(not shutil.which("tesseract"), reason="needs tesseract")
def test_text(live: Live, run: Run, box: str) -> None:  # noqa: F811
    live.node.sandboxes[box].frame = written(("Invoice number 4711", 100, 100))
    assert run("read-text", box).out == "Invoice number 4711\n"
    found = run("wait", "text", box, "number").out
    assert found.endswith("\tnumber\n")
    missing = run("wait", "text", box, "Welcome", "--timeout", "0")
    assert missing.code == 1
    assert "was not read" in missing.err
    assert "Invoice" in run("mark", box, "--text").out
