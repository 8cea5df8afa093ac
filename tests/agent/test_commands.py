"""command.run over the whole way: channel, frames, agent, processes."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from desktop_sandbox.errors import DeadlineError, GuestError, InvalidRequestError, NotFoundError


async def run(channel, command, *, timeout_s=10, stdin=None, **params):
    out = {1: b"", 2: b""}

    def collect(stream: int, data: bytes) -> None:
        out[stream] += data

    asked = {"command": command, "user": "root", "stdin": stdin is not None, **params}
    result = await channel.request("command.run", asked, timeout_s=timeout_s, stdin=stdin, on_data=collect)
    return result, out[1], out[2]


async def chunks(*pieces: bytes):
    for piece in pieces:
        yield piece


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_output_and_exit_code(channel):
    result, out, err = await run(channel, "echo out; echo err >&2; exit 3")
    assert result == {"exit_code": 3, "signal": None, "timed_out": False}
    assert (out, err) == (b"out\n", b"err\n")


async def test_argument_vector_is_not_a_shell_line(channel):
    _, out, _ = await run(channel, ["echo", "$HOME *"])
    assert out == b"$HOME *\n"


async def test_environment_folder_and_session(channel, guest):
    (guest.session / "environment").write_text("DISPLAY=:5\nFROM_SESSION=yes=1\n")
    line = 'echo "$DISPLAY $FROM_SESSION $EXTRA $PWD $HOME $USER"; ps -o sid= -p $$'
    _, out, _ = await run(channel, line, cwd="/usr", env={"EXTRA": "é x"})
    first, second = out.decode().splitlines()
    assert first == ":5 yes=1 é x /usr /root root"
    assert int(second) != os.getsid(0)


async def test_stdin_is_streamed(channel):
    body = os.urandom(3 << 20)
    result, out, _ = await run(channel, "cat", stdin=chunks(body[:10], body[10 : 2 << 20], body[2 << 20 :]))
    assert result["exit_code"] == 0
    assert out == body


async def test_program_that_does_not_read_its_input(channel):
    result, _, _ = await run(channel, "exec 0<&-; exit 7", stdin=chunks(bytes(4 << 20)))
    assert result["exit_code"] == 7


async def test_slow_reader_slows_the_program_down(channel):
    async with channel.stream(
        "command.run", {"command": "yes | head -c 20000000", "user": "root"}, timeout_s=20
    ) as exchange:
        await asyncio.sleep(0.3)
        held = sum(len(piece) for _, piece in exchange._pieces)
        assert 0 < held <= 256 << 10
        total = 0
        async for _, data in exchange:
            total += len(data)
        assert total == 20_000_000
        assert (await exchange.result())["exit_code"] == 0


async def test_signal_is_reported(channel):
    result, _, _ = await run(channel, "kill -SEGV $$")
    assert result == {"exit_code": 139, "signal": 11, "timed_out": False}


async def test_time_out_ends_the_whole_group(channel):
    begin = time.monotonic()
    result, out, _ = await run(
        channel, "trap '' TERM; sleep 1000 & echo $!; (trap '' TERM; sleep 1000) & echo $!; wait", timeout_ms=200
    )
    assert result["timed_out"] is True
    assert result["signal"] == 9
    assert time.monotonic() - begin < 10
    pids = list(map(int, out.split()))
    assert len(pids) == 2
    # the kernel ends the members of a group one after another; only the first is the command itself
    deadline = time.monotonic() + 10
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, pids
        await asyncio.sleep(0.01)


async def test_time_out_asks_first(channel):
    result, out, _ = await run(channel, "trap 'echo bye; exit 4' TERM; sleep 1000 & wait", timeout_ms=200)
    assert result == {"exit_code": 4, "signal": None, "timed_out": True}
    assert out == b"bye\n"


async def test_cancel_ends_the_group_and_frees_the_caller(channel):
    pids = []
    async with channel.stream("command.run", {"command": "echo $$; sleep 1000", "user": "root"}) as exchange:
        async for _, data in exchange:
            pids.append(int(data))
            break
        assert alive(pids[0])
        channel.cancel(exchange)
        with pytest.raises(GuestError) as caught:
            await exchange.result()
    assert caught.value.evidence["code"] == "cancelled"
    assert caught.value.evidence["detail"]["signal"] == 15
    assert not alive(pids[0])


async def test_leaving_the_stream_cancels(channel):
    async with channel.stream("command.run", {"command": "echo $$; sleep 1000", "user": "root"}) as exchange:
        _, data = await anext(exchange)
    for _ in range(100):
        if not alive(int(data)):
            break
        await asyncio.sleep(0.02)
    assert not alive(int(data))
    assert (await run(channel, "echo still here"))[1] == b"still here\n"


async def test_request_deadline_says_what_was_done(channel):
    with pytest.raises(DeadlineError) as caught:
        await channel.request("command.run", {"command": "sleep 1000", "user": "root"}, timeout_s=0.3)
    assert caught.value.evidence["detail"]["signal"] == 15


async def test_background_program_does_not_hold_the_answer(channel):
    begin = time.monotonic()
    result, out, _ = await run(channel, "sleep 30 & echo $!")
    assert time.monotonic() - begin < 2
    assert result["exit_code"] == 0
    assert alive(int(out))
    os.kill(int(out), 9)


async def test_background_flood_does_not_hold_the_answer(channel):
    result, _out, _ = await run(channel, "yes & echo pid $! >&2; sleep 0.1")
    assert result["exit_code"] == 0


async def test_all_output_before_the_end_arrives_however_slow_the_reader(channel):
    async with channel.stream("command.run", {"command": "head -c 300000 /dev/zero", "user": "root"}) as exchange:
        await asyncio.sleep(0.6)
        total = 0
        async for _, data in exchange:
            total += len(data)
            await asyncio.sleep(0.05)
    assert total == 300_000


async def test_missing_program_user_and_folder(channel):
    with pytest.raises(NotFoundError, match="no-such-program"):
        await run(channel, ["no-such-program"])
    with pytest.raises(NotFoundError, match="no user 'nobody-at-all'"):
        await channel.request("command.run", {"command": "true", "user": "nobody-at-all"})
    with pytest.raises(NotFoundError, match="/no/such/folder"):
        await run(channel, "true", cwd="/no/such/folder")


async def test_another_user(channel, needs_root):
    out = b""

    def collect(_: int, data: bytes) -> None:
        nonlocal out
        out += data

    line = "id -un; cat /proc/self/oom_score_adj; nice"
    params = {"command": line, "user": "nobody", "cwd": "/"}
    await channel.request("command.run", params, on_data=collect)
    assert out.split() == [b"nobody", b"0", b"0"]


async def test_wrong_parameters_are_named(channel):
    for params, said in (
        ({}, "needs the parameter command"),
        ({"command": 5}, "command is 5"),
        ({"command": []}, "at least one string"),
        ({"command": "a\0b"}, "zero byte"),
        ({"command": "true", "typo": 1}, "no parameter 'typo'"),
        ({"command": "true", "timeout_ms": -1}, "at least 0"),
        ({"command": "true", "env": {"A=B": "x"}}, "environment entry"),
        ({"command": "true", "stdin": 1}, "must be a boolean"),
    ):
        with pytest.raises(InvalidRequestError, match=said):
            await channel.request("command.run", params)


async def test_unknown_operation_names_near_ones(channel):
    with pytest.raises(GuestError, match=r"command\.run"):
        await channel.request("comand.run", {})


async def test_signal_by_request(channel):
    async with channel.stream("command.run", {"command": "echo; sleep 100", "user": "root"}) as exchange:
        await anext(exchange)
        await channel.request("command.signal", {"request": exchange.id, "signal": 2})
        assert (await exchange.result())["signal"] == 2
    with pytest.raises(NotFoundError):
        await channel.request("command.signal", {"request": 999_999, "signal": 2})


async def test_many_at_once(channel):
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(run(channel, f"echo {n}; sleep 0.1; echo {n} >&2")) for n in range(20)]
    for n, each in enumerate(runs):
        assert each.result()[1:] == (b"%d\n" % n, b"%d\n" % n)


async def test_app_runs_on_by_itself(channel, guest):
    mark = guest.folder / "mark"
    answer = await channel.request("app.launch", {"argv": ["sh", "-c", f"echo $$ > {mark}; exec sleep 20"]})
    for _ in range(100):
        if mark.exists() and mark.read_text():
            break
        await asyncio.sleep(0.02)
    assert int(mark.read_text()) == answer["pid"]
    os.kill(answer["pid"], 9)
    with pytest.raises(NotFoundError):
        await channel.request("app.launch", {"name": "no-such-app"})
