"""Commands about elements and windows, over the fake node."""

from __future__ import annotations

import json

import pytest

from tests.cli.test_cli import Run, live, run  # noqa: F401
from tests.live_server import Live


@pytest.fixture
def box(live: Live, run: Run) -> str:  # noqa: F811
    made: str = run("create").out.strip()
    return made


def test_elements(run: Run, box: str) -> None:  # noqa: F811
    outline = run("tree", box, "--all").out
    assert '    [1.7/3] button "Open" @10,10 40x20\n' in outline
    assert "! gimp: has not answered" in outline
    assert json.loads(run("tree", box, "--json").out)["window"] == "files"
    assert run("find", box, "--role", "button").out == '[1.7/3] button "Open" @10,10 40x20\n'
    assert json.loads(run("find", box, "-n", "path", "--json").out)[0]["id"] == "1.7/4"
    missing = run("find", box, "-r", "link")
    assert missing.code == 1
    assert "buttons here: 'Open'" in missing.err
    assert run("element", "click", box, "1.7/3").out == "clicked at 30,20\n"
    assert '= "/tmp"' in run("element", "set", box, "1.7/4", "/tmp").out
    assert "focused" in run("element", "focus", box, "1.7/4").out
    assert run("element", "invoke", box, "1.7/3", "click").code == 0
    assert "read the tree again" in run("element", "look", box, "1.9/9").err
    assert "choose click" in run("element", "lick", box, "1.7/3").err
    assert "needs a value" in run("element", "set", box, "1.7/3").err


def test_windows(run: Run, box: str) -> None:  # noqa: F811
    assert "xterm" in run("launch", box, "xterm").out
    assert run("launch", box, "--wait", "0", "--", "xterm", "-e", "top").out == "pid 1002\n"
    assert all(text in run("windows", box).out for text in ("files", "Thunar", "1,2 300×200"))
    assert json.loads(run("windows", box, "--json").out)[0]["title"] == "files"
    assert "5,6 300×200" in run("window", "move", box, "files", "5", "6").out
    assert "640×480" in run("window", "resize", box, "files", "640", "480").out
    assert "maximised" in run("window", "maximize", box, "files").out
    assert json.loads(run("window", "close", box, "files", "--json").out) == {"closed": True}
    assert "open windows: " in run("window", "activate", box, "word").err
    assert "choose activate" in run("window", "explode", box, "files").err
    assert "takes X Y" in run("window", "move", box, "files").err
