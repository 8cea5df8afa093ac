"""The networks of one server's sandboxes: a namespace for each machine, the gateway behind them all, policies and logs.

**Invariant.** A machine's namespace has no way out but the sockets kept here: while no gateway holds them, nothing
passes, and connections wait. Whoever loses its record loses its network, never its policy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desktop_sandbox.errors import ConfigurationError, DesktopSandboxError, MachineError
from desktop_sandbox.microvm.wall import find_wall
from desktop_sandbox.network import log_file
from desktop_sandbox.network.gateway_link import GatewayLink
from desktop_sandbox.network.maker_client import MakerClient
from desktop_sandbox.network.namespace import Namespace
from desktop_sandbox.network.policy import Policy, policy_record
from desktop_sandbox.network.records import Counters, LogEntry, parse_entry

log = logging.getLogger("desktop_sandbox.network")

_ADOPT_TRIES = 40
_ADOPT_PAUSE_S = 0.25
_AGAIN_S = 0.5
StartSoon = Callable[[Coroutine[Any, Any, None], str], object]


@dataclass
class _Held:
    """What is kept for one sandbox: the sockets in its namespace, for this gateway and the next."""

    folder: Path
    policy: Policy
    listener: int
    names: int
    counters: Counters = field(default_factory=Counters)
    before: Counters = field(default_factory=Counters)
    """What passed through gateways that have ended."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    closed: bool = False
    known_to: int = 0
    """Which gateway has it, counted from 1."""

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        for descriptor in (self.listener, self.names):
            with contextlib.suppress(OSError):
                os.close(descriptor)


class Networks:
    """Made with `start`, ended with `aclose`. `why` says why there are none on this host, if so."""

    def __init__(self, log_path: Path, gateway_uid: int, servers: Sequence[str], start_soon: StartSoon) -> None:
        self._maker = MakerClient()
        self._held: dict[str, _Held] = {}
        self._start_soon = start_soon
        self._low = asyncio.Event()
        self._known = asyncio.Event()
        """Whether this host can is known."""
        self._gateway = GatewayLink(
            find_wall(gateway_uid), log_path, servers, heard=self._heard, lost=self._lost_gateway
        )
        self._gone = Counters()
        self._closed = False
        self.why: str | None = None
        self.gateway_ends = 0
        """How often the gateway has ended by itself."""

    async def start(self) -> None:
        """Find out whether this host can, and make some namespaces ahead. Who wants one meanwhile waits."""
        try:
            await asyncio.to_thread(self._maker.start)
            # the first shows whether all of it works here
            (await asyncio.to_thread(self._maker.make)).close()
        except (ConfigurationError, MachineError) as error:
            self.why = error.message
            log.warning("no network for sandboxes: %s", error)
            return
        except BaseException:
            self.why = "the server is stopping"
            raise
        finally:
            self._known.set()
        self._low.set()
        self._start_soon(self._maker.keep_full(self._low), "network namespaces")

    @property
    def gateway_pid(self) -> int | None:
        """The gateway's process, if one runs."""
        return self._gateway.pid

    async def prepare(self) -> Namespace | None:
        """A namespace for a machine that is about to start, the caller's to `attach` or close; None: there are none."""
        await self._known.wait()
        if self.why is not None or self._closed:
            return None
        try:
            made = self._maker.ready() or await asyncio.to_thread(self._maker.make)
        except (ConfigurationError, MachineError) as error:
            log.warning("x %s", error)
            return None
        self._low.set()
        return made

    def attach(self, sandbox_id: str, folder: Path, namespace: Namespace, policy: Policy) -> None:
        """A machine has the namespace's tap; from now on `policy` decides. The tap's descriptor here is closed."""
        os.close(namespace.tap)
        self._hold(sandbox_id, _Held(folder, policy, namespace.listener, namespace.names))

    def _hold(self, sandbox_id: str, held: _Held) -> None:
        if self._closed:
            held.close()
            return
        before = self._held.pop(sandbox_id, None)
        if before is not None:
            before.close()
        self._held[sandbox_id] = held
        self._start_soon(self._add(sandbox_id, held), f"network of {sandbox_id}")

    async def _add(self, sandbox_id: str, held: _Held) -> None:
        """Give it to the gateway that there is; where that fails, again until it is gone."""
        async with held.lock:
            while self._held.get(sandbox_id) is held and not self._closed:
                try:
                    await self._gateway.start()
                    if held.known_to != self._gateway.generation:
                        await self._give(sandbox_id, held)
                    return
                except MachineError as error:
                    log.warning("%s x network: %s", sandbox_id, error.message)
                    await asyncio.sleep(_AGAIN_S)

    async def _give(self, sandbox_id: str, held: _Held) -> None:
        if held.closed:
            return
        # copies: the sandbox may end while they are on their way, and a number may then be another file's
        copies = (os.dup(held.listener), os.dup(held.names))
        generation = self._gateway.generation
        try:
            await self._gateway.ask("add", sandbox_id, policy=policy_record(held.policy), descriptors=copies)
        finally:
            for copy in copies:
                os.close(copy)
        held.known_to = generation

    async def adopt(self, sandbox_id: str, folder: Path, pid: int, tap: int, policy: Policy) -> None:
        """Find the namespace of a machine that a server before this one started, through the tap that its QEMU holds.

        MachineError where that is not possible: it then has no network.
        """
        await self._known.wait()
        if self.why is not None:
            raise MachineError(self.why)
        error: Exception | None = None
        for _ in range(_ADOPT_TRIES):  # the gateway of the server before may still hold the ports
            try:
                listener, names = await asyncio.to_thread(self._maker.sockets_beside, pid, tap)
            except (OSError, DesktopSandboxError) as failed:
                error = failed
                await asyncio.sleep(_ADOPT_PAUSE_S)
                continue
            self._hold(sandbox_id, _Held(folder, policy, listener, names))
            return
        raise MachineError(f"{sandbox_id} has no network any more: {error}", hint="pause it and resume it")

    def change_soon(self, sandbox_id: str, policy: Policy) -> None:
        """The same without waiting for it; until then what was decided before holds."""
        self._start_soon(self.change(sandbox_id, policy), f"network of {sandbox_id}")

    async def change(self, sandbox_id: str, policy: Policy) -> None:
        """Another policy for a machine that runs; what it does not allow has ended when this returns."""
        held = self._held.get(sandbox_id)
        if held is None:
            return
        held.policy = policy
        async with held.lock:
            try:
                await self._gateway.ask("policy", sandbox_id, policy=policy_record(policy))
            except MachineError as error:
                # a gateway that does not have it lets nothing pass, and is given the policy of now
                log.warning("%s x policy: %s", sandbox_id, error.message)

    def has(self, sandbox_id: str) -> bool:
        """Whether the sandbox has a network."""
        return sandbox_id in self._held

    def remove(self, sandbox_id: str) -> None:
        """Its machine is gone: let go of its namespace, which ends with that."""
        held = self._held.pop(sandbox_id, None)
        if held is not None:
            held.close()
            self._gone = self._gone.plus(held.before).plus(held.counters)
            self._start_soon(self._forget(sandbox_id, held), f"network of {sandbox_id}")

    async def _forget(self, sandbox_id: str, held: _Held) -> None:
        async with held.lock:
            if sandbox_id not in self._held and self._gateway.pid is not None:
                with contextlib.suppress(MachineError):
                    await self._gateway.ask("remove", sandbox_id)

    def counters(self) -> dict[str, Counters]:
        """What passed so far by sandbox, since this server began with it."""
        return {sandbox_id: held.before.plus(held.counters) for sandbox_id, held in self._held.items()}

    def traffic(self, sandbox_id: str) -> int:
        """A number that grows whenever something passes, or is asked for."""
        held = self._held.get(sandbox_id)
        if held is None:
            return 0
        now = held.before.plus(held.counters)
        return now.connections + now.lookups + now.sent_bytes + now.received_bytes

    def connected(self, sandbox_id: str) -> bool:
        """Whether it ever had a connection with anybody."""
        held = self._held.get(sandbox_id)
        return held is not None and held.before.plus(held.counters).connections > 0

    def total(self) -> Counters:
        """What passed so far for all sandboxes, those that ended as well."""
        total = self._gone
        for counters in self.counters().values():
            total = total.plus(counters)
        return total

    # --- what the gateway says

    def _heard(self, message: dict[str, Any]) -> None:
        for sandbox_id, counters in message.get("counters", {}).items():
            held = self._held.get(sandbox_id)
            if held is not None:
                held.counters = Counters(**counters)
        found: dict[str, list[LogEntry]] = {}
        for sandbox_id, entry in message.get("entries", ()):
            found.setdefault(sandbox_id, []).append(parse_entry(entry))
        for sandbox_id, entries in found.items():
            held = self._held.get(sandbox_id)
            if held is not None:
                with contextlib.suppress(OSError):
                    log_file.append(held.folder / log_file.NAME, entries)

    def _lost_gateway(self) -> None:
        self.gateway_ends += 1
        for sandbox_id, held in self._held.items():
            held.before, held.counters = held.before.plus(held.counters), Counters()
            self._start_soon(self._add(sandbox_id, held), f"network of {sandbox_id}")

    async def aclose(self) -> None:
        """End gateway and maker; the machines' namespaces stay with their machines."""
        self._closed = True
        await self._gateway.aclose()
        await asyncio.to_thread(self._maker.close)
        for held in self._held.values():
            held.close()
        self._held.clear()
