"""The one X connection: opened once, its events sorted, and its end told apart from other errors."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from Xlib import X
from Xlib.display import Display
from Xlib.error import ConnectionClosedError, DisplayError

from guest_image.agent.x.failure import ActionFailed


class Connection:
    """A display with its inbox: notices of keymap changes, and answers to _NET_WM_PING by serial."""

    def __init__(self, name: str) -> None:
        try:
            self.display: Any = Display(name)
        except (DisplayError, ConnectionClosedError, OSError) as error:
            raise ActionFailed(
                "no_display",
                f"the X server on {name} cannot be reached: {error}",
                hint="the desktop session may be restarting; try again in a second",
            ) from error
        self.deferred = DeferredDisplay(self.display)
        self.root: Any = self.display.screen().root
        self.mapping_notices: list[Any] = []
        self.pongs: set[int] = set()
        self._protocols = self.display.get_atom("WM_PROTOCOLS")
        self.ping_atom: int = self.display.get_atom("_NET_WM_PING")
        self.display.set_error_handler(lambda *_: None)  # errors of requests without reply: vanished windows

    def collect(self) -> None:
        """Read what has arrived, without waiting."""
        while self.display.pending_events():
            event = self.display.next_event()
            if event.type == X.MappingNotify:
                if event.request != X.MappingPointer:
                    self.mapping_notices.append(event)
            elif event.type & 0x7F == X.ClientMessage and event.client_type == self._protocols:
                size, words = event.data
                if size == 32 and words[0] == self.ping_atom:
                    self.pongs.add(words[1])

    def alive(self) -> bool:
        """Whether the connection is still open, as far as the socket knows. No round trip."""
        try:
            self.collect()
        except (ConnectionClosedError, OSError):
            return False
        return True

    def close(self) -> None:
        """Close the connection; harmless if it is broken already."""
        with contextlib.suppress(ConnectionClosedError, OSError):
            self.display.close()


class DeferredDisplay:
    """The display as pynput gets it: `sync` is put off until `settle`, so that an action sends and waits once.

    Requests of one connection are carried out in order, with or without waiting in between. Whoever pauses in the
    middle of an action must `flush` first.
    """

    def __init__(self, display: Any) -> None:
        self._real = display
        self._owed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def sync(self) -> None:
        """Send what was asked for, and wait for it, later."""
        self._owed = True

    def settle(self) -> None:
        """Wait until X has done everything, if something was put off."""
        if self._owed:
            self._owed = False
            self._real.sync()

    def settled(self) -> None:
        """X has answered what was asked last, so it has done all that was asked before."""
        self._owed = False

    def close(self) -> None:
        """The connection's owner closes it."""


def import_pynput(display_name: str) -> Any:
    """pynput with its X backend; importing it needs a running X server, so it is done on first use."""
    os.environ["PYNPUT_BACKEND"] = "xorg"
    os.environ["DISPLAY"] = display_name
    import pynput.keyboard
    import pynput.mouse

    return pynput
