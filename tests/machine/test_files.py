"""Files in a real desktop: any size, names, rights; what is written appears whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import httpx
import pytest

from desktop_sandbox import DesktopSandboxError, NotFoundError, Sandbox
from tests.conftest import RealServer
from tests.machine.support import eventually

MIB = 1024**2


@pytest.fixture(scope="module")
def desk(server: object) -> Iterator[Sandbox]:
    """One desktop for all tests of this file: none of them spoils it."""
    with Sandbox.create("minimal", timeout=900) as sandbox:
        yield sandbox


def pattern(megabytes: int) -> Iterator[bytes]:
    for number in range(megabytes):
        yield hashlib.sha256(number.to_bytes(4)).digest() * (MIB // 32)


def test_a_hundred_megabytes_there_and_back(desk: Sandbox) -> None:
    sent = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        for block in pattern(100):
            sent.update(block)
            yield block

    info = desk.files.write("/home/user/large", chunks())
    assert info.size_bytes == 100 * MIB
    received, size = hashlib.sha256(), 0
    for chunk in desk.files.read("/home/user/large", "stream"):
        received.update(chunk)
        size += len(chunk)
    assert size == 100 * MIB
    assert received.hexdigest() == sent.hexdigest()
    desk.files.remove("/home/user/large")


def test_small_ones_and_their_names(desk: Sandbox) -> None:
    for name in ("plain", "with space", "ünï-世界-🙂", "-dash", "quote'\"", "a\nb"):
        path = f"/home/user/names/{name}"
        desk.files.write(path, name)
        assert desk.files.read(path) == name
        assert desk.files.get_info(path).name == name
    listed = {entry.name for entry in desk.files.list("/home/user/names")}
    assert listed == {"plain", "with space", "ünï-世界-🙂", "-dash", "quote'\"", "a\nb"}
    desk.files.write("/home/user/empty", b"")
    assert desk.files.read("/home/user/empty", "bytes") == b""


def test_rights_and_owners(desk: Sandbox) -> None:
    for deed in (
        lambda: desk.files.read("/etc/shadow"),
        lambda: desk.files.write("/etc/mine", "x"),
        lambda: desk.files.remove("/etc/hostname"),
    ):
        with pytest.raises(DesktopSandboxError) as caught:
            deed()
        assert "ermission" in str(caught.value) or "may not" in str(caught.value)
    assert "root:" in desk.files.read("/etc/shadow", user="root")
    desk.files.write("/home/user/script", "#!/bin/sh\necho ran\n", mode=0o750)
    assert desk.commands.run("./script; stat -c '%U %a' script").stdout == "ran\nuser 750\n"
    desk.files.write("/opt/of-root", "x", user="root")
    assert desk.commands.run("stat -c %U /opt/of-root").stdout == "root\n"


def test_what_is_not_there(desk: Sandbox) -> None:
    for deed in (desk.files.read, desk.files.get_info, desk.files.remove, desk.files.list):
        with pytest.raises(NotFoundError) as caught:
            deed("/home/user/nothing-here")
        assert "/home/user/nothing-here" in str(caught.value)
    assert not desk.files.exists("/home/user/nothing-here")
    with pytest.raises(DesktopSandboxError):
        desk.files.read("/home/user")


def test_folders_move_and_remove(desk: Sandbox) -> None:
    files = desk.files
    assert files.make_dir("/home/user/a/b/c").type == "directory"
    files.write("/home/user/a/b/c/deep", "x")
    assert {e.path for e in files.list("/home/user/a", depth=3)} == {
        "/home/user/a/b",
        "/home/user/a/b/c",
        "/home/user/a/b/c/deep",
    }
    files.rename("/home/user/a/b", "/home/user/a/moved")
    assert files.read("/home/user/a/moved/c/deep") == "x"
    with pytest.raises(DesktopSandboxError):
        files.remove("/home/user/a")
    files.remove("/home/user/a", recursive=True)
    assert not files.exists("/home/user/a")


def test_a_broken_upload_leaves_the_old_content(desk: Sandbox, server: RealServer) -> None:
    path = "/home/user/kept"
    desk.files.write(path, "old")

    def breaks() -> Iterator[bytes]:
        yield bytes(MIB)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError), httpx.Client(base_url=server.url) as client:
        client.put(
            f"/v1/sandboxes/{desk.sandbox_id}/files",
            params={"path": path},
            headers={"Authorization": f"Bearer {server.key}", "Idempotency-Key": "broken-upload"},
            content=breaks(),
        )
    assert desk.files.read(path) == "old"
    # its temporary file goes as well
    eventually(lambda: not [e.name for e in desk.files.list("/home/user") if "kept" in e.name and e.name != "kept"])


def test_a_write_replaces_at_once(desk: Sandbox) -> None:
    """A reader of the path sees the old content or the new, and never a part."""
    desk.files.write("/home/user/swapped", "a" * 200_000)
    watcher = (
        "import time\nseen=set()\nend=time.time()+40\n"
        "while time.time()<end and len(seen)<2:\n"
        "    t=open('/home/user/swapped').read(); seen.add((len(t), t[:1], t[-1:]))\n"
        "    if len(seen) == 1: print('.', end='', flush=True)\n"
        "print(sorted(seen))"
    )
    output, written = "", False
    for event in desk.commands.stream(["python3", "-c", watcher]):
        output += getattr(event, "text", "")
        if output and not written:
            written = True
            desk.files.write("/home/user/swapped", "b" * 300_000)
    assert output.lstrip(".") == "[(200000, 'a', 'a'), (300000, 'b', 'b')]\n"
