"""The command line from end to end: a process of its own for each call, a real server, a real desktop."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from desktop_sandbox import Sandbox
from tests.conftest import RealServer, free_port
from tests.machine.support import eventually


def run(
    server: RealServer, *args: str, stdin: bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "desktop_sandbox.cli", *args],
        env=env or server.env, input=stdin, capture_output=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_desktop_from_create_to_kill(server: RealServer, tmp_path: Path) -> None:
    made = run(server, "create", "minimal", "--resolution", "800x600", "-m", "by=cli", "--timeout", "300")
    assert made.returncode == 0, made.stderr.decode()
    box = made.stdout.decode().strip()
    try:
        listed = json.loads(run(server, "ls", "--json", "-m", "by=cli").stdout)
        assert [(one["sandbox_id"], one["resolution"], one["state"]) for one in listed] == [
            (box, [800, 600], "running")
        ]
        assert b"800\xc3\x97600" in run(server, "ls").stdout

        done = run(server, "exec", box, "--", "echo out; echo err >&2; exit 9")
        assert (done.returncode, done.stdout, done.stderr) == (9, b"out\n", b"err\n")
        raw = bytes(range(256)) * 40
        assert run(server, "exec", "-i", box, "--", "cat", stdin=raw).stdout == raw
        assert run(server, "exec", "--timeout", "2", box, "--", "sleep 100").returncode == 124

        acted = run(server, "act", box, '[{"type": "move", "x": 30, "y": 40}, {"type": "cursor_position"}]', "--json")
        assert json.loads(acted.stdout)["results"] == [{}, {"x": 30, "y": 40}]
        wrong = run(server, "act", box, '[{"type": "move", "x": 800, "y": 40}]')
        assert wrong.returncode != 0
        assert b"800" in wrong.stderr
        assert b"799" in wrong.stderr, "the hint says what is allowed"
        assert b"Traceback" not in wrong.stderr

        picture = tmp_path / "screen.png"
        assert run(server, "screenshot", box, "-o", str(picture)).returncode == 0
        assert Image.open(picture).size == (800, 600)
        assert run(server, "screenshot", box, "-o", "-", "--format", "jpeg").stdout[:2] == b"\xff\xd8"

        why = json.loads(run(server, "why", box, "--json").stdout)
        assert (why["id"], why["state"]) == (box, "running")
        assert b"800" in run(server, "info", box).stdout
    finally:
        ended = run(server, "kill", box)
    assert ended.returncode == 0
    assert json.loads(run(server, "ls", "--json", "-m", "by=cli").stdout) == []
    gone = run(server, "info", box)
    assert gone.returncode != 0
    assert box.encode() in gone.stderr


def test_open_reaches_the_desktop_and_tells_what_is_missing(server: RealServer, sandbox: Sandbox) -> None:
    """`minimal` has nothing that opens files: that is said; then it is given something that does."""
    refused = run(server, "open", sandbox.sandbox_id, "/home/user/a.txt")
    assert refused.returncode != 0
    assert b"xdg-open" in refused.stderr
    assert b"template" in refused.stderr, "it says what to do"
    script = '#!/bin/sh\nprintf %s "$1" > /tmp/opened\n'
    sandbox.files.write("/usr/local/bin/xdg-open", script, user="root", mode=0o755)
    assert run(server, "open", sandbox.sandbox_id, "https://example.org/?a=b&c").returncode == 0
    assert eventually(lambda: sandbox.files.exists("/tmp/opened") and sandbox.files.read("/tmp/opened"))
    assert sandbox.files.read("/tmp/opened") == "https://example.org/?a=b&c"


def test_doctor_and_templates(server: RealServer) -> None:
    told = json.loads(run(server, "doctor", "--json").stdout)
    assert told
    text = run(server, "doctor")
    assert text.returncode == 0
    assert b"qemu" in text.stdout
    assert b"kvm" in text.stdout
    templates = json.loads(run(server, "template", "ls", "--json").stdout)
    assert {one["name"]: one["state"] for one in templates}["minimal"] == "ready"


def test_without_a_server_it_says_what_to_do(server: RealServer) -> None:
    nowhere = {**server.env, "DESKTOP_SANDBOX_URL": f"http://127.0.0.1:{free_port()}"}
    for command in (("ls",), ("create", "minimal"), ("exec", "sb-none", "--", "true")):
        failed = run(server, *command, env=nowhere)
        assert failed.returncode != 0
        assert b"desktop-sandbox serve" in failed.stderr
        assert b"Traceback" not in failed.stderr
