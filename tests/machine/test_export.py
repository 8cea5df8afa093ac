"""A snapshot that leaves a server and comes to another of the same templates: trusted, fitting and whole, or not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from desktop_sandbox import ConflictError, Host, InvalidRequestError, Sandbox, SnapshotMismatchError, UntrustedError
from desktop_sandbox.snapshots.signing import Keys
from tests.conftest import RealServer

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
        with pytest.raises(ConflictError, match="here already"):
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
        here.delete_snapshot(saved)
        assert here.import_snapshot([content]).name == "travels", "what this host signed itself"
        here.delete_snapshot(saved)
