from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from desktop_sandbox import Sandbox, errors
from desktop_sandbox.cli.output import shown
from desktop_sandbox.node.reach_interface import FileChange
from tests.cli.test_cli import Run, live, run  # noqa: F401
from tests.live_server import Live


@pytest.fixture
def box(live: Live) -> str:  # noqa: F811
    return Sandbox.create().sandbox_id


def test_files(live: Live, run: Run, box: str, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "a").write_text("content")
    assert run("files", "put", box, "a", "/tmp/").code == 0
    assert "/tmp/a" in run("files", "ls", box, "/tmp").out
    assert json.loads(run("files", "stat", box, "/tmp/a", "--json").out)["size_bytes"] == 7
    assert "-rw-r--r--" in run("files", "stat", box, "/tmp/a").out
    assert run("files", "mkdir", box, "/tmp/d").code == 0
    assert run("files", "mv", box, "/tmp/a", "/tmp/d/b").code == 0
    assert run("files", "get", box, "/tmp/d/b").code == 0
    assert (tmp_path / "b").read_text() == "content"
    assert run("files", "get", box, "/tmp/d/b", "-").out == "content"
    assert run("files", "get", box, "/tmp/d", "copy").code == 0
    assert (tmp_path / "copy" / "b").read_text() == "content"
    assert run("files", "put", box, "copy", "/tmp/again").code == 0
    assert "/tmp/again/b" in run("files", "ls", box, "/tmp", "--depth", "3").out
    assert run("files", "rm", box, "/tmp/d/b").code == 0
    gone = run("files", "get", box, "/tmp/d/b")
    assert (gone.code, "error: " in gone.err) == (1, True)
    assert run("files", "put", box, "-", "/tmp/").code == 2


def test_link_and_watch(live: Live, run: Run, box: str) -> None:  # noqa: F811
    live.node.sandboxes[box].files["/tmp/a"] = b"content"
    assert httpx.get(run("files", "link", box, "/tmp/a").out.strip()).content == b"content"
    assert httpx.put(run("files", "link", box, "/tmp/n", "--write").out.strip(), content=b"new").status_code == 200
    assert live.node.sandboxes[box].files["/tmp/n"] == b"new"
    assert run("files", "link", box, "/tmp", "--write", "--archive").code == 2
    for change in (FileChange("moved", "/tmp/\x1b[2Jb", True, "/tmp/a"), None):
        live.loop.call_soon_threadsafe(live.node.changes.put_nowait, change)
    assert run("files", "watch", box, "/tmp").out == "moved       /tmp/a → /tmp/\\x1b[2Jb/\n"


def test_the_address_of_a_port(live: Live, run: Run, box: str) -> None:  # noqa: F811
    made = run("host", box, "3000", "--ttl", "60")
    assert made.out.startswith(f"http://3000-{box}.localhost:")
    assert "whoever has it, until" in made.err
    assert "everybody" in run("host", box, "3000", "--public").err
    assert json.loads(run("host", box, "3000", "--json").out)["host"] == f"3000-{box}.localhost"
    assert run("host", box, "70000").code == 2


@pytest.mark.parametrize("name", ["\x1b]0;x\x07", "a\nb", "\x9b2J", "\u202eexe.txt", "\r"])
def test_names_do_not_steer_the_terminal(name: str) -> None:
    assert shown(name).isprintable()
    assert shown("ä 世🙂") == "ä 世🙂"


def test_a_download_is_named_by_what_was_asked_for(live: Live, run: Run, box: str, tmp_path: Path) -> None:  # noqa: F811
    """The desktop may answer with any path."""
    files = live.node.sandboxes[box].files
    files["/tmp/.."] = b"x"
    assert run("files", "get", box, "/tmp/..").code == 0
    assert (tmp_path / box).read_bytes() == b"x"


def test_what_a_desktop_says_in_an_error_does_not_either(live: Live, run: Run, box: str) -> None:  # noqa: F811
    live.node.fail["stat_file"] = errors.GuestError("two\n\x1b]0;lines\x07", hint="\x1b[2J")
    assert run("files", "stat", box, "/tmp/a").err == "error: two\n\\x1b]0;lines\\x07\nhint: \\x1b[2J\n"
