"""What happens to a sandbox while something else happens to it: calls that overlap, are cancelled, or find no room."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from desktop_sandbox.config import ServerConfig
from desktop_sandbox.errors import CapacityError, ConflictError, NotFoundError
from desktop_sandbox.node import saving
from desktop_sandbox.node.facts import (
    CommandExit,
    CommandOutput,
    CommandSpec,
    SandboxSpec,
    SandboxState,
    ScreenshotSpec,
)
from desktop_sandbox.node.lifecycle import SandboxEvent
from desktop_sandbox.node.local import LocalNode
from desktop_sandbox.node.recovery import find_processes
from tests.conftest import make_home

pytestmark = pytest.mark.machine
SPEC = SandboxSpec(template="minimal", timeout_s=None)


@asynccontextmanager
async def a_node(home: Path) -> AsyncIterator[LocalNode]:
    node = await LocalNode.start(ServerConfig(home=home, api_key="unused"))
    try:
        yield node
    finally:
        await node.kill_all()
        await node.aclose()


async def until(look: Callable[[], Awaitable[Any] | Any], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = look()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.02)


async def output(node: LocalNode, sandbox_id: str, command: str) -> str:
    text = ""
    async for piece in node.run_command(sandbox_id, CommandSpec(command)):
        if isinstance(piece, CommandOutput):
            text += piece.data.decode()
        else:
            assert isinstance(piece, CommandExit)
    return text


def pids(node: LocalNode, sandbox_id: str) -> list[int]:
    return [pid for pid, name in find_processes(node.hypervisor.process_name("")) if name == sandbox_id]


async def test_a_checkpoint_that_ends_after_a_rollback_does_not_move_the_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_node(make_home(tmp_path / "home")) as node:
        box = (await node.create(SPEC)).id
        first = await node.checkpoint(box)
        written, go = threading.Event(), threading.Event()
        whole = saving.files.complete

        def slowly(*args: Any, **more: Any) -> Any:
            done = whole(*args, **more)
            written.set()
            assert go.wait(60)
            return done

        monkeypatch.setattr(saving.files, "complete", slowly)
        late = asyncio.ensure_future(node.checkpoint(box))
        await until(written.is_set)
        await node.rollback(box, first.id)
        go.set()
        assert (await late).parent == first.id
        assert (await node.get(box)).snapshot == first.id
        # and one that nothing overlaps moves it
        after = await node.checkpoint(box)
        assert (await node.get(box)).snapshot == after.id
        assert after.parent == first.id


async def test_a_snapshot_in_use_is_not_removed_under_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_node(make_home(tmp_path / "home")) as node:
        box = (await node.create(SPEC)).id
        saved = await node.checkpoint(box)
        begun, go = asyncio.Event(), asyncio.Event()
        start = node._start

        async def later(*args: Any, **more: Any) -> Any:
            begun.set()
            await go.wait()
            return await start(*args, **more)

        monkeypatch.setattr(node, "_start", later)
        for use in (node.create(replace(SPEC, snapshot=saved.id)), node.rollback(box, saved.id)):
            begun.clear()
            go.clear()
            using = asyncio.ensure_future(use)
            await begun.wait()
            with pytest.raises(ConflictError):
                await node.delete_snapshot(saved.id)
            go.set()
            assert (await using).state is SandboxState.RUNNING
        await node.delete_snapshot(saved.id)
        with pytest.raises(NotFoundError):
            await node.rollback(box, saved.id)
        assert await output(node, box, "echo here") == "here\n"


async def test_a_create_that_is_cancelled_at_its_end_leaves_no_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_node(make_home(tmp_path / "home")) as node:
        for step in ("set_process", "move"):
            at_the_end = asyncio.Event()
            real = getattr(node.store, step)

            async def held(*args: Any, real: Any = real, at_the_end: asyncio.Event = at_the_end, **more: Any) -> Any:
                if at_the_end.is_set():
                    return await real(*args, **more)
                answer = await real(*args, **more)
                at_the_end.set()
                await asyncio.Event().wait()
                return answer

            with monkeypatch.context() as patch:
                patch.setattr(node.store, step, held)
                creating = asyncio.ensure_future(node.create(SPEC))
                await at_the_end.wait()
                creating.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await creating
            (info, *_) = (await node.list()).sandboxes
            assert info.state is SandboxState.DEAD
            assert "not created" in str(info.reason)
            assert pids(node, info.id) == []
        assert node._live == {}
        assert node._uids == set()


async def test_a_pause_that_is_cancelled_is_a_pause_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_node(make_home(tmp_path / "home")) as node:
        box = (await node.create(SPEC)).id
        await output(node, box, "echo kept > /home/user/kept; sync")
        move = node.store.move
        for noted in (True, False):
            reached = asyncio.Event()

            async def held(
                sandbox_id: str, event: SandboxEvent, reached: asyncio.Event = reached, noted: bool = noted, **more: Any
            ) -> Any:
                if event is not SandboxEvent.PAUSED:
                    return await move(sandbox_id, event, **more)
                if noted:
                    await move(sandbox_id, event, **more)
                reached.set()
                return await asyncio.Event().wait()

            with monkeypatch.context() as patch:
                patch.setattr(node.store, "move", held)
                pausing = asyncio.ensure_future(node.pause(box))
                await reached.wait()
                pausing.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await pausing
            state = (await node.get(box)).state
            assert state is (SandboxState.PAUSED if noted else SandboxState.RUNNING)
            assert bool(pids(node, box)) is not noted
            if noted:
                await node.resume(box)
            assert await output(node, box, "cat /home/user/kept") == "kept\n"


async def test_without_room_nothing_comes_back_and_a_save_takes_the_disk(tmp_path: Path) -> None:
    async with a_node(make_home(tmp_path / "home")) as node:
        box = (await node.create(SPEC)).id
        saved = await node.checkpoint(box)
        await node.pause(box)
        roomy = node.limits
        node.limits = replace(roomy, max_sandboxes=0)
        for call in (node.resume(box), node.rollback(box, saved.id)):
            with pytest.raises(CapacityError):
                await call
        assert (await node.get(box)).state is SandboxState.PAUSED
        node.limits = roomy
        await node.resume(box)
        await output(node, box, "echo there > /tmp/there")
        node.limits = replace(roomy, reserve_memory_mib=1 << 30)
        second = await node.checkpoint(box)
        await node.pause(box)  # what frees memory is never refused for want of it
        with pytest.raises(CapacityError):
            await node.resume(box)
        node.limits = roomy
        await node.rollback(box, second.id)
        assert await output(node, box, "cat /tmp/there") == "there\n"


async def test_the_live_view_and_the_wall_bring_back_nobody(tmp_path: Path) -> None:
    async with a_node(make_home(tmp_path / "home")) as node:
        box = (await node.create(replace(SPEC, auto_resume=True))).id
        await node.pause(box)
        for call in (
            node.screen_source(box),
            node.press(box, []),
            node.clipboard_change(box, 0, 0),
            node.get_clipboard(box, resume=False),
            node.screenshot(box, ScreenshotSpec(), resume=False),
        ):
            with pytest.raises(ConflictError, match="paused"):
                await call
        assert (await node.get(box)).state is SandboxState.PAUSED
        assert isinstance(await node.windows(box), list)
        assert (await node.get(box)).state is SandboxState.RUNNING


async def test_locks_of_unknown_sandboxes_do_not_pile_up(tmp_path: Path) -> None:
    async with a_node(make_home(tmp_path / "home")) as node:
        for number in range(20):
            with pytest.raises(NotFoundError):
                await node.live(f"sb-{number}")
        gc.collect()
        assert len(node._ending) == 0


async def test_programs_that_a_dead_server_left_frozen_run_on_though_nobody_asks(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    node = await LocalNode.start(ServerConfig(home=home, api_key="unused"))
    box = (await node.create(SPEC)).id
    live = await node.live(box)
    assert await (await live.guest()).quiesce(freeze=True)
    await node.aclose()
    async with a_node(home) as after:
        taken = await after.live(box)
        await until(lambda: taken.wakes_as is None)
        with contextlib.suppress(ConflictError):
            await after.kill(box)


async def test_children_of_a_fork_get_their_own_identity_before_anything_else(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    async with a_node(home) as node:
        box = (await node.create(SPEC)).id
        children = [child.id for child in await node.fork(box, 2)]
        # asleep or on its way: whoever asks first finds a machine of its own, at the right time
        said = [(await output(node, child, "hostname; date +%s")).split() for child in children]
        assert [name for name, _ in said] == children
        # and those that nobody asks go on by themselves
        (quiet,) = [child.id for child in await node.fork(box, 1)]
        await until(lambda: node._live[quiet].wakes_as is None)
        assert not node._live[quiet].frozen


async def test_a_server_that_ends_while_a_child_sleeps_leaves_no_twin(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    node = await LocalNode.start(ServerConfig(home=home, api_key="unused"))
    box = (await node.create(SPEC)).id
    (child,) = [child.id for child in await node.fork(box, 1)]
    assert node._live[child].wakes_as is not None
    await node.aclose()
    async with a_node(home) as after:
        assert await output(after, child, "hostname") == f"{child}\n"
        assert await output(after, box, "hostname") == f"{box}\n"
