"""What the warm pool leaves where it cannot make a desktop: nothing. No machine is started."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.cgroup import Cgroup
from desktop_sandbox.node import warm_pool
from desktop_sandbox.node.capacity import Figures, Limits
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.warm_pool import WarmPool


class Pool(WarmPool):
    """Whose machines end as they are restored."""

    def __init__(self, home: Path) -> None:
        self.config = SimpleNamespace(home=home)  # type: ignore[assignment]
        self.hypervisor = SimpleNamespace(cgroup=Cgroup("test", home / "none"))  # type: ignore[assignment]
        self.limits = Limits()
        self._memory = self  # type: ignore[assignment]
        self._live, self._parked = {}, []

    async def live(self, sandbox_id: str, *, resume: bool = True) -> LiveSandbox:
        raise AssertionError("no machine is asked for")

    async def get(self, _template: Any) -> int:
        """The template's memory."""
        return 0

    def _template_now(self, name: str) -> Any:
        return name

    async def _start(self, sandbox_id: str, *_: Any, **__: Any) -> LiveSandbox:
        self._directory(sandbox_id).mkdir(parents=True)
        (self._directory(sandbox_id) / "serial.log").touch()
        raise MachineError("the machine ended while its template was loaded")


async def test_one_that_does_not_start_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_pool, "read_figures", lambda _, sandboxes: Figures(1 << 20, 1 << 20, sandboxes))
    pool = Pool(tmp_path)
    for _ in range(2):
        with pytest.raises(MachineError, match="ended while"):
            await pool._park("minimal")
    assert list((tmp_path / "sandboxes").iterdir()) == []
    assert pool._parked == []
