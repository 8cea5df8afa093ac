"""The node's way into a machine, on a real agent without one: what the API asks, done by what runs in the guest."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
from contextlib import suppress
from types import SimpleNamespace

import pytest
import pytest_asyncio

from desktop_sandbox.errors import ChannelError, GuestError, InvalidRequestError, NotFoundError
from desktop_sandbox.node.guest_calls import GuestCalls
from desktop_sandbox.node.reach_facts import read_change, read_job
from desktop_sandbox.node.reach_interface import JobSpec
from desktop_sandbox.node.reaching import Reaching
from desktop_sandbox.sdk.archive import pack, unpack

WAIT_S = 30
BOX = "sb1"


class Node(GuestCalls, Reaching):
    """Only these parts of a node, with one machine's channel."""

    def __init__(self, channel) -> None:
        self.channel = channel

    async def live(self, sandbox_id, *, resume=True):
        async def guest():
            return SimpleNamespace(channel=self.channel)

        return SimpleNamespace(guest=guest)

    async def get(self, sandbox_id):
        raise NotImplementedError


@pytest_asyncio.fixture
async def node(channel):
    return Node(channel)


async def pieces(data, size=40_000):
    for start in range(0, len(data), size):
        yield data[start : start + size]
        await asyncio.sleep(0)


async def all_of(chunks):
    return b"".join([chunk async for chunk in chunks])


def unpacked(data, folder):
    source = iter([data])
    return unpack(lambda: next(source, b""), folder)


async def test_folders_there_and_back(node, tmp_path):
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "ä 世\n").write_bytes(os.urandom(1_000_000))
    (source / "-dash").write_text("x")
    (source / "deep" / "er" / "link").symlink_to("../ä 世\n")
    guests = tmp_path / "guest's own"
    await node.write_archive(BOX, str(guests), pieces(b"".join(pack(source))), user="root")
    assert (guests / "deep" / "ä 世\n").read_bytes() == (source / "deep" / "ä 世\n").read_bytes()
    for gzip in (False, True):
        data = await all_of(node.read_archive(BOX, str(guests), user="root", gzip=gzip))
        assert data.startswith(b"\x1f\x8b") is gzip
        await node.write_archive(BOX, f"{tmp_path}/again{gzip}", pieces(data), user="root")
        assert (tmp_path / f"again{gzip}" / "-dash").read_text() == "x"
    done = unpacked(await all_of(node.read_archive(BOX, str(guests), user="root")), tmp_path / "here")
    assert (done.files, done.links, done.skipped) == (2, 1, [])


async def test_folders_that_do_not_work(node, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotFoundError):
        await all_of(node.read_archive(BOX, str(tmp_path / "none"), user="root"))
    with pytest.raises(InvalidRequestError, match="no folder"):
        await all_of(node.read_archive(BOX, str(tmp_path / "file"), user="root"))
    for data in (b"no tar" * 5000, b"\x1f\x8bno gzip" * 500):
        with pytest.raises(InvalidRequestError, match="could not unpack"):
            await node.write_archive(BOX, str(tmp_path / "to"), pieces(data), user="root")
    with pytest.raises(InvalidRequestError, match="empty"):
        await node.write_archive(BOX, str(tmp_path / "to"), pieces(b""), user="root")


async def test_an_archive_of_hostile_names_stays_in_the_guests_folder(node, tmp_path):
    """The guest's tar unpacks in the guest; even there, not beside the folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("../beside", "/tmp/reach-absolute", "good"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    with suppress(InvalidRequestError):  # tar says that it left some out
        await node.write_archive(BOX, str(tmp_path / "to"), pieces(out.getvalue()), user="root")
    assert not (tmp_path / "beside").exists()
    assert not os.path.exists("/tmp/reach-absolute")


async def test_a_part_of_a_file_and_links(node, tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to("a")
    where = str(tmp_path / "link")
    assert await all_of(node.read_file(BOX, where, user="root", offset=3, length=4)) == b"3456"
    assert (await node.stat_file(BOX, where, user="root", follow=True)).size_bytes == 10
    assert (await node.stat_file(BOX, where, user="root")).type == "symlink"


async def test_watch(node, tmp_path):
    changes = node.watch_files(BOX, str(tmp_path), recursive=True, user="root")
    assert (await anext(changes)).event == "ready"
    (tmp_path / "a").write_text("x")
    seen = []
    async with asyncio.timeout(WAIT_S):
        async for change in changes:
            seen.append((change.event, change.path))
            if change.event == "written":
                (tmp_path / "a").rename(tmp_path / "b")
            if change.event == "moved":
                assert change.source == str(tmp_path / "a")
                break
    await changes.aclose()
    assert ("created", str(tmp_path / "a")) in seen
    with pytest.raises(NotFoundError):
        await anext(node.watch_files(BOX, str(tmp_path / "none"), user="root"))


async def test_a_terminal(node):
    keys = asyncio.Queue()

    async def typed():
        while True:
            yield await keys.get()

    spec = JobSpec(["/bin/bash", "--norc"], user="root", terminal=True, rows=30, columns=100, env={"PS1": "$ "})
    made = await node.start_job(BOX, "term-1", spec)
    assert (made.terminal, made.rows, made.columns, made.running) == (True, 30, 100, True)
    seen = bytearray()
    async with asyncio.timeout(WAIT_S), node.attach_job(BOX, "term-1", stdin=typed()) as link:
        assert link.offset == 0
        await node.resize_job(BOX, "term-1", 50, 132)
        keys.put_nowait(b"stty size; exit 4\r")
        async for piece in link:
            assert piece.stream == "stdout"
            seen += piece.data
        ended = await link.ended()
    assert b"50 132" in seen
    assert (ended.exit_code, ended.running, ended.end) == (4, False, len(seen))
    assert [job.id for job in await node.jobs(BOX)] == ["term-1"]


async def test_a_command_in_the_background(node):
    await node.start_job(BOX, "job-1", JobSpec("cat; echo bad >&2; exit 3", user="root", stdin=True))
    async with asyncio.timeout(WAIT_S), node.attach_job(BOX, "job-1", stdin=pieces(b"x" * 300_000)) as link:
        got = {"stdout": bytearray(), "stderr": bytearray()}
        async for piece in link:
            got[piece.stream] += piece.data
        assert (await link.ended()).exit_code == 3
    assert (len(got["stdout"]), bytes(got["stderr"])) == (300_000, b"bad\n")
    with pytest.raises(NotFoundError):
        async with node.attach_job(BOX, "job-2"):
            pass
    await node.start_job(BOX, "job-3", JobSpec("sleep 1000", user="root"))
    await node.signal_job(BOX, "job-3", 15)
    async with asyncio.timeout(WAIT_S), node.attach_job(BOX, "job-3", after=0) as link:
        assert [piece async for piece in link] == []
        assert (await link.ended()).signal == 15


async def test_leaving_ends_nothing_and_end_does(node):
    await node.start_job(BOX, "job-1", JobSpec("echo begun; sleep 1000", user="root"))
    async with asyncio.timeout(WAIT_S):
        async with node.attach_job(BOX, "job-1") as link:
            async for piece in link:
                assert piece.data == b"begun\n"
                break
        assert [job.running for job in await node.jobs(BOX)] == [True]
        await node.end_job(BOX, "job-1")
        while (await node.jobs(BOX))[0].running:
            await asyncio.sleep(0.05)


async def test_what_breaks_is_told(node, guest, channel):
    await node.start_job(BOX, "job-1", JobSpec("sleep 1000", user="root"))

    async def follow():
        async with node.attach_job(BOX, "job-1") as link:
            await channel.aclose()
            return [piece async for piece in link]

    with pytest.raises(ChannelError):
        await asyncio.wait_for(follow(), WAIT_S)
    node.channel = await guest.hub.channel()
    await node.end_job(BOX, "job-1")
    async with asyncio.timeout(WAIT_S):
        while (await node.jobs(BOX))[0].running:
            await asyncio.sleep(0.05)
    await node.channel.aclose()


async def test_ports(node):
    async def shout(reader, writer):
        writer.write((await reader.read()).upper())
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(WAIT_S), node.connect_port(BOX, port, pieces(b"hello" * 50_000)) as link:
        assert await all_of(link) == b"HELLO" * 50_000
        await link.closed()
    server.close()
    await server.wait_closed()
    with pytest.raises(NotFoundError):
        async with node.connect_port(BOX, port, pieces(b"")):
            pass


JOB = {
    "job": "j",
    "command": ["x"],
    "user": "u",
    "pid": 1,
    "terminal": False,
    "rows": 0,
    "columns": 0,
    "running": True,
    "started_ns": 1,
    "ended_ns": None,
    "exit_code": None,
    "signal": None,
    "timed_out": False,
    "attached": 0,
    "start": 0,
    "end": 0,
}


@pytest.mark.parametrize(
    "lie",
    [
        {"job": ""},
        {"job": "x" * 100},
        {"job": None},
        {"command": "x"},
        {"command": [1]},
        {"command": ["x"] * 1000},
        {"pid": -1},
        {"pid": "1"},
        {"pid": True},
        {"end": 1 << 70},
        {"started_ns": None},
        {"exit_code": "0"},
        {"user": 7},
    ],
)
def test_a_guest_that_lies_of_jobs(lie):
    with pytest.raises(GuestError):
        read_job({**JOB, **lie})
    read_job(JOB)
    assert read_job({**JOB, "started_ns": (1 << 63) - 1}).started_at < 253_402_300_800


@pytest.mark.parametrize("said", [None, [], "x", {}, {**JOB, "command": None}])
def test_what_is_no_job(said):
    with pytest.raises(GuestError):
        read_job(said)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"event": "created"}',
        b'{"event": "burned", "path": "/x"}',
        b'{"event": "created", "path": 7}',
        b'{"event": "moved", "path": "/x", "from": 7}',
        b"[" * 100_000,
        b'{"event": "created", "path": "' + b"x" * 20_000 + b'"}',
    ],
)
def test_a_guest_that_lies_of_changes(line):
    with pytest.raises(GuestError):
        read_change(line)
