"""What callers ask of a node besides its sandboxes: templates, and the host's capacity."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from desktop_sandbox.errors import ConflictError
from desktop_sandbox.node.capacity import read_figures
from desktop_sandbox.node.facts import SandboxState, TemplateInfo
from desktop_sandbox.node.parking import Parking


class HostCalls(Parking):
    """The part of a node that is about its host."""

    async def templates(self) -> Sequence[TemplateInfo]:
        """All recipes and templates."""
        return await asyncio.to_thread(self.shop.list)

    def build_template(self, name: str, *, rebuild: bool = False) -> AsyncIterator[Mapping[str, Any]]:
        """Build image and template as needed, telling how far it is."""
        return self.shop.build(name, rebuild=rebuild)

    async def remove_template(self, name: str) -> None:
        """Remove a template and its image."""
        found, _ = self.shop.find(name)
        running = await self.store.list(states=[SandboxState.RUNNING, SandboxState.CREATING], template=name, limit=1)
        if running[0]:
            raise ConflictError(f"template {name} is in use by {running[0][0].id}", hint="kill its sandboxes first")
        await self._let_go(name)
        await self.shop.remove(name)
        if found is not None:
            self._memory.forget(found)

    async def usage(self) -> dict[str, Any]:
        """Capacity and what is used of it."""
        figures = read_figures(self.config.home, len(self._live))
        return {
            "sandboxes": {
                "running": len(self._live),
                "frozen": sum(live.frozen for live in self._live.values()),
                "creating": self._creating,
                "ready": len(self._parked),
                "max": self.limits.max_sandboxes,
            },
            "memory": {"available_mib": figures.available_memory_mib, "reserve_mib": self.limits.reserve_memory_mib},
            "disk": {"free_mib": figures.free_disk_mib, "reserve_mib": self.limits.reserve_disk_mib},
            "accelerator": self.hypervisor.accelerator.kind,
            "accelerator_why": self.hypervisor.accelerator.why,
            "qemu": self.hypervisor.qemu.version,
        }
