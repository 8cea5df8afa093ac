"""Runs the build's programs: output into the log, lines to a callback, everything ended when told to stop."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from guest_image.builder.errors import BuildCancelledError, BuildError

_TAIL_LINES = 25
_CANCEL_LATENCY_S = 0.25


class Runner:
    """Runs programs one after another with one log and one event that stops them."""

    def __init__(self, log: Path, cancel: threading.Event) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.path = log
        self.cancel = cancel
        self._log: IO[bytes] = log.open("wb", buffering=0)
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def note(self, text: str) -> None:
        """Write a line of our own to the log."""
        self._log.write(f"== {text}\n".encode())

    def check(self) -> None:
        """Raise BuildCancelledError if the build was told to stop."""
        if self.cancel.is_set():
            raise BuildCancelledError("the build was stopped", log=self.path)

    def fail(self, message: str, hint: str | None = None) -> BuildError:
        """A BuildError that carries the log's path and tail."""
        return BuildError(message, hint=hint, log=self.path, tail="\n".join(self._tail))

    def run(
        self,
        argv: Sequence[str],
        *,
        on_line: Callable[[str], None] | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        cwd: Path | None = None,
    ) -> None:
        """Run a program to its end. Raises BuildError if it is missing or fails, BuildCancelledError when stopped.

        It dies with this process, and with it all that it started (where the namespaces of `contained` are used).
        """
        self.check()
        try:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
                pass_fds=tuple(pass_fds),
                cwd=cwd,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise self.fail(f"{error.filename} is missing", "install the package util-linux") from error
        try:
            self._follow(process, on_line)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            raise
        finally:
            code = process.wait()
        if code != 0:
            raise self.fail(f"{argv[0]} ended with {code}")

    def _follow(self, process: subprocess.Popen[bytes], on_line: Callable[[str], None] | None) -> None:
        assert process.stdout is not None
        rest = b""
        with process.stdout as pipe, selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                self.check()
                if not selector.select(_CANCEL_LATENCY_S):
                    continue
                chunk = os.read(pipe.fileno(), 65536)
                if not chunk:
                    return
                self._log.write(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    text = line.decode(errors="replace").rstrip()
                    self._tail.append(text)
                    if on_line is not None:
                        on_line(text)


def contained(argv: Sequence[str]) -> list[str]:
    """The command in PID and mount namespaces of its own (root only): if it ends, all it started ends too."""
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--", *argv]
