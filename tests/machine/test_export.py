"""A snapshot that leaves a server and comes to another of the same templates: trusted, fitting and whole, or not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from desktop_sandbox import (
    ConflictError,
    DesktopSandboxError,
    Host,
    InvalidRequestError,
    Sandbox,
    SnapshotMismatchError,
    UntrustedError,
)
from desktop_sandbox.snapshots.faults import VARIABLE
from desktop_sandbox.snapshots.signing import Keys
from tests.conftest import RealServer, own_templates

pytestmark = pytest.mark.machine


def cli(server: RealServer, *words: str) -> str:
    env = {**server.env, "DESKTOP_SANDBOX_API_KEY": server.key}
    done = subprocess.run(
        [sys.executable, "-m", "desktop_sandbox.cli", *words],
        env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def signed_anew(content: bytes, keys: Keys, change: dict[str, object]) -> bytes:
    """The file with another fit, signed by `keys`."""
    end = 12 + int.from_bytes(content[8:12], "little")
    head = json.loads(content[12:end])
    head["manifest"]["fit"].update(change)
    new = json.dumps(head).encode()
    message = content[:8] + len(new).to_bytes(4, "little") + new
    return message + keys.own() + keys.sign(message) + content[end + 96 :]


def test_from_one_server_to_another(
    server: RealServer, own_server: RealServer, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.files.write("/home/user/kept", "kept")
    saved = sandbox.checkpoint("travels", description="far", tags=["t"])
    sandbox.kill()
    file = tmp_path / "one.snapshot"
    cli(server, "snapshot", "export", saved.snapshot_id, str(file))
    content = file.read_bytes()
    own_server.start()
    with Host.connect() as here, Host.connect(**own_server.client()) as there:
        with pytest.raises(ConflictError, match="here already") as clash:
            here.import_snapshot([content])
        with pytest.raises(UntrustedError, match="nobody trusts") as caught:
            there.import_snapshot([content])
        assert here.signing_key() in str(caught.value)
        cli(own_server, "trust", "add", "elsewhere", here.signing_key())
        assert there.trusted() == {"elsewhere": here.signing_key()}

        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        for wrong in (flipped, content[:-1], content[:middle], b"", b"no snapshot at all"):
            with pytest.raises(InvalidRequestError):
                there.import_snapshot([wrong])
        unfit = signed_anew(content, Keys(server.home), {"qemu": "9.9/x", "cpu": "other"})
        with pytest.raises(SnapshotMismatchError, match=r"the QEMU build is .*9\.9/x.*the CPU model"):
            there.import_snapshot([unfit])
        assert there.snapshots() == []
        folder = own_server.home / "snapshots"
        assert not folder.exists() or [*folder.iterdir()] == []

        assert cli(own_server, "snapshot", "import", str(file)) == saved.snapshot_id
        (taken,) = there.snapshots()
        assert (taken.name, taken.description, taken.tags, taken.parent) == ("travels", "far", ("t",), None)
        with Sandbox.create(snapshot=taken, **own_server.client()) as begun:
            assert begun.files.read("/home/user/kept") == "kept"
        own_server.kill()
        own_server.start()
        assert [info.snapshot_id for info in there.snapshots()] == [saved.snapshot_id]
        cli(own_server, "trust", "rm", "elsewhere")
        there.delete_snapshot(taken)
        with pytest.raises(UntrustedError):
            there.import_snapshot([content])
        assert "--name" in str(clash.value.hint)
        second = here.import_snapshot([content], name="once more")
        assert (second.name, second.description) == ("once more", "far")
        assert second.snapshot_id != saved.snapshot_id
        with Sandbox.create(snapshot=second) as copy:
            assert copy.files.read("/home/user/kept") == "kept"
        here.delete_snapshot(second)
        here.delete_snapshot(saved)
        assert here.import_snapshot([content]).name == "travels", "what this host signed itself"
        here.delete_snapshot(saved)


def test_a_host_without_the_template_says_which_it_needs(
    server: RealServer, own_server: RealServer, sandbox: Sandbox
) -> None:
    saved = sandbox.checkpoint()
    with Host.connect() as here:
        content = b"".join(here.export_snapshot(saved))
        below = json.loads((server.home / "snapshots" / saved.snapshot_id / "manifest.json").read_text())
        own_templates(own_server.home)
        (own_server.home / "templates" / below["template"]).unlink()
        own_server.start()
        with Host.connect(**own_server.client()) as there:
            there.trust("elsewhere", here.signing_key())
            with pytest.raises(SnapshotMismatchError, match=f"templates/{below['template']} is not here") as caught:
                there.import_snapshot([content])
            assert below["template_ram"][:16] in str(caught.value)
            assert below["fit"]["image"][:16] in str(caught.value)
            assert there.snapshots() == []
            # that folder from there does as well as its file (see test_export_templates)
            (own_server.home / "templates" / below["template"]).symlink_to(
                (server.home / "templates" / below["template"]).resolve()
            )
            assert there.import_snapshot([content]).snapshot_id == saved.snapshot_id
        here.delete_snapshot(saved)


@pytest.mark.parametrize(
    "place", ["export.piece:2", "import.part", "import.part:3", "import.manifest", "import.renamed"]
)
def test_a_server_that_dies_while_it_carries_leaves_all_or_nothing(
    own_server: RealServer, tmp_path: Path, place: str
) -> None:
    own_server.start()
    with Sandbox.create("minimal", timeout=None, **own_server.client()) as sandbox:
        sandbox.files.write("/home/user/kept", "kept")
        saved = sandbox.checkpoint()
    file = tmp_path / "one.snapshot"
    with Host.connect(**own_server.client()) as host:
        if place.startswith("import"):
            cli(own_server, "snapshot", "export", saved.snapshot_id, str(file))
            host.delete_snapshot(saved)
        own_server.kill()
        own_server.start(**{VARIABLE: place})

        def carry() -> object:
            if not place.startswith("import"):
                return b"".join(host.export_snapshot(saved))
            with file.open("rb") as source:
                return host.import_snapshot(source)

        with pytest.raises(DesktopSandboxError):
            carry()
        assert own_server.process is not None
        assert own_server.process.wait(30) == -9
        own_server.start()
        folder = own_server.home / "snapshots"
        found = {info.snapshot_id for info in host.snapshots()}
        assert found == {path.name for path in folder.iterdir()}
        if place.startswith("import"):
            assert found == set(), "nobody was told of it"
            with file.open("rb") as source:
                host.import_snapshot(source)
        with Sandbox.create(snapshot=saved, **own_server.client()) as begun:
            assert begun.files.read("/home/user/kept") == "kept"
