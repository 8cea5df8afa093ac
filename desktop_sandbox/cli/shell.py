"""A desktop's terminal in this one: keys and output passed on as they are, the size kept the same."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from desktop_sandbox.cli.desktop import connected
from desktop_sandbox.cli.jobs import table
from desktop_sandbox.cli.output import print_json
from desktop_sandbox.errors import DesktopSandboxError

if TYPE_CHECKING:
    from desktop_sandbox import Sandbox
    from desktop_sandbox.sdk._sync.terminals import Terminal

LEAVE = b"\x1d"
_CTRL_D = b"\x04"
# what a full-screen program leaves behind: other screen, mouse, pasting, hidden cursor, colours
_TIDY = b"\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b[?25h\x1b[0m"


def run(sandbox_id: str, command: Sequence[str] | None, *, attach: str | None, user: str, cwd: str | None) -> int:
    """Open a terminal, or come back to one: its exit code; 0 after leaving it."""
    rows, columns = _size()
    with connected(sandbox_id) as desktop:
        terminal = _open(desktop, command, attach, user, cwd, rows, columns)
        with terminal:
            session = _Session(terminal)
            left = session.run()
        if not left:
            info = terminal.info
            return 1 if info.exit_code is None else info.exit_code
    print(f"left; it runs on: desktop-sandbox shell {sandbox_id} --attach {terminal.id}", file=sys.stderr)
    if session.trouble is not None:
        raise session.trouble
    return 0


def _open(
    desktop: Sandbox,
    command: Sequence[str] | None,
    attach: str | None,
    user: str,
    cwd: str | None,
    rows: int,
    columns: int,
) -> Terminal:
    if attach is not None:
        terminal = desktop.terminals.connect(attach)
        with contextlib.suppress(DesktopSandboxError):  # it may have ended: then its last output is shown
            terminal.resize(rows, columns)
        return terminal
    line = None if command is None else command[0] if len(command) == 1 else list(command)
    return desktop.terminals.create(line, user=user, cwd=cwd, rows=rows, columns=columns)


def ls(sandbox_id: str, *, as_json: bool) -> None:
    """List terminals."""
    with connected(sandbox_id) as desktop:
        found = desktop.terminals.list()
    if as_json:
        print_json(found)
    else:
        table(found, empty="no terminals")


def kill(sandbox_id: str, terminal_id: str, *, as_json: bool) -> None:
    """End one."""
    with connected(sandbox_id) as desktop:
        desktop.terminals.kill(terminal_id)
    if as_json:
        print_json({"killed": terminal_id})


def _size() -> tuple[int, int]:
    for stream in (1, 0, 2):
        with contextlib.suppress(OSError):
            columns, rows = os.get_terminal_size(stream)
            return max(1, min(rows, 1000)), max(1, min(columns, 1000))
    return 24, 80


class _Session:
    """Keys go out in this thread, output comes in another; a pipe tells this one of a new size, or of the end."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._ended = threading.Event()
        self._keys = sys.stdin.fileno()
        self.trouble: DesktopSandboxError | None = None

    def run(self) -> bool:
        """Until it ends, or is left: whether it was left."""
        reader = threading.Thread(target=self._show, daemon=True)
        try:
            with _raw(self._keys), self._resizing():
                reader.start()
                left = self._type()
                if left:
                    self._terminal.close()
                reader.join(5)
            return left or self.trouble is not None
        finally:
            if not reader.is_alive():
                os.close(self._wake_read)
                os.close(self._wake_write)

    def _show(self) -> None:
        try:
            for data in self._terminal:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
        except DesktopSandboxError as error:
            self.trouble = error
        except (OSError, ValueError):  # nobody sees this terminal any more
            pass
        finally:
            self._ended.set()
            os.write(self._wake_write, b"e")

    def _type(self) -> bool:
        waiting = [self._keys, self._wake_read]
        while not self._ended.is_set():
            ready, _, _ = select.select(waiting, [], [])
            try:
                if self._wake_read in ready:
                    os.read(self._wake_read, 64)
                    if not self._ended.is_set():
                        self._terminal.resize(*_size())
                if self._keys in ready:
                    data = os.read(self._keys, 4096)
                    if not data:
                        waiting.remove(self._keys)  # what was piped in is over
                        data = _CTRL_D
                    before, leave, _ = data.partition(LEAVE)
                    if before:
                        self._terminal.write(before)
                    if leave:
                        return True
            except DesktopSandboxError as error:
                self.trouble = None if self._ended.is_set() else error
                return not self._ended.is_set()
        return False

    @contextlib.contextmanager
    def _resizing(self) -> Iterator[None]:
        def changed(*_: object) -> None:
            with contextlib.suppress(OSError):
                os.write(self._wake_write, b"s")

        before = signal.signal(signal.SIGWINCH, changed)
        try:
            yield
        finally:
            signal.signal(signal.SIGWINCH, before)


@contextlib.contextmanager
def _raw(fd: int) -> Iterator[None]:
    """Every key as it is pressed, Ctrl-C too; afterwards all as before. Nothing where there is no terminal."""
    if not os.isatty(fd):
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
        with contextlib.suppress(OSError, ValueError):
            if sys.stdout.isatty():
                sys.stdout.buffer.write(_TIDY)
                sys.stdout.buffer.flush()
