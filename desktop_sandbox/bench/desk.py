"""Screenshots and actions on one settled desktop, in rounds with the usual ways: scrot and xdotool in the same guest.

The rounds are mixed, so that a host that is busy for a while is so for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from desktop_sandbox import Sandbox
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar

_PICTURE = "/tmp/bench-screenshot.png"  # noqa: S108 (in the guest)
_WARM_UPS = 3
# what an action passes through, each with what is before it
_PARTS = {
    "server": "of an action: SDK, HTTP and server (get_info)",
    "agent": "of an action: and the guest's agent (a file's status)",
    "display": "of an action: and its X server (cursor_position)",
}


class DeskBench:
    """Measures one desktop that is in nobody else's use."""

    def __init__(self, sandbox: Sandbox, counts: Counts, bar: Bar) -> None:
        self._sandbox = sandbox
        self._counts = counts
        self._bar = bar
        self._turn = 0

    def screenshots(self) -> list[Figure]:
        """The whole screen, raw, as JPEG and as PNG, against scrot."""
        look = self._sandbox.screenshot
        taken = self._rounds(
            "screenshots",
            {
                "raw": lambda: look(format="raw"),
                "jpeg": lambda: look(format="jpeg", quality=80),
                "png": lambda: look(format="png"),
            },
            {"scrot": self._scrot},
        )
        return [
            Figure("screenshot.raw", "screenshot, raw", "ms", taken["raw"], "screenshot.scrot"),
            Figure("screenshot.jpeg", "screenshot, JPEG quality 80", "ms", taken["jpeg"], "screenshot.scrot"),
            Figure("screenshot.png", "screenshot, PNG", "ms", taken["png"], "screenshot.scrot"),
            Figure("screenshot.scrot", "the usual way: scrot, read its file, remove it", "ms", taken["scrot"]),
        ]

    def actions(self, *, profile: bool) -> list[Figure]:
        """One action, against one xdotool process; with `profile` also what an action passes through, bit by bit."""
        run = self._sandbox.commands.run
        taken = self._rounds(
            "actions",
            {
                "click": lambda: self._sandbox.left_click(*self._place()),
                "move": lambda: self._sandbox.move_mouse(*self._place()),
                **(self._parts() if profile else {}),
            },
            {
                "xdotool_click": lambda: run(["xdotool", "mousemove", *map(str, self._place()), "click", "1"]),
                "xdotool_move": lambda: run(["xdotool", "mousemove", *map(str, self._place())]),
            },
        )
        return [
            Figure("action.click", "one action: left_click(x, y)", "ms", taken["click"], "action.xdotool_click"),
            Figure("action.move", "one action: move_mouse(x, y)", "ms", taken["move"], "action.xdotool_move"),
            Figure("action.xdotool_click", "the usual way: an xdotool process clicks", "ms", taken["xdotool_click"]),
            Figure("action.xdotool_move", "the usual way: an xdotool process moves", "ms", taken["xdotool_move"]),
            *(Figure(f"action.part.{name}", _PARTS[name], "ms", taken[name]) for name in _PARTS if name in taken),
        ]

    def _parts(self) -> dict[str, Callable[[], Any]]:
        return {
            "server": self._sandbox.get_info,
            "agent": lambda: self._sandbox.files.get_info("/"),
            "display": lambda: self._sandbox.act([{"type": "cursor_position"}]),
        }

    def _scrot(self) -> None:
        self._sandbox.commands.run(["scrot", "--overwrite", "--pointer", _PICTURE])
        self._sandbox.files.read(_PICTURE, "bytes")
        self._sandbox.files.remove(_PICTURE)

    def _place(self) -> tuple[int, int]:
        """A place on the screen, another one each time."""
        self._turn += 1
        return 300 + self._turn * 37 % 600, 250 + self._turn * 53 % 400

    def _rounds(
        self, what: str, ours: dict[str, Callable[[], Any]], usual: dict[str, Callable[[], Any]]
    ) -> dict[str, Sequence[float]]:
        """Milliseconds of each, ours `looks` times and the usual ways `usual` times, the warm-ups left out."""
        taken: dict[str, list[float]] = {name: [] for name in (*ours, *usual)}
        for name, call in (*ours.items(), *usual.items()):
            self._bar.say(what, f"warming up {name}")
            for _ in range(_WARM_UPS if name in ours else 1):
                call()
        rounds = self._counts.usual
        for turn in range(rounds):
            self._bar.say(what, f"round {turn + 1} of {rounds}")
            part = self._counts.looks * (turn + 1) // rounds - self._counts.looks * turn // rounds
            for name, call in ours.items():
                taken[name] += [_timed(call) for _ in range(part)]
            for name, call in usual.items():
                taken[name].append(_timed(call))
            self._bar.tick()
        return {name: tuple(samples) for name, samples in taken.items()}


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000
