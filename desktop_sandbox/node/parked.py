"""One desktop of the warm pool."""

from __future__ import annotations

from dataclasses import dataclass

from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.snapshots.templates import Template


@dataclass(frozen=True)
class Parked:
    """One that stands ready. `template` is its name; the folder it maps is the machine's origin."""

    template: str
    live: LiveSandbox

    def is_good(self, template: Template | None) -> bool:
        """Whether it still stands ready, on the template that there is now."""
        alive = self.live.frozen and self.live.machine.process.alive()
        return alive and template is not None and self.live.origin == template.directory.name
