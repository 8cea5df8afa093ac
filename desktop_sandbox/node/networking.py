"""What sandboxes may reach: shown, changed while they run, told afterwards. How, `desktop_sandbox.network` knows."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from desktop_sandbox.errors import ConflictError, DesktopSandboxError, InvalidRequestError
from desktop_sandbox.microvm.machine import read_record
from desktop_sandbox.network import log_file
from desktop_sandbox.network.policy import NOTHING, Policy, parse_policy, policy_json, policy_record
from desktop_sandbox.network.records import Counters
from desktop_sandbox.node.core import NodeCore
from desktop_sandbox.node.facts import NetworkInfo, NetworkTotals, SandboxInfo, SandboxState
from desktop_sandbox.node.live import LiveSandbox

log = logging.getLogger("desktop_sandbox.node")

MAX_ENTRIES = 10_000


class Networking(NodeCore):
    """The part of a node that answers for its sandboxes' networks."""

    async def network(self, sandbox_id: str) -> NetworkInfo:
        """A sandbox's policy, whether it has a network at all, and what has passed."""
        record = await self.store.get(sandbox_id)
        has = self.networks.has(sandbox_id)
        why = None
        if not has:
            why = self.networks.why or f"it is {record.state}"
            if record.state is SandboxState.RUNNING and self.networks.why is None:
                why = "its machine was started without one; pause it and resume it"
        counters = self.networks.counters().get(sandbox_id, Counters())
        return NetworkInfo(record.info().network, has, why, counters.json())

    async def set_network(self, sandbox_id: str, network: object) -> SandboxInfo:
        """Change what a sandbox may reach; connections that are not allowed any more have ended when this returns."""
        policy = parse_policy(network)
        async with self._end_lock(sandbox_id):
            record = await self.store.get(sandbox_id)
            if record.state not in (SandboxState.RUNNING, SandboxState.PAUSED):
                raise ConflictError(f"{sandbox_id} is {record.state}", hint="only what runs or is paused has a network")
            shown = policy_json(policy)
            record = await self.store.change_spec(sandbox_id, "network", policy_record(policy))
            await self.networks.change(sandbox_id, policy)
        await self.store.note(sandbox_id, "network", {"policy": shown}, now=time.time())
        live = self._live.get(sandbox_id)
        log.info("%s = network %s", sandbox_id, shown)
        return record.info(frozen=live is not None and live.frozen)

    async def network_log(self, sandbox_id: str, limit: int = 100) -> Sequence[Mapping[str, Any]]:
        """The last connections and lookups, oldest first; those that go on have the outcome `open`."""
        if not 1 <= limit <= MAX_ENTRIES:
            raise InvalidRequestError(f"{limit} entries", hint=f"from 1 to {MAX_ENTRIES}")
        await self.store.get(sandbox_id)
        path = self._directory(sandbox_id) / log_file.NAME
        return [entry.json() for entry in await asyncio.to_thread(log_file.read, path, limit)]

    def network_totals(self) -> NetworkTotals:
        """What passed for all sandboxes since this server began."""
        running = self.networks.gateway_pid is not None
        by_sandbox = {sandbox_id: counters.json() for sandbox_id, counters in self.networks.counters().items()}
        return NetworkTotals(running, self.networks.gateway_ends, self.networks.total().json(), by_sandbox)

    def _policy_of(self, spec: Mapping[str, Any]) -> Policy:
        """The policy in a record's spec; what cannot be read opens nothing."""
        try:
            return parse_policy(spec.get("network"))
        except InvalidRequestError as error:
            log.warning("x network policy in a record: %s", error)
            return NOTHING

    async def _adopt_network(self, live: LiveSandbox) -> None:
        """Find the network of a machine again that a server before this one started."""
        record = await self.store.get(live.machine.id)
        tap = (read_record(live.machine.directory) or {}).get("tap")
        if not isinstance(tap, int):
            return
        machine = live.machine
        try:
            await self.networks.adopt(
                machine.id, machine.directory, machine.process.pid, tap, self._policy_of(record.spec)
            )
            if not machine.process.alive() or self._live.get(machine.id) is not live:
                self.networks.remove(machine.id)
        except DesktopSandboxError as error:
            log.warning("%s x network: %s", machine.id, error)
            await self.store.note(machine.id, "network", {"available": False, "why": error.message}, now=time.time())

    async def _note_missing_network(self, sandbox_id: str, policy: Policy) -> None:
        """Where a sandbox was to have a network and this host cannot give it one, its events say so."""
        if policy != NOTHING and not self.networks.has(sandbox_id):
            why = self.networks.why or "no network namespace could be made"
            await self.store.note(sandbox_id, "network", {"available": False, "why": why}, now=time.time())
