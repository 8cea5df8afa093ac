"""`desktop-sandbox agent` with each vendor's SDK, a script in place of the model, on a real desktop."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from desktop_sandbox import ConfigurationError, Sandbox
from desktop_sandbox.agents.loop.trajectory import Step, Trajectory
from desktop_sandbox.agents.loop.vendors import choose
from tests.agents.scripted import claude, computer_call, function, gemini, gpt, member, said, scripted
from tests.conftest import RealServer

MOVE = {"type": "move", "x": 30, "y": 40}
SCRIPTS: dict[str, list[Any]] = {
    "anthropic": [claude(member(1, "mouse_move", coordinate=[30, 40])), claude({"type": "text", "text": "All done."})],
    "openai": [gpt(computer_call(1, MOVE)), gpt(said("All done."))],
    "gemini": [gemini(function("move", x=24, y=50)), gemini({"text": "All done."})],
}


def run(server: RealServer, vendor: str, script: list[Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    with scripted(script) as model:
        env = {
            **server.env,
            "DESKTOP_SANDBOX_API_KEY": server.key,
            "DESKTOP_SANDBOX_AGENT": vendor,
            **dict.fromkeys(("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"), "not-a-real-key"),
            "ANTHROPIC_BASE_URL": model.url,
            "OPENAI_BASE_URL": f"{model.url}/v1",
            "GOOGLE_GEMINI_BASE_URL": model.url,
        }
        command = [sys.executable, "-m", "desktop_sandbox.cli", "agent", "move <there>", *arguments]
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
        )
        assert not model.failures
    return done


@pytest.mark.machine
@pytest.mark.parametrize("vendor", SCRIPTS)
def test_a_model_works_and_what_it_did_is_kept(
    server: RealServer, sandbox: Sandbox, tmp_path: Path, vendor: str
) -> None:
    arguments = ("--sandbox", sandbox.sandbox_id, "--save", str(tmp_path / "kept"))
    done = run(server, vendor, SCRIPTS[vendor], *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("All done.")
    assert "/view/" in done.stderr
    x, y = sandbox.get_cursor_position()
    assert abs(x - 31) <= 1
    assert y == 40
    lines = [json.loads(line) for line in (tmp_path / "kept" / "trajectory.jsonl").read_text().splitlines()]
    assert [(line["step"], len(line["calls"])) for line in lines] == [(1, 1), (2, 0)]
    assert Image.open(tmp_path / "kept" / lines[0]["picture"]).size == (1280, 800)
    page = (tmp_path / "kept" / "index.html").read_text()
    assert "move &lt;there&gt;" in page
    assert "the model is done" in page


@pytest.mark.machine
def test_it_stops_when_its_budget_is_used(server: RealServer, sandbox: Sandbox, tmp_path: Path) -> None:
    again = [claude(member(number, "mouse_move", coordinate=[number, 1])) for number in range(3)]
    arguments = ("--sandbox", sandbox.sandbox_id, "--save", str(tmp_path / "kept"), "--steps", "3")
    done = run(server, "anthropic", again, *arguments)
    assert done.returncode == 1
    assert "stopped: 3 steps are done" in done.stderr
    assert sandbox.get_cursor_position() == (2, 1)


def test_the_vendor_is_chosen_by_the_environment() -> None:
    assert choose({"OPENAI_API_KEY": "k"}) == ("openai", "gpt-5.5")
    assert choose({"DESKTOP_SANDBOX_AGENT": "gemini/gemini-9"}) == ("gemini", "gemini-9")
    for environ in ({}, {"DESKTOP_SANDBOX_AGENT": "nobody"}):
        with pytest.raises(ConfigurationError) as caught:
            choose(environ)
        assert "ANTHROPIC_API_KEY" in str(caught.value.hint)


def test_what_a_page_shows_is_text(tmp_path: Path) -> None:
    trajectory = Trajectory(tmp_path, "<b>")
    trajectory.add(Step("<script>", [{"text": "</pre><script>"}], 0.1, 0.2), b"jpeg")
    page = (tmp_path / "index.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
