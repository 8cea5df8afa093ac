"""The eyes on one settled desktop: how long it takes to know that it stands still, to compare, to find and to read."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

import numpy as np

from desktop_sandbox import Sandbox
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar

QUIET_MS = 100
_ICON_PX = 48
_TIMES = {"stable": 3, "changes": 3, "find": 2, "find_sizes": 1, "read": 1}
"""How often each is measured, in twelfths of a screenshot's times."""


class EyesBench:
    """Measures one desktop that is in nobody else's use."""

    def __init__(self, sandbox: Sandbox, counts: Counts, bar: Bar) -> None:
        self._sandbox = sandbox
        self._counts = counts
        self._bar = bar

    def run(self) -> list[Figure]:
        """All of it; reading only where tesseract is on this host."""
        desktop = self._sandbox
        moment = desktop.changes().moment
        icon = busiest(desktop)
        calls: dict[str, tuple[str, Callable[[], object]]] = {
            "stable": (
                f"wait_until_stable(quiet_ms={QUIET_MS}) on a still screen, beyond the {QUIET_MS} ms",
                lambda: desktop.wait_until_stable(quiet_ms=QUIET_MS),
            ),
            "changes": ("changes(since) of a still screen", lambda: desktop.changes(moment)),
            "find": (f"find_picture, {_ICON_PX}×{_ICON_PX}, its own size", lambda: desktop.find_picture(like=icon)),
            "find_sizes": (
                f"find_picture, {_ICON_PX}×{_ICON_PX}, half to twice its size",
                lambda: desktop.find_picture(like=icon, scale=(0.5, 2.0)),
            ),
        }
        if shutil.which("tesseract"):
            calls["read"] = ("read_text of the whole screen", desktop.read_text)
        return [self._measure(name, label, call) for name, (label, call) in calls.items()]

    def _measure(self, name: str, label: str, call: Callable[[], object]) -> Figure:
        self._bar.say("eyes", label)
        call()
        beyond = QUIET_MS if name == "stable" else 0
        samples = [_timed(call) - beyond for _ in range(max(1, self._counts.looks * _TIMES[name] // 12))]
        self._bar.tick()
        return Figure(f"eyes.{name}", label, "ms", samples)


def busiest(desktop: Sandbox) -> tuple[int, int, int, int]:
    """The part of the screen with the most on it: what is of one colour cannot be looked for."""
    shot = desktop.capture("raw", cursor=False)
    pixels = np.frombuffer(shot.data, np.uint8).reshape(shot.height, shot.width, 3)
    places = [
        (x, y) for y in range(0, shot.height - _ICON_PX, _ICON_PX) for x in range(0, shot.width - _ICON_PX, _ICON_PX)
    ]
    x, y = max(places, key=lambda at: float(pixels[at[1] : at[1] + _ICON_PX, at[0] : at[0] + _ICON_PX].std()))
    return x, y, _ICON_PX, _ICON_PX


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000
