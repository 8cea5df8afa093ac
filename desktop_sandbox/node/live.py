"""A sandbox that is alive here: its machine, its agent and its screen as one thing that acts, shows, runs and reads.

Decides nothing about life and death; LocalNode does. Every method ends within a deadline, whatever the guest does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from actions.model import Action, to_wire
from actions.validate import ActionValueError, check_on_screen
from desktop_sandbox.errors import ChannelError, ConflictError, DesktopSandboxError, InvalidActionError
from desktop_sandbox.microvm.channel import AgentChannel
from desktop_sandbox.microvm.guest import Guest, Identity
from desktop_sandbox.microvm.machine import Machine
from desktop_sandbox.node.batches import GuestPart, believable, cut, failure, is_quick, patience_s
from desktop_sandbox.node.interface import BatchResult, Screenshot, ScreenshotSpec
from desktop_sandbox.screen.machine_screen import MachineScreen
from desktop_sandbox.screen.memory import GuestMemory, StaleFramebuffer
from desktop_sandbox.screen.screenshot import take
from desktop_sandbox.snapshots.timings import mark

T = TypeVar("T")
CONNECT_S = 15.0


class LiveSandbox:
    """Machine, agent and screen of one running sandbox."""

    def __init__(self, machine: Machine, display: Mapping[str, Any]) -> None:
        self.machine = machine
        self.uid: int | None = None
        self._channel: AgentChannel | None = None
        self._connecting = asyncio.Lock()
        self._acting = asyncio.Lock()
        self._display = dict(display)
        self._memory_fd, self._base = machine.open_memory()
        self._memory = GuestMemory(
            self._memory_fd, self._base, machine.shape.ram_bytes, machine.shape.below_4g_bytes, pid=machine.process.pid
        )
        self._screen: MachineScreen | None = None
        with contextlib.suppress(StaleFramebuffer):
            self._screen = MachineScreen.from_wire(self._memory, display)

    def __repr__(self) -> str:
        return f"<LiveSandbox {self.machine.id}>"

    async def guest(self, deadline_s: float = CONNECT_S) -> Guest:
        """The agent, connected; a broken connection is made again. Raises ChannelError or DeadlineError."""
        async with self._connecting:
            if self._channel is None or self._channel.closed:
                if self._channel is not None:
                    await self._channel.aclose()
                self._channel = await AgentChannel.connect(*self.machine.port_paths(), timeout_s=deadline_s)
            return Guest(self._channel)

    async def ask(self, question: Callable[[Guest], Awaitable[T]]) -> T:
        """Ask the agent; once more if the connection broke on the way. For questions that may be asked twice."""
        try:
            return await question(await self.guest())
        except ChannelError:
            return await question(await self.guest())

    async def become(self, identity: Identity, resolution: tuple[int, int] | None) -> None:
        """Make a restored machine one of its own, at the asked screen size."""
        guest = await self.guest()
        await guest.set_identity(identity, thaw=True)
        mark("identity")
        if resolution is not None and resolution != await self.size():
            await self.set_size(*resolution)
            mark("resolution")

    # --- screen

    async def _look(self, look: Callable[[MachineScreen], T]) -> T:
        """Look at the screen from outside; where its place is not known (any more), ask the guest once."""
        if self._screen is not None:
            with contextlib.suppress(StaleFramebuffer):
                return look(self._screen)
        await self.find_screen()
        assert self._screen is not None
        return look(self._screen)

    async def find_screen(self) -> MachineScreen:
        """Ask the guest where its pixels are."""
        return self._show(await self.ask(lambda guest: guest.display()))

    def _show(self, display: Mapping[str, Any]) -> MachineScreen:
        self._screen = MachineScreen.from_wire(self._memory, display)
        self._display = dict(display)
        return self._screen

    def view(self) -> tuple[dict[str, Any], int]:
        """What a program on this host needs to read the screen by itself, and the descriptor to read it through."""
        if self._memory_fd < 0:
            raise ConflictError(f"{self.machine.id} is ending", hint="make a new sandbox")
        shape = self.machine.shape
        facts = {
            "pid": self.machine.process.pid,
            "host_base": self._base,
            "ram_bytes": shape.ram_bytes,
            "below_4g_bytes": shape.below_4g_bytes,
            "display": self._display,
        }
        return facts, self._memory_fd

    async def size(self) -> tuple[int, int]:
        """Width and height of the screen now, in pixels."""
        return await self._look(lambda screen: screen.size())

    async def set_size(self, width: int, height: int) -> None:
        """Change the screen's size. A batch that runs ends first: its places were checked against the size before."""
        async with self._acting:
            report = await self.ask(lambda guest: guest.set_size(width, height))
        self._show(report)

    async def screenshot(self, spec: ScreenshotSpec) -> Screenshot:
        """The screen as `spec` wants it."""
        if self._screen is not None:
            with contextlib.suppress(StaleFramebuffer):
                return await take(self._screen, spec)
        return await take(await self.find_screen(), spec)

    # --- actions

    async def act(
        self, actions: Sequence[Action], batch_id: str, final: ScreenshotSpec | None, timeout_s: float | None
    ) -> BatchResult:
        """Carry out a batch, one batch at a time, halting at the first failure.

        Raises InvalidActionError before anything is done if an action does not fit the screen.
        """
        async with self._acting:
            try:
                check_on_screen(actions, *await self.size())
            except ActionValueError as error:
                raise InvalidActionError(
                    error.message, hint=error.hint, index=error.index, field=error.field
                ) from error
            results: list[Mapping[str, Any]] = []
            pictures: dict[int, Screenshot] = {}
            failed: dict[str, Any] | None = None
            for part in cut(actions):
                if isinstance(part, GuestPart):
                    answer = await self._act_in_guest(part.actions, f"{batch_id}/{part.first}", timeout_s)
                    results += answer["results"]
                    if answer["failed"] is not None:
                        failed = failure(part.first, answer["failed"])
                        break
                else:
                    try:
                        pictures[part.first] = await self.screenshot(part.spec)
                    except DesktopSandboxError as error:
                        failed = {"index": part.first, "code": error.slug, "message": error.message, "hint": error.hint}
                        break
                    results.append({})
            return BatchResult(results, failed, pictures, None if final is None else await self.screenshot(final))

    async def _act_in_guest(self, actions: Sequence[Action], batch_id: str, timeout_s: float | None) -> dict[str, Any]:
        params = {"batch_id": batch_id, "actions": [to_wire(action) for action in actions]}
        patience = timeout_s if timeout_s is not None else patience_s(actions)
        # the agent remembers batches: asked again after a broken connection, it does nothing twice
        port = "input" if is_quick(actions) else "control"
        answer = await self.ask(
            lambda guest: guest.channel.request("actions.run", params, timeout_s=patience, port=port)
        )
        return believable(answer, len(actions))

    # --- end

    async def detach(self) -> None:
        """Let go; the machine runs on."""
        await self._release()
        await self.machine.detach()

    async def kill(self) -> None:
        """End the machine and verify it."""
        await self._release()
        await self.machine.kill()

    async def _release(self) -> None:
        if self._channel is not None:
            await self._channel.aclose()
            self._channel = None
        if self._memory_fd >= 0:
            os.close(self._memory_fd)
            self._memory_fd = -1

    async def describe(self) -> dict[str, Any]:
        """What the agent says of its machine, or why it says nothing."""
        try:
            async with asyncio.timeout(3):
                return await (await self.guest(2)).info(2)
        except (DesktopSandboxError, TimeoutError) as error:
            return {"error": str(error) or "no answer within 3 s"}


def dead_reason(machine: Machine) -> str:
    """Why a machine that ended without being asked to may have ended."""
    log = machine.directory / "qemu.log"
    with contextlib.suppress(OSError):
        # it warns at every start, of a card without a network for example; that is no reason to end
        lines = [line for line in log.read_text(errors="replace").splitlines() if line and "warning:" not in line]
        if lines:
            return f"QEMU ended: {lines[-1][:200]}"
    return "its machine ended: the guest powered off or crashed, or the host killed it"
