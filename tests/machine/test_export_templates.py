"""A desktop that goes to another host with all it needs: template and image in one file, its snapshot in another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from desktop_sandbox import ConflictError, Host, Sandbox, SnapshotMismatchError, UntrustedError
from tests.conftest import RealServer
from tests.machine.test_export import cli

pytestmark = pytest.mark.machine


def bare(home: Path) -> Path:
    """Give a test's HOME templates and images of its own: none."""
    for name in ("templates", "images"):
        (home / name).unlink()
        (home / name).mkdir()
    return home


def test_a_desktop_goes_to_a_host_that_has_nothing(
    server: RealServer, own_server: RealServer, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.files.write("/home/user/kept", "kept")
    saved = sandbox.checkpoint("travels")
    sandbox.kill()
    manifest = json.loads((server.home / "snapshots" / saved.snapshot_id / "manifest.json").read_text())
    folder = manifest["template"]
    template, snapshot = tmp_path / "minimal.template", tmp_path / "one.snapshot"
    bare(own_server.home)
    own_server.start()
    with Host.connect() as here, Host.connect(**own_server.client()) as there:
        cli(server, "template", "export", folder, "-o", str(template))
        cli(server, "snapshot", "export", saved.snapshot_id, str(snapshot))
        with template.open("rb") as file:
            begin = file.read(1 << 20)
        with pytest.raises(UntrustedError, match="nobody trusts"):
            there.import_template([begin])
        there.trust("elsewhere", here.signing_key())
        with pytest.raises(SnapshotMismatchError, match=f"templates/{folder} is not here") as caught:
            there.import_snapshot([snapshot.read_bytes()])
        assert f"template export {folder}" in str(caught.value.hint)

        # in three commands
        assert cli(own_server, "template", "import", str(template)) == "minimal"
        assert cli(own_server, "snapshot", "import", str(snapshot)) == saved.snapshot_id
        with Sandbox.create(snapshot=saved.snapshot_id, **own_server.client()) as begun:
            assert begun.files.read("/home/user/kept") == "kept"
            assert begun.commands.run("cat /etc/hostname").stdout.strip() == begun.sandbox_id

        with pytest.raises(ConflictError, match=f"template {folder} is here already"):
            there.import_template([begin])
        (made,) = (info for info in there.templates() if info.name == "minimal")
        (kept,) = (info for info in here.templates() if info.name == "minimal")
        assert (made.state, made.digest) == (kept.state, kept.digest)
        here.delete_snapshot(saved)
    for name in (f"templates/{folder}", f"images/minimal-{manifest['fit']['image'][:16]}"):
        theirs = [path for path in (server.home / name).iterdir() if not path.name.startswith("build-")]
        ours = [*(own_server.home / name).iterdir()]
        assert {path.name: path.stat().st_size for path in ours if path.suffix != ".json"} == {
            path.name: path.stat().st_size for path in theirs if path.suffix != ".json"
        }
        assert on_disk(ours) <= on_disk(theirs) * 1.05 + (1 << 20), "holes stay holes"
    # a gigabyte that nobody looks at again
    shutil.rmtree(own_server.home / "images")
    template.unlink()


def on_disk(paths: list[Path]) -> int:
    return sum(path.stat().st_blocks * 512 for path in paths)
