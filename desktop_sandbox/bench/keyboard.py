"""Typing on one settled desktop, until the program in a terminal has read it, against an xdotool process there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from desktop_sandbox import NotFoundError, Sandbox
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar

PLAIN = "The quick brown (fox) {jumps} over 0123456789 lazy dogs & $%^ ~`'\"|<>?! " * 4 + "\n"
MAPPED = "Füße, ça va, łódź € — Привет, мир! Καλημέρα 世界 こんにちは 안녕하세요 🙂✅ " * 2 + "\n"
"""Most of its characters are on no key of the usual layout."""
_FILE = "/tmp/bench-typed"  # noqa: S108 (in the guest)
_PROGRAM = "/tmp/bench-catch"  # noqa: S108 (in the guest)
_WITHIN_S = 120.0
_SETTLES_S = 1.0


class KeyboardBench:
    """Measures one desktop that is in nobody else's use."""

    def __init__(self, sandbox: Sandbox, counts: Counts, bar: Bar) -> None:
        self._sandbox = sandbox
        self._bar = bar
        self._turns = max(1, counts.usual // 4)
        self._bytes = 0

    def run(self) -> list[Figure]:
        """Milliseconds of each character."""
        desktop = self._sandbox
        desktop.files.write(_PROGRAM, f"stty -echo; : > {_FILE}; exec cat > {_FILE}")
        window = desktop.launch_window(["xterm", "-e", "sh", _PROGRAM])
        self._until(0)
        time.sleep(_SETTLES_S)
        xdotool = ["xdotool", "type", "--delay", "12", "--", PLAIN]
        plain = self._typed("plain text", PLAIN, lambda: desktop.write(PLAIN))
        mapped = self._typed("text that must be mapped", MAPPED, lambda: desktop.write(MAPPED))
        usual = self._typed("the usual way", PLAIN, lambda: desktop.commands.run(xdotool, timeout=_WITHIN_S))
        desktop.close_window(window)
        return [
            Figure("typing.plain", "typing, each character of plain text", "ms", plain, "typing.xdotool"),
            Figure("typing.mapped", "typing, each character of text that is on no key", "ms", mapped),
            Figure("typing.xdotool", "the usual way: xdotool type --delay 12, plain text", "ms", usual),
        ]

    def _typed(self, what: str, text: str, write: Callable[[], object]) -> Sequence[float]:
        self._bar.say("typing", what)
        samples = []
        for _ in range(self._turns):
            began = time.perf_counter()
            write()
            self._bytes += len(text.encode())
            self._until(self._bytes)
            samples.append((time.perf_counter() - began) * 1000 / len(text))
        self._bar.tick()
        return samples

    def _until(self, size: int) -> None:
        """Wait until so many bytes were read in the terminal. TimeoutError: they never were."""
        deadline = time.monotonic() + _WITHIN_S
        while time.monotonic() < deadline:
            try:
                if self._sandbox.files.get_info(_FILE).size_bytes >= size:
                    return
            except NotFoundError:
                time.sleep(0.1)
        raise TimeoutError(f"the terminal has not read {size} bytes within {_WITHIN_S:.0f} s")
