"""`code` as a process of its own, against the API on a fake node."""

from __future__ import annotations

import json
from pathlib import Path

from desktop_sandbox import Sandbox
from tests.cli.test_cli import Run, live, run  # noqa: F401
from tests.fake_code import PICTURE
from tests.live_server import Live


def test_code(live: Live, run: Run, tmp_path: Path) -> None:  # noqa: F811
    box = Sandbox.create().sandbox_id
    assert run("code", box, "set 42").code == 0
    assert run("code", box, "get").out == "42\n"
    said = run("code", box, "warn oh", "--language", "bash")
    assert (said.code, said.out) == (0, "")
    assert "oh" in said.err
    raised = run("code", box, "raise")
    assert raised.code == 1
    assert "one\ntwo" in raised.err
    assert run("code", box, "wait", "--timeout", "1").code == 124
    assert run("code", box, "show", "--save", str(tmp_path / "shown")).code == 0
    assert (tmp_path / "shown" / "1.png").read_bytes() == PICTURE
    assert json.loads(run("code", box, "get", "--json").out)["results"][0]["main"] is True
    assert run("code", box, "get", "--context", "code-000000000000").code == 1
