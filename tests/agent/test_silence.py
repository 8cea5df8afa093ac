"""A channel that is silent sends nothing and reads nothing, and loses nothing by it."""

from __future__ import annotations

import asyncio

from desktop_sandbox.microvm.channel import AgentChannel


def unread(channel: AgentChannel) -> list[bool]:
    return [port.on_the_way() for port in (channel._control, channel._bulk, channel._input)]


async def test_nothing_passes_while_it_is_silent_and_all_of_it_afterwards(channel) -> None:
    big = bytes(range(256)) * 2000

    async def pieces():
        for start in range(0, len(big), 50_000):
            yield big[start : start + 50_000]

    async with asyncio.TaskGroup() as tasks, channel.silence():
        asked = [tasks.create_task(channel.request("guest.info", timeout_s=20)) for _ in range(5)]
        echoed = bytearray()
        told = tasks.create_task(
            channel.request(
                "command.run", {"command": "cat", "user": "root", "stdin": True}, timeout_s=20, stdin=pieces(),
                on_data=lambda _, data: echoed.extend(data),
            )
        )  # fmt: skip
        await asyncio.sleep(0.3)  # long enough for each of them, were it let through
        assert not any(task.done() for task in (*asked, told))
        assert unread(channel) == [False] * 3
    assert all(task.result()["agent"] for task in asked)
    assert told.result()["exit_code"] == 0
    assert echoed == big


async def test_what_was_sent_before_is_taken_first(channel) -> None:
    running = asyncio.ensure_future(
        channel.request(
            "command.run", {"command": "sleep 0.1; echo done", "user": "root"}, timeout_s=20, on_data=lambda *_: None
        )
    )
    await asyncio.sleep(0)
    async with channel.silence():
        assert unread(channel) == [False] * 3
        await asyncio.sleep(0.3)
        assert not running.done()  # its output came, and was not read
    assert (await running)["exit_code"] == 0
