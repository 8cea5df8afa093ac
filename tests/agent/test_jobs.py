"""Commands and terminals that outlive their request, through the channel."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import struct
import sys
from contextlib import asynccontextmanager

import pytest

from desktop_sandbox.errors import ChannelError, DeadlineError, GuestError, InvalidRequestError, NotFoundError
from guest_image.agent import jobs as jobs_module

_names = (f"job-{number}" for number in itertools.count())
WAIT_S = 20


async def start(channel, command, **more):
    return await channel.request("job.start", {"job": next(_names), "command": command, "user": "root", **more})


class Attached:
    """Somebody attached: `out` and `err` are what came, `offset` where it began."""

    def __init__(self, channel, job, *, stdin=True, after=None) -> None:
        self.channel, self.job, self.after = channel, job, after
        self.keys: asyncio.Queue | None = asyncio.Queue() if stdin else None
        self.out = bytearray()
        self.err = bytearray()
        self.news = asyncio.Event()
        self.slow = asyncio.Event()
        self.slow.set()

    async def _typed(self):
        while (data := await self.keys.get()) is not None:
            yield data

    async def run(self):
        params = {"job": self.job, "after": self.after, "stdin": self.keys is not None}
        stdin = None if self.keys is None else self._typed()
        async with self.channel.stream("job.attach", params, timeout_s=None, stdin=stdin) as stream:
            async for number, data in stream:
                (self.out if number == 1 else self.err).extend(data)
                self.news.set()
                await self.slow.wait()
            return await stream.result()

    @property
    def offset(self):
        return struct.unpack(">Q", self.out[:8])[0]

    @property
    def text(self):
        return bytes(self.out[8:])

    async def until(self, data):
        try:
            async with asyncio.timeout(WAIT_S):
                while data not in self.text:
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            pytest.fail(f"{data!r} never came, but {self.text[-2000:]!r}")


@asynccontextmanager
async def attached(channel, job, **more):
    me = Attached(channel, job, **more)
    me.task = asyncio.create_task(me.run())
    try:
        yield me
    finally:
        me.task.cancel()
        await asyncio.wait([me.task])


async def eventually(look):
    async with asyncio.timeout(WAIT_S):
        while not (found := await look()):
            await asyncio.sleep(0.02)
    return found


async def listed(channel, job):
    return next(each for each in (await channel.request("job.list"))["jobs"] if each["job"] == job)


async def test_output_exit_code_and_list(channel):
    made = await start(channel, "echo out; echo err >&2; exit 3")
    assert (made["running"], made["terminal"], made["attached"]) == (True, False, 0)
    assert made["command"] == ["/bin/bash", "-c", "echo out; echo err >&2; exit 3"]
    async with attached(channel, made["job"], stdin=False) as me:
        ended = await asyncio.wait_for(me.task, WAIT_S)
        assert (me.text, bytes(me.err), me.offset) == (b"out\n", b"err\n", 0)
    assert (ended["exit_code"], ended["signal"], ended["running"]) == (3, None, False)
    async with attached(channel, made["job"], stdin=False) as me:
        assert (await asyncio.wait_for(me.task, WAIT_S))["exit_code"] == 3
        assert me.text == b"out\n"
    assert (await listed(channel, made["job"]))["end"] == 8


async def test_the_same_id_starts_once(channel, tmp_path):
    params = {"job": "mine", "command": f"echo x >> {tmp_path}/count", "user": "root"}
    one = await channel.request("job.start", params)
    two = await channel.request("job.start", params)
    assert one["pid"] == two["pid"]
    await eventually(lambda: done(channel, "mine"))
    assert (tmp_path / "count").read_text() == "x\n"


async def done(channel, job):
    return not (await listed(channel, job))["running"]


async def test_input_by_pipe_and_its_end(channel):
    made = await start(channel, ["cat"], stdin=True)
    async with attached(channel, made["job"]) as me:
        me.keys.put_nowait(b"one ")
        await me.until(b"one ")
    # the connection is gone, the command is not
    async with attached(channel, made["job"]) as me:
        me.keys.put_nowait(b"two")
        await me.until(b"one two")
        me.keys.put_nowait(None)
        assert (await asyncio.wait_for(me.task, WAIT_S))["exit_code"] == 0


async def test_a_channel_that_breaks_ends_nothing(guest):
    channel = await guest.hub.channel()
    made = await start(channel, "echo begun; read line; echo got $line", stdin=True)
    async with attached(channel, made["job"]) as me:
        await me.until(b"begun\n")
        await channel.aclose()
        with pytest.raises(ChannelError):
            await me.task
    channel = await guest.hub.channel()
    async with attached(channel, made["job"], after=6) as me:
        me.keys.put_nowait(b"it\n")
        assert (await asyncio.wait_for(me.task, WAIT_S))["exit_code"] == 0
        assert (me.text, me.offset) == (b"got it\n", 6)
    await channel.aclose()


async def test_a_terminal(channel):
    made = await start(channel, ["/bin/bash", "--norc"], terminal=True, rows=30, columns=100, env={"PS1": "$ "})
    async with attached(channel, made["job"]) as me:
        me.keys.put_nowait(b"tty; stty size; echo $TERM; ps -o tpgid= -p $$ >/dev/null && echo in charge\r")
        await me.until(b"\nin charge")
        assert b"/dev/pts/" in me.text
        assert b"30 100" in me.text
        assert b"xterm-256color" in me.text
        await channel.request("job.resize", {"job": made["job"], "rows": 50, "columns": 132})
        me.keys.put_nowait(b"stty size\r")
        await me.until(b"50 132")
        me.keys.put_nowait(b"exec sh -c 'echo go; exec sleep 1000'\r")
        await me.until(b"\rgo\r\n")
        me.keys.put_nowait(b"\x03")
        ended = await asyncio.wait_for(me.task, WAIT_S)
    assert (ended["exit_code"], ended["signal"], ended["terminal"]) == (130, signal.SIGINT, True)
    with pytest.raises(InvalidRequestError):
        await channel.request("job.resize", {"job": made["job"], "rows": 50, "columns": 132})


async def test_a_terminal_is_come_back_to(channel):
    made = await start(channel, ["/bin/bash", "--norc"], terminal=True, env={"PS1": "$ "})
    async with attached(channel, made["job"]) as me:
        me.keys.put_nowait(b"x=kept; echo before\r")
        await me.until(b"\rbefore\r\n")
        seen = me.offset + len(me.text)
    await eventually(lambda: nobody(channel, made["job"]))
    async with attached(channel, made["job"]) as me, attached(channel, made["job"], after=seen) as other:
        await me.until(b"before")
        me.keys.put_nowait(b"echo $x again\r")
        await me.until(b"\rkept again\r\n")
        await other.until(b"\rkept again\r\n")
        assert b"before" not in other.text
        me.keys.put_nowait(b"exit\r")
        assert (await asyncio.wait_for(me.task, WAIT_S))["exit_code"] == 0
        await asyncio.wait_for(other.task, WAIT_S)


async def nobody(channel, job):
    return (await listed(channel, job))["attached"] == 0


async def test_signals_and_end(channel):
    made = await start(channel, "trap 'echo usr; ' USR1; echo ready; while :; do sleep 0.05; done")
    async with attached(channel, made["job"], stdin=False) as me:
        await me.until(b"ready")
        await channel.request("job.signal", {"job": made["job"], "signal": signal.SIGUSR1})
        await me.until(b"usr")
        ended = await channel.request("job.end", {"job": made["job"]})
        assert ended["job"] == made["job"]
        assert (await asyncio.wait_for(me.task, WAIT_S))["signal"] == signal.SIGTERM
    shell = await start(channel, ["/bin/bash", "--norc"], terminal=True)
    await channel.request("job.end", {"job": shell["job"]})
    assert await eventually(lambda: done(channel, shell["job"]))


async def test_timeout(channel):
    made = await start(channel, "sleep 1000", timeout_ms=100)
    async with attached(channel, made["job"], stdin=False) as me:
        assert (await asyncio.wait_for(me.task, WAIT_S))["timed_out"] is True


async def test_scrollback_is_bounded_and_offsets_go_on(channel):
    made = await start(channel, [sys.executable, "-c", "print('x' * 999_999)"])
    await eventually(lambda: done(channel, made["job"]))
    async with attached(channel, made["job"], stdin=False) as me:
        await asyncio.wait_for(me.task, WAIT_S)
        assert len(me.text) == 256 << 10
        assert me.offset == 1_000_000 - (256 << 10)
    async with attached(channel, made["job"], stdin=False, after=10**9) as me:
        await asyncio.wait_for(me.task, WAIT_S)
        assert (me.text, me.offset) == (b"", 1_000_000)


async def test_a_slow_reader_loses_nothing(channel):
    script = "import sys; [sys.stdout.write(f'{n:09}\\n') for n in range(300_000)]"
    made = await start(channel, ["sh", "-c", f'sleep 0.2; exec {sys.executable} -c "{script}"'])
    async with attached(channel, made["job"], stdin=False) as me:
        await me.until(b"")
        me.slow.clear()
        await asyncio.sleep(0.5)
        assert (await listed(channel, made["job"]))["running"]
        me.slow.set()
        assert (await asyncio.wait_for(me.task, 60))["exit_code"] == 0
        assert me.text == b"".join(b"%09d\n" % n for n in range(300_000))


async def test_a_reader_that_stops_is_let_go(channel, monkeypatch):
    monkeypatch.setattr(jobs_module, "STALL_S", 0.3)
    made = await start(channel, [sys.executable, "-c", "print('x' * 3_000_000)"])
    async with attached(channel, made["job"], stdin=False) as me:
        me.slow.clear()
        await eventually(lambda: done(channel, made["job"]))
        me.slow.set()
        with pytest.raises(GuestError, match="not taken"):
            await asyncio.wait_for(me.task, WAIT_S)


async def test_bounds(channel, monkeypatch):
    monkeypatch.setattr(jobs_module, "MAX_RUNNING", 2)
    monkeypatch.setattr(jobs_module, "MAX_KEPT", 1)
    made = [await start(channel, "sleep 1000") for _ in range(2)]
    with pytest.raises(GuestError, match="background commands and terminals run"):
        await start(channel, "true")
    for each in made:
        await channel.request("job.end", {"job": each["job"]})
    await eventually(lambda: none_runs(channel))
    await start(channel, "true")
    assert len((await channel.request("job.list"))["jobs"]) == 2  # one that ended, one that runs
    with pytest.raises(NotFoundError):
        await channel.request("job.attach", {"job": made[0]["job"]})


async def none_runs(channel):
    return not any(each["running"] for each in (await channel.request("job.list"))["jobs"])


async def test_what_has_ended_is_forgotten(channel, monkeypatch):
    made = await start(channel, "true")
    await eventually(lambda: done(channel, made["job"]))
    monkeypatch.setattr(jobs_module, "KEPT_S", -1.0)
    assert (await channel.request("job.list"))["jobs"] == []


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"job": ""}, InvalidRequestError),
        ({"job": "x" * 65}, InvalidRequestError),
        ({"command": ["/no/such/program"]}, NotFoundError),
        ({"command": "true", "cwd": "/no/such/folder"}, NotFoundError),
        ({"command": "true", "user": "nobody-here"}, NotFoundError),
        ({"command": "true", "terminal": True, "rows": 0}, InvalidRequestError),
        ({"command": ["/no/such/program"], "terminal": True}, NotFoundError),
        ({"command": "true", "env": {"A=B": "x"}}, InvalidRequestError),
    ],
)
async def test_what_cannot_be_started(channel, more, kind):
    params = {"job": next(_names), "user": "root", "command": "true", **more}
    with pytest.raises(kind):
        await channel.request("job.start", params)
    assert (await channel.request("job.list"))["jobs"] == []


async def test_rights_of_a_terminal(channel, needs_root, guest):
    made = await channel.request(
        "job.start",
        {"job": "theirs", "command": "id -un; stat -c '%U %a' $(tty); touch /root/x", "user": "nobody", "cwd": "/",
         "terminal": True},
    )  # fmt: skip
    async with attached(channel, made["job"], stdin=False) as me:
        await asyncio.wait_for(me.task, WAIT_S)
    assert me.text.startswith(b"nobody\r\nnobody 620\r\n")
    assert b"denied" in me.text
    assert not os.path.exists("/root/x")


async def test_a_program_left_behind_does_not_keep_a_job(channel):
    made = await start(channel, "sleep 5 & echo done")
    async with attached(channel, made["job"], stdin=False) as me:
        try:
            assert (await asyncio.wait_for(me.task, WAIT_S))["exit_code"] == 0
        except DeadlineError:
            pytest.fail("it was waited for")
    assert me.text == b"done\n"
