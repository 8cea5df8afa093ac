"""Snapshots through the SDK and the command line, over a real HTTP server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from desktop_sandbox import ConflictError, Host, InvalidRequestError, NotFoundError, Sandbox
from desktop_sandbox.cli.snapshots import as_tree
from tests.live_server import Live


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "desktop_sandbox.cli", *args], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_designs_lines_work(live: Live) -> None:
    with Sandbox.create("desktop", metadata={"a": "b"}) as desktop:
        snapshot = desktop.checkpoint("before submit")
        assert (snapshot.name, snapshot.kind, snapshot.sandbox_id) == (
            "before submit",
            "checkpoint",
            desktop.sandbox_id,
        )
        a, b, c = desktop.fork(3)
        assert len({one.sandbox_id for one in (a, b, c, desktop)}) == 4
        assert a.get_info().metadata == {"a": "b"}
        # each holds on to the connection by itself
        a.kill()
        b.close()
        assert c.get_info().state == "running"
        c.kill()
        assert desktop.rollback(snapshot).snapshot == snapshot.snapshot_id
        assert desktop.pause().state == "paused"
        with pytest.raises(ConflictError):
            desktop.left_click(1, 1)
        assert desktop.resume(timeout=60).state == "running"
        assert desktop.freeze().frozen
        assert not desktop.thaw().frozen
        kinds = [info.kind for info in desktop.snapshots()]
        assert kinds == ["checkpoint", "fork", "pause"]
        with Sandbox.create(snapshot=snapshot, on_timeout="pause", auto_resume=True) as begun:
            info = begun.get_info()
            assert (info.snapshot, info.on_timeout, info.auto_resume) == (snapshot.snapshot_id, "pause", True)


def test_snapshots_are_named_found_and_removed(live: Live) -> None:
    with Sandbox.create() as desktop, Host.connect() as host:
        made = desktop.checkpoint(tags=["x"], description="d")
        assert host.get_snapshot(made) == made
        changed = host.change_snapshot(made.snapshot_id, name="new")
        assert (changed.name, changed.tags, changed.description) == ("new", ("x",), "d")
        assert host.change_snapshot(made, tags=[]).tags == ()
        assert [info.snapshot_id for info in host.snapshots()] == [made.snapshot_id]
        host.delete_snapshot(made)
        with pytest.raises(NotFoundError):
            host.get_snapshot(made)
        with pytest.raises(NotFoundError):
            desktop.rollback(made)
        for count in (0, 257):
            with pytest.raises(InvalidRequestError):
                desktop.fork(count)
        with pytest.raises(InvalidRequestError):
            Sandbox.create(on_timeout="explode")


def test_a_snapshot_becomes_a_template(live: Live) -> None:
    with Sandbox.create() as desktop, Host.connect() as host:
        saved = desktop.checkpoint("logged in")
        made = host.promote_snapshot(saved, "logged-in")
        assert (made.name, made.state, made.promoted_from) == ("logged-in", "ready", saved.snapshot_id)
        assert made in host.templates()
        with pytest.raises(ConflictError):
            host.promote_snapshot(saved, "logged-in")
        for wrong in ("", "../x", ".x", "a" * 65):
            with pytest.raises(InvalidRequestError):
                host.promote_snapshot(saved, wrong)
        with pytest.raises(NotFoundError):
            host.promote_snapshot("ss-0", "other")
        with Sandbox.create("logged-in") as begun:
            assert begun.get_info().template == "logged-in"
        assert "logged-in" in run("template", "ls").stdout
        said = run("snapshot", "promote", saved.snapshot_id, "second")
        assert (said.returncode, said.stdout) == (0, "")
        assert "desktop-sandbox create second" in said.stderr
        assert json.loads(run("snapshot", "promote", saved.snapshot_id, "third", "--json").stdout)["name"] == "third"
        for name in ("second", "third"):
            assert run("template", "rm", name).returncode == 0
        host.remove_template("logged-in")
        assert "logged-in" not in [info.name for info in host.templates()]


def test_the_command_line_saves_and_brings_back(live: Live) -> None:
    box = run("create", "--on-timeout", "pause").stdout.strip()
    saved = run("checkpoint", box, "--name", "start", "-t", "a", "-t", "b")
    assert saved.returncode == 0
    snapshot = saved.stdout.strip()
    assert "stood still for" in saved.stderr
    children = run("fork", box, "2").stdout.split()
    assert len(children) == 2
    assert run("rollback", box, snapshot).returncode == 0
    assert run("pause", box).returncode == 0
    assert json.loads(run("info", box, "--json").stdout)["state"] == "paused"
    assert "runs again" in run("resume", box).stderr
    assert run("pause", box).returncode == 0
    assert "booted from its disk" in run("resume", box, "--from-disk").stderr
    assert live.node.calls.count("resume from disk") == 1
    assert "stands still" in run("freeze", box).stderr
    assert json.loads(run("info", box, "--json").stdout)["frozen"] is True
    assert "is awake" in run("thaw", box).stderr
    listed = run("snapshot", "ls").stdout
    assert "start" in listed
    assert "a b" in listed
    assert run("snapshot", "set", snapshot, "--name", "other", "--json").returncode == 0
    assert json.loads(run("snapshot", "ls", "--json").stdout)[0]["name"] == "other"
    begun = run("create", "--snapshot", snapshot).stdout.strip()
    assert json.loads(run("info", begun, "--json").stdout)["snapshot"] == snapshot
    gone = run("snapshot", "rm", snapshot)
    assert (gone.returncode, gone.stderr) == (0, f"{snapshot} removed\n")
    again = run("snapshot", "rm", snapshot)
    assert again.returncode != 0
    assert "no snapshot" in again.stderr


def test_a_tree_is_shown_depth_first(live: Live) -> None:
    with Sandbox.create() as desktop, Host.connect() as host:
        root = desktop.checkpoint("root")
        desktop.checkpoint("left")
        desktop.checkpoint("left of left")
        desktop.rollback(root)
        desktop.checkpoint("right")
        shown = [(depth, info.name) for depth, info in as_tree(host.snapshots())]
    assert shown == [(0, "root"), (1, "left"), (2, "left of left"), (1, "right")]


def test_snapshots_travel_and_keys_are_trusted(live: Live, tmp_path: Path) -> None:
    file, key = tmp_path / "a.snapshot", tmp_path / "key"
    with Sandbox.create() as desktop, Host.connect() as host:
        made = desktop.checkpoint("a")
        assert run("snapshot", "export", made.snapshot_id, str(file)).returncode == 0
        assert [path.name for path in tmp_path.glob("*a.snapshot*")] == ["a.snapshot"]
        refused = run("snapshot", "import", str(file))
        assert refused.returncode != 0
        assert "nobody trusts the signer" in refused.stderr
        key.write_text("ed25519:elsewhere\n")
        assert run("trust", "add", "elsewhere", str(key)).returncode == 0
        assert json.loads(run("trust", "ls", "--json").stdout) == {
            "own": "ed25519:own",
            "keys": {"elsewhere": "ed25519:elsewhere"},
        }
        assert run("snapshot", "import", str(file)).stdout.strip() == made.snapshot_id
        with file.open("rb") as opened:
            assert host.import_snapshot(opened) == made
        with pytest.raises(InvalidRequestError, match="no exported snapshot"):
            host.import_snapshot([b"x"])
        assert run("trust", "rm", "elsewhere").returncode == 0
        assert run("trust", "rm", "elsewhere").returncode != 0
        assert run("snapshot", "export", "ss-00", str(tmp_path / "none")).returncode != 0
        assert [*tmp_path.glob("*none*")] == []
        assert host.thumbnail(made, 64).startswith(b"\xff\xd8")


def test_templates_travel(live: Live, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    file = folder / "a.template"
    with Host.connect() as host:
        assert run("template", "export", "desktop", "-o", str(file)).returncode == 0
        assert file.stat().st_mode & 0o777 == 0o600
        assert [path.name for path in folder.iterdir()] == ["a.template"]
        refused = run("template", "import", str(file))
        assert refused.returncode != 0
        assert "nobody trusts the signer" in refused.stderr
        host.trust("elsewhere", "ed25519:elsewhere")
        assert "here already" in run("template", "import", str(file)).stderr
        live.node.templates_ready["desktop"] = "missing"
        assert run("template", "import", str(file)).stdout.strip() == "desktop"
        live.node.templates_ready["desktop"] = "missing"
        with file.open("rb") as opened:
            made = host.import_template(opened)
        assert (made.name, made.state) == ("desktop", "ready")
        assert b"".join(host.export_template("desktop")) == file.read_bytes()
        with pytest.raises(InvalidRequestError, match="no exported template"):
            host.import_template([b"x" * (1 << 20)] * 5)  # more than another body may have
        with pytest.raises(NotFoundError, match="not ready"):
            b"".join(host.export_template("minimal-1796041928110"))
        assert run("template", "export", "minimal", "-o", str(folder / "none")).returncode != 0
        for words in (("export", "desktop", "-o", str(tmp_path / "no-folder" / "a")), ("import", str(tmp_path))):
            assert "cannot be" in run("template", *words).stderr
        assert [path.name for path in folder.iterdir()] == ["a.template"]
