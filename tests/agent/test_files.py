"""Files through the channel: contents, rights, errors."""

from __future__ import annotations

import asyncio
import os

import pytest

from desktop_sandbox.errors import ConflictError, InvalidRequestError, NotFoundError


async def write(channel, path, *pieces: bytes, user="root", **more):
    async def chunks():
        for piece in pieces:
            yield piece

    return await channel.request("file.write", {"path": str(path), "user": user, **more}, stdin=chunks())


async def read(channel, path, user="root", **more):
    parts = []
    params = {"path": str(path), "user": user, **more}
    answer = await channel.request("file.read", params, on_data=lambda _, data: parts.append(data))
    return b"".join(parts), answer


async def test_there_and_back(channel, tmp_path):
    body = os.urandom(5_000_001)
    path = tmp_path / "new folder" / "ä 世.bin"
    assert await write(channel, path, body[:1], body[1:1_000_000], body[1_000_000:]) == {"size": len(body)}
    assert path.read_bytes() == body
    assert await read(channel, path) == (body, {"size": len(body), "mode": 0o644})
    assert os.listdir(path.parent) == [path.name]


async def test_empty(channel, tmp_path):
    assert await write(channel, tmp_path / "empty") == {"size": 0}
    assert (await read(channel, tmp_path / "empty"))[0] == b""


async def test_part_of_a_file(channel, tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    assert (await read(channel, tmp_path / "a", offset=2, length=3))[0] == b"234"
    assert (await read(channel, tmp_path / "a", offset=8))[0] == b"89"
    assert (await read(channel, tmp_path / "a", offset=80))[0] == b""
    assert (await read(channel, tmp_path / "a", length=0))[0] == b""


async def test_append_and_mode(channel, tmp_path):
    path = tmp_path / "log"
    await write(channel, path, b"one\n", mode=0o600)
    await write(channel, path, b"two\n", append=True)
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o7777 == 0o600
    await write(channel, path, b"new")
    assert path.stat().st_mode & 0o7777 == 0o600


async def test_link_is_followed_not_replaced(channel, tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    await write(channel, tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


async def test_cut_off_write_leaves_the_old_file(channel, tmp_path):
    path = tmp_path / "kept"
    path.write_bytes(b"old")

    async def chunks():
        yield b"x" * 100_000
        await asyncio.sleep(0.2)
        raise RuntimeError("the uploader went away")

    with pytest.raises(RuntimeError, match="went away"):
        await channel.request("file.write", {"path": str(path), "user": "root"}, stdin=chunks())
    for _ in range(50):
        if os.listdir(tmp_path / "x" if (tmp_path / "x").exists() else tmp_path).count("kept") == 1:
            parts = [name for name in os.listdir(tmp_path) if name.endswith(".part")]
            if not parts:
                break
        await asyncio.sleep(0.02)
    assert path.read_bytes() == b"old"
    assert not parts


async def test_errors_have_codes(channel, tmp_path):
    with pytest.raises(NotFoundError, match="nowhere"):
        await read(channel, tmp_path / "nowhere")
    with pytest.raises(InvalidRequestError, match="is a folder") as caught:
        await read(channel, tmp_path)
    assert caught.value.evidence["code"] == "is-directory"
    with pytest.raises(InvalidRequestError, match="is a folder"):
        await write(channel, tmp_path, b"x")
    with pytest.raises(InvalidRequestError, match="not a regular file"):
        await read(channel, "/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidRequestError, match="not a regular file"):
        await read(channel, tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidRequestError) as caught:
        await write(channel, tmp_path / "file" / "below", b"x")
    assert caught.value.evidence["code"] in ("not-directory", "exists")


async def test_rights_are_the_users(channel, tmp_path, needs_root):
    for folder in (tmp_path, *tmp_path.parents):
        if folder != tmp_path.parents[-1] and not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)
    secret = tmp_path / "secret"
    secret.write_bytes(b"root's")
    secret.chmod(0o600)
    for attempt in (read(channel, secret, user="nobody"), write(channel, secret, b"x", user="nobody")):
        with pytest.raises(InvalidRequestError) as caught:
            await attempt
        assert caught.value.evidence["code"] == "permission"
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    await write(channel, shared / "sub" / "mine", b"x", user="nobody")
    assert (shared / "sub" / "mine").stat().st_uid == 65534
    assert (shared / "sub").stat().st_uid == 65534
    assert (await read(channel, secret))[0] == b"root's"


async def test_entries(channel, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").write_bytes(b"12345")
    (tmp_path / "a" / "link").symlink_to("nowhere")
    ask = channel.request
    root = {"user": "root"}
    entry = await ask("file.stat", {"path": f"{tmp_path}/a/file", **root})
    assert (entry["type"], entry["size"], entry["mode"]) == ("file", 5, 0o644)
    listing = await ask("file.list", {"path": f"{tmp_path}/a", **root})
    assert [(each["path"].rsplit("/", 1)[1], each["type"]) for each in listing["entries"]] == [
        ("b", "directory"),
        ("file", "file"),
        ("link", "symlink"),
    ]
    deep = await ask("file.list", {"path": str(tmp_path / "a" / ".."), "depth": 2, **root})
    assert f"{tmp_path}/a/b" in [each["path"] for each in deep["entries"]]
    await ask("file.mkdir", {"path": f"{tmp_path}/c/d/e", **root})
    await ask("file.rename", {"source": f"{tmp_path}/a/file", "target": f"{tmp_path}/c/moved", **root})
    assert (tmp_path / "c" / "moved").read_bytes() == b"12345"
    with pytest.raises(ConflictError):
        await ask("file.remove", {"path": f"{tmp_path}/c", **root})
    await ask("file.remove", {"path": f"{tmp_path}/c", "recursive": True, **root})
    assert not (tmp_path / "c").exists()
    await ask("file.remove", {"path": f"{tmp_path}/a/link", **root})
    with pytest.raises(NotFoundError):
        await ask("file.stat", {"path": f"{tmp_path}/a/link", **root})


async def test_names_that_are_not_unicode(channel, tmp_path):
    open(os.fsencode(tmp_path) + b"/\xff", "wb").close()
    listing = await channel.request("file.list", {"path": str(tmp_path), "user": "root"})
    assert f"{tmp_path}/\ufffd" in [each["path"] for each in listing["entries"]]


async def test_slow_reader_of_a_file(channel, tmp_path):
    (tmp_path / "big").write_bytes(bytes(3_000_000))
    async with channel.stream("file.read", {"path": f"{tmp_path}/big", "user": "root"}) as exchange:
        await asyncio.sleep(0.2)
        assert sum(len(piece) for _, piece in exchange._pieces) <= 256 << 10
        total = 0
        async for _, data in exchange:
            total += len(data)
    assert total == 3_000_000


async def test_log_tail_of_a_file(channel, tmp_path):
    (tmp_path / "log").write_text("".join(f"line {n}\n" for n in range(50_000)))
    answer = await channel.request("log.tail", {"source": f"{tmp_path}/log", "lines": 2})
    assert answer == {"text": "line 49998\nline 49999"}
    with pytest.raises(InvalidRequestError):
        await channel.request("log.tail", {"source": "other"})


async def test_stat_of_a_link(channel, tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nothing")

    async def stat(name, **more):
        return await channel.request("file.stat", {"path": str(tmp_path / name), "user": "root", **more})

    assert (await stat("link"))["type"] == "symlink"
    followed = await stat("link", follow=True)
    assert (followed["type"], followed["size"], followed["path"]) == ("file", 5, str(tmp_path / "link"))
    with pytest.raises(NotFoundError):
        await stat("broken", follow=True)
