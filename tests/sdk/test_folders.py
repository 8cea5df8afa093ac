"""Files of any size and whole folders through the SDK, both kinds of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest

from desktop_sandbox import AsyncSandbox, Sandbox, errors
from desktop_sandbox.node.reach_interface import FileChange as Told
from desktop_sandbox.sdk.reach import FileChange
from tests.live_server import Live


def test_download_and_upload(live: Live, tmp_path: Path) -> None:
    body = hashlib.sha256(b"x").digest() * 10_000
    (tmp_path / "source").write_bytes(body)
    with Sandbox.create() as desktop:
        seen: list[tuple[int, int]] = []
        info = desktop.files.upload(tmp_path / "source", "/tmp/big", progress=lambda *at: seen.append(at))
        assert info.size_bytes == len(body)
        assert seen[-1] == (len(body), len(body))
        seen.clear()
        target = desktop.files.download("/tmp/big", tmp_path / "copy", progress=lambda *at: seen.append(at))
        assert target.read_bytes() == body
        assert seen[-1] == (len(body), len(body))
        (tmp_path / "folder").mkdir()
        assert desktop.files.download("/tmp/big", tmp_path / "folder") == tmp_path / "folder" / "big"
        desktop.files.write("/tmp/empty", b"")
        assert desktop.files.download("/tmp/empty", tmp_path / "empty").read_bytes() == b""
        with pytest.raises(errors.ConfigurationError, match="cannot read"):
            desktop.files.upload(tmp_path / "none", "/tmp/x")
        with pytest.raises(errors.ConfigurationError, match="is a folder"):
            desktop.files.upload(tmp_path, "/tmp/x")
        with pytest.raises(errors.ConfigurationError, match="cannot write"):
            desktop.files.download("/tmp/big", tmp_path / "no" / "such" / "folder")
        with pytest.raises(errors.NotFoundError):
            desktop.files.download("/tmp/none", tmp_path / "none")
    assert not list(tmp_path.glob(".*.part"))


def test_a_download_goes_on_where_it_broke_off(live: Live, tmp_path: Path) -> None:
    body = bytes(range(256)) * 1000
    with Sandbox.create() as desktop:
        desktop.files.write("/tmp/big", body)

        def stop(done: int, whole: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            desktop.files.download("/tmp/big", tmp_path / "big", progress=stop)
        (part,) = tmp_path.glob(".big.*.part")
        assert 0 < part.stat().st_size < len(body)
        assert not (tmp_path / "big").exists()
        seen: list[int] = []
        before = part.stat().st_size
        desktop.files.download("/tmp/big", tmp_path / "big", resume=True, progress=lambda done, _: seen.append(done))
        assert (tmp_path / "big").read_bytes() == body
        assert seen[0] > before
        assert not part.exists()


def test_folders(live: Live, tmp_path: Path) -> None:
    (tmp_path / "source" / "deep").mkdir(parents=True)
    (tmp_path / "source" / "deep" / "ä").write_text("x" * 5000)
    with Sandbox.create() as desktop:
        seen: list[int] = []
        assert desktop.files.upload_folder(tmp_path / "source", "/tmp/there", progress=seen.append).type == "directory"
        assert desktop.files.read("/tmp/there/deep/ä") == "x" * 5000
        assert seen[-1] > 5000
        done = desktop.files.download_folder("/tmp/there", tmp_path / "copy")
        assert (done.files, done.size_bytes) == (1, 5000)
        assert (tmp_path / "copy" / "deep" / "ä").read_text() == "x" * 5000
        with pytest.raises(errors.GuestError, match="more than 10 bytes"):
            desktop.files.download_folder("/tmp/there", tmp_path / "other", max_bytes=10)
        data = b"".join(desktop.files.read_archive("/tmp/there"))
        desktop.files.write_archive("/tmp/again", data)
        assert desktop.files.exists("/tmp/again/deep/ä")


async def test_folders_async(live: Live, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_text("x" * 5000)
    async with await AsyncSandbox.create() as desktop:
        await desktop.files.upload_folder(tmp_path / "source", "/tmp/there")
        assert (await desktop.files.download_folder("/tmp/there", tmp_path / "copy")).files == 1
        assert (tmp_path / "copy" / "a").read_text() == "x" * 5000
        await desktop.files.upload(tmp_path / "source" / "a", "/tmp/b")
        assert (await desktop.files.download("/tmp/b", tmp_path / "b")).read_text() == "x" * 5000
        with pytest.raises(errors.NotFoundError):
            await desktop.files.download_folder("/tmp/none", tmp_path / "none")


def test_a_long_list_says_that_there_is_more(live: Live) -> None:
    with Sandbox.create() as desktop:
        box = live.node.sandboxes[desktop.sandbox_id]
        box.files |= {f"/tmp/{number}": b"" for number in range(5000)}
        assert desktop.files.list("/tmp").truncated is False
        box.files["/tmp/one more"] = b""
        found = desktop.files.list("/tmp")
        assert (len(found), found.truncated) == (5000, True)


def test_watch(live: Live) -> None:
    with Sandbox.create() as desktop:
        changes = iter(desktop.files.watch("/tmp", recursive=True))
        assert next(changes) == FileChange("ready", "/tmp", False)
        live.loop.call_soon_threadsafe(live.node.changes.put_nowait, Told("moved", "/tmp/b", False, "/tmp/a"))
        assert next(changes) == FileChange("moved", "/tmp/b", False, "/tmp/a")
        live.loop.call_soon_threadsafe(live.node.changes.put_nowait, None)
        assert list(changes) == []


def test_link(live: Live) -> None:
    with Sandbox.create() as desktop:
        desktop.files.write("/tmp/a", b"content")
        link = desktop.files.link("/tmp/a", expires_in=60)
        assert httpx.get(link.url).content == b"content"
        assert link.url not in repr(link)
        assert link.expires_at > desktop.get_info().created_at
