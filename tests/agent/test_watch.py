"""Changes of files through the channel."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager

import pytest

from desktop_sandbox.errors import GuestError, InvalidRequestError, NotFoundError
from guest_image.agent import inotify


class Seen:
    def __init__(self) -> None:
        self.changes: list[dict] = []
        self.news = asyncio.Event()

    async def until(self, event, path):
        async with asyncio.timeout(20):
            while True:
                for change in self.changes:
                    if change["event"] == event and change["path"] == str(path):
                        return change
                self.news.clear()
                await self.news.wait()

    def events(self, path):
        return [change["event"] for change in self.changes if change["path"] == str(path)]


@asynccontextmanager
async def watching(channel, path, **more):
    seen = Seen()
    rest = bytearray()

    def on_data(_, data):
        rest.extend(data)
        while b"\n" in rest:
            line, _, tail = bytes(rest).partition(b"\n")
            rest[:] = tail
            seen.changes.append(json.loads(line))
        seen.news.set()

    params = {"path": str(path), "user": "root", **more}
    task = asyncio.create_task(channel.request("file.watch", params, timeout_s=None, on_data=on_data))
    seen.task = task
    try:
        ready = asyncio.create_task(seen.until("ready", path))
        await asyncio.wait([ready, task], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if task.done():
            await task
        yield seen
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_folder(channel, tmp_path):
    async with watching(channel, tmp_path) as seen:
        (tmp_path / "a").write_text("x")
        await seen.until("written", tmp_path / "a")
        assert seen.events(tmp_path / "a") == ["created", "changed", "written"]
        (tmp_path / "a").rename(tmp_path / "b")
        assert (await seen.until("moved", tmp_path / "b"))["from"] == str(tmp_path / "a")
        (tmp_path / "b").chmod(0o600)
        await seen.until("attributes", tmp_path / "b")
        (tmp_path / "b").unlink()
        await seen.until("removed", tmp_path / "b")
        (tmp_path / "folder").mkdir()
        assert (await seen.until("created", tmp_path / "folder"))["folder"] is True
        (tmp_path / "folder" / "inside").write_text("x")
        (tmp_path / "last").write_text("x")
        await seen.until("written", tmp_path / "last")
        assert seen.events(tmp_path / "folder" / "inside") == []


async def test_below_too(channel, tmp_path):
    (tmp_path / "old" / "deep").mkdir(parents=True)
    async with watching(channel, tmp_path, recursive=True) as seen:
        (tmp_path / "old" / "deep" / "x").write_text("x")
        await seen.until("written", tmp_path / "old" / "deep" / "x")
        os.makedirs(tmp_path / "new" / "er")
        await seen.until("created", tmp_path / "new" / "er")
        (tmp_path / "new" / "er" / "y").write_text("y")
        await seen.until("written", tmp_path / "new" / "er" / "y")
        (tmp_path / "old").rename(tmp_path / "moved")
        await seen.until("moved", tmp_path / "moved")
        (tmp_path / "moved" / "deep" / "z").write_text("z")
        await seen.until("written", tmp_path / "moved" / "deep" / "z")


async def test_links_are_not_followed(channel, tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    async with watching(channel, inside, recursive=True) as seen:
        (outside / "secret").write_text("x")
        (inside / "end").write_text("x")
        await seen.until("written", inside / "end")
        assert not [change for change in seen.changes if "secret" in change["path"]]


async def test_a_file_until_it_is_gone(channel, tmp_path):
    path = tmp_path / "log"
    path.write_text("")
    async with watching(channel, path) as seen:
        with path.open("a") as file:
            file.write("x")
        await seen.until("written", path)
        path.unlink()
        await seen.until("removed", path)
        assert await asyncio.wait_for(seen.task, 20) == {}


async def test_names_that_are_no_text(channel, tmp_path):
    async with watching(channel, tmp_path) as seen:
        with open(os.fsencode(tmp_path) + b"/\xff\n", "wb"):
            pass
        await seen.until("created", f"{tmp_path}/\udcff\n")


async def test_a_flood_is_survived(channel, tmp_path):
    async with watching(channel, tmp_path) as seen:
        for number in range(3000):
            (tmp_path / str(number)).touch()
        await seen.until("written", tmp_path / "2999")


async def test_what_cannot_be_watched(channel, tmp_path, monkeypatch):
    with pytest.raises(NotFoundError):
        async with watching(channel, tmp_path / "none"):
            pass
    for name in "abc":
        (tmp_path / name).mkdir()
    monkeypatch.setattr(inotify, "MAX_WATCHES", 2)
    with pytest.raises(GuestError, match="more than 2 folders"):
        async with watching(channel, tmp_path, recursive=True):
            pass


async def test_rights(channel, tmp_path, needs_root):
    (tmp_path / "mine").mkdir(mode=0o700)
    for parent in (tmp_path, *tmp_path.parents):
        if str(parent) not in ("/", "/tmp"):
            parent.chmod(0o755)
    with pytest.raises(InvalidRequestError, match="ermission"):
        async with watching(channel, tmp_path / "mine", user="nobody"):
            pass
