"""A sandbox that is alive here: its machine, its agent and its screen as one thing that acts, shows, runs and reads.

Decides nothing about life and death; LocalNode does. Every method ends within a deadline, whatever the guest does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from actions.model import Action, to_wire
from desktop_sandbox.errors import ConflictError, DeadlineError, GuestError
from desktop_sandbox.microvm.guest import Identity
from desktop_sandbox.microvm.machine import Machine
from desktop_sandbox.node.acting import carry_out
from desktop_sandbox.node.attachment import Attachment
from desktop_sandbox.node.batches import CANCELLED, believable, is_one_touch, is_quick, patience_s, stopped
from desktop_sandbox.node.facts import BatchResult, Screenshot, ScreenshotSpec, ScreenSource
from desktop_sandbox.node.halt import Halt
from desktop_sandbox.screen.encode import Cursor
from desktop_sandbox.screen.framebuffer import Frame
from desktop_sandbox.screen.machine_screen import MachineScreen
from desktop_sandbox.screen.memory import Descriptor, GuestMemory, StaleFramebuffer
from desktop_sandbox.screen.screenshot import take
from desktop_sandbox.snapshots.timings import mark

T = TypeVar("T")
NAME_S = 3.0
_LONGEST_NAME = 64


class LiveSandbox(Attachment):
    """Machine, agent and screen of one running sandbox."""

    def __init__(self, machine: Machine, display: Mapping[str, Any]) -> None:
        super().__init__(machine)
        self._display = dict(display)
        memory_fd, self._base = machine.open_memory()
        self._mem: Descriptor | None = Descriptor(memory_fd)
        self._memory: GuestMemory | None = GuestMemory(
            self._mem, self._base, machine.shape.ram_bytes, machine.shape.below_4g_bytes, pid=machine.process.pid
        )
        self._screen: MachineScreen | None = None
        with contextlib.suppress(StaleFramebuffer):
            self._screen = MachineScreen.from_wire(self._memory, display)

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
        if self._memory is None:
            raise self._ending()
        self._screen = MachineScreen.from_wire(self._memory, display)
        self._display = dict(display)
        return self._screen

    def _ending(self) -> ConflictError:
        return ConflictError(f"{self.machine.id} is ending", hint="make a new sandbox")

    def view(self) -> tuple[dict[str, Any], int]:
        """What a program on this host needs to read the screen by itself, and the descriptor to read it through."""
        if self._mem is None:
            raise self._ending()
        self.seen_from_outside = True
        self.release_brake()
        shape = self.machine.shape
        facts = {
            "pid": self.machine.process.pid,
            "host_base": self._base,
            "ram_bytes": shape.ram_bytes,
            "below_4g_bytes": shape.below_4g_bytes,
            "display": self._display,
        }
        return facts, self._mem.fd

    async def source(self, *, fresh: bool) -> ScreenSource:
        """The same for the media process; `fresh`: ask the guest first where its pixels are."""
        if fresh or self._screen is None:
            await self.find_screen()
        facts, descriptor = self.view()
        kept = ("host_base", "ram_bytes", "below_4g_bytes", "display")
        return ScreenSource({"kind": "guest", **{name: facts[name] for name in kept}}, os.dup(descriptor))

    async def size(self) -> tuple[int, int]:
        """Width and height of the screen now, in pixels."""
        return await self._look(lambda screen: screen.size())

    async def set_size(self, width: int, height: int) -> None:
        """Change the screen's size. A batch that runs ends first: its places were checked against the size before."""
        async with self._acting:
            report = await self.ask(lambda guest: guest.set_size(width, height))
        self._show(report)

    async def screenshot(self, spec: ScreenshotSpec) -> Screenshot:
        """The screen as `spec` wants it. A frozen machine's is looked at without waking it."""
        self.used_at = time.monotonic()
        self.release_brake()
        with self.standing.awaited() if spec.stable_ms is not None else contextlib.nullcontext():
            if self._screen is not None:
                with contextlib.suppress(StaleFramebuffer):
                    return await take(self._screen, spec)
            return await take(await self.find_screen(), spec)

    async def frame(self, *, wake: bool) -> Frame:
        """The screen's pixels now; a frozen machine stays so without `wake`."""
        if wake:
            await self.thaw()
        self.used_at = time.monotonic()
        self.release_brake()
        with self.standing.awaited() if wake else contextlib.nullcontext():
            if self._screen is not None:
                with contextlib.suppress(StaleFramebuffer):
                    return await asyncio.to_thread(self._screen.read)
            return await asyncio.to_thread((await self.find_screen()).read)

    async def cursor(self, *, name: bool) -> tuple[Cursor, str | None]:
        """The pointer's place and picture; its name where that is wanted, known, and of that very picture."""
        self.release_brake()
        cursor, serial = await self._look(lambda screen: screen.numbered_cursor())
        if not name or self.frozen:
            return cursor, None
        try:
            answer = await self.ask(lambda guest: guest.channel.request("cursor.name", {}, timeout_s=NAME_S))
        except (GuestError, DeadlineError):
            return cursor, None
        return cursor, cursor_name(answer, serial)

    # --- actions

    async def act(
        self,
        actions: Sequence[Action],
        batch_id: str,
        final: ScreenshotSpec | None,
        timeout_s: float | None,
        halt: Halt | None = None,
    ) -> BatchResult:
        """Carry out a batch, one batch at a time, up to the first failure, the deadline or a halt: see `carry_out`.

        Raises ConflictError (`done`: nothing) if the machine went while the batch waited for its turn.
        """
        self.used_at = time.monotonic()
        begins = self.wakes_as is not None and is_one_touch(actions)
        with self.beginners.first_action() if begins and self.beginners is not None else contextlib.nullcontext():
            result = await self._act(actions, batch_id, final, timeout_s, halt or Halt())
        if begins and final is None and self.beginners is not None and self.beginners.crowded:
            self._stand_aside(self.beginners)
        return result

    async def _act(
        self,
        actions: Sequence[Action],
        batch_id: str,
        final: ScreenshotSpec | None,
        timeout_s: float | None,
        halt: Halt,
    ) -> BatchResult:
        try:
            async with halt.block():
                await self._acting.acquire()
        except TimeoutError:
            return BatchResult([], stopped(0, CANCELLED, "the batch was cancelled before its turn", None), {})
        try:
            self._check_stays()
            return await carry_out(self, actions, batch_id, final, timeout_s, halt)
        finally:
            self._acting.release()

    async def press(self, actions: Sequence[Action]) -> Mapping[str, Any] | None:
        """Carry out a person's input at once, beside a batch that may be running; what failed, or None.

        Done at most once: where the connection breaks on the way, nobody asks again.
        """
        guest = await self.guest()
        params = {"batch_id": None, "actions": [to_wire(action) for action in actions]}
        port = "input" if is_quick(actions) else "control"
        answer = await guest.channel.request("actions.run", params, timeout_s=patience_s(actions), port=port)
        failed: Mapping[str, Any] | None = believable(answer, len(actions))["failed"]
        return failed

    @property
    def display(self) -> Mapping[str, Any]:
        """What the guest said of its screen last."""
        return self._display

    async def _release(self) -> None:
        await super()._release()
        self._mem = self._memory = self._screen = None  # a thread that looks at the screen has its own hold


def cursor_name(answer: object, serial: int) -> str | None:
    """The name in a guest's answer to cursor.name, if it makes sense and is of the cursor with this serial."""
    if not isinstance(answer, dict) or answer.get("serial") != serial:
        return None
    name = answer.get("name")
    return name if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable() else None


def dead_reason(machine: Machine) -> str:
    """Why a machine that ended without being asked to may have ended."""
    log = machine.directory / "qemu.log"
    with contextlib.suppress(OSError):
        # it warns at every start, of a card without a network for example; that is no reason to end
        lines = [line for line in log.read_text(errors="replace").splitlines() if line and "warning:" not in line]
        if lines:
            return f"QEMU ended: {lines[-1][:200]}"
    return "its machine ended: the guest powered off or crashed, or the host killed it"
