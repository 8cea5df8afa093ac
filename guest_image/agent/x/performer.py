"""Performs actions, one at a time, for the life of the agent. Connects on first use, and again when X was restarted."""

from __future__ import annotations

import atexit
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from Xlib.error import ConnectionClosedError

from actions.errors import ActionValueError
from actions.model import (
    Action,
    Click,
    CursorPosition,
    Drag,
    Hold,
    Key,
    KeyDown,
    KeyUp,
    MouseDown,
    MouseUp,
    Move,
    Screenshot,
    Scroll,
    Type,
    Wait,
)
from guest_image.agent.x.connection import Connection, import_pynput
from guest_image.agent.x.failure import ActionFailed
from guest_image.agent.x.keys import Keys
from guest_image.agent.x.pauses import pause_until
from guest_image.agent.x.pointer import Pointer
from guest_image.agent.x.typist import Typist

Cancelled = Callable[[], bool]
Progress = Callable[[dict[str, Any]], None]

# a button that a program lets go of is let go of soon, though the window below does not answer
_HELD_S = 1.0


def _never() -> bool:
    return False


def _unheard(progress: dict[str, Any]) -> None:
    pass


class Performer:
    """All calls come from one thread. Keeps one X connection and one mouse and one keyboard controller of pynput."""

    def __init__(self, display_name: str = ":0") -> None:
        self.display_name = display_name
        self._connection: Connection | None = None
        self._controllers: tuple[Any, Any, Any] | None = None
        self._pointer: Pointer
        self._keys: Keys
        self._typist: Typist

    def perform(
        self, action: Action, *, cancelled: Cancelled = _never, progress: Progress = _unheard
    ) -> dict[str, Any]:
        """Do one action; returns its result: {} | {"x", "y"} | {"typed": characters}.

        Raises ActionFailed. Buttons and keys that the action pressed for itself are up again in any case.
        """
        self.connect()
        assert self._connection is not None
        deferred = self._connection.deferred
        try:
            try:
                return self._do(action, cancelled, progress)
            finally:
                deferred.settle()
        except ActionValueError as error:
            raise ActionFailed("invalid", error.message, hint=error.hint) from error
        except (ConnectionClosedError, BrokenPipeError) as error:
            self.close()
            raise ActionFailed(
                "no_display",
                f"the X server went away during {action.type}",
                hint="the desktop session was restarted; look at the screen before you go on",
            ) from error

    def cursor_position(self) -> dict[str, int]:
        """Where the pointer is: {"x", "y"} in screen pixels. Raises ActionFailed "no_display"."""
        self.connect()
        x, y = self._pointer.position()
        assert self._connection is not None
        self._connection.deferred.settled()
        return {"x": x, "y": y}

    def connect(self) -> Any:
        """The live display (python-xlib), opened if need be. Raises ActionFailed "no_display"."""
        if self._connection is not None and not self._connection.alive():
            self.close()
        if self._connection is None:
            self._open()
        assert self._connection is not None
        return self._connection.display

    def close(self) -> None:
        """Drop the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> None:
        connection = Connection(self.display_name)
        try:
            pynput, mouse, keyboard = self._controllers or self._first_controllers()
            for controller in (mouse, keyboard):
                with contextlib.suppress(ConnectionClosedError, OSError):
                    controller._display.close()
                # pynput would keep a connection of its own for each, and wait for X after every press and release
                controller._display = connection.deferred
            self._typist = Typist(connection)
            self._keys = Keys(self._typist, keyboard, connection.display, connection.deferred)
            self._pointer = Pointer(mouse, pynput.mouse.Button, connection.display)
            self._typist.keyboard.release_leftovers()
        except (ConnectionClosedError, ImportError, OSError) as error:
            connection.close()
            raise ActionFailed(
                "no_display",
                f"the X server on {self.display_name} went away: {error}",
                hint="the desktop session may be restarting; try again in a second",
            ) from error
        self._connection = connection

    def _first_controllers(self) -> tuple[Any, Any, Any]:
        pynput = import_pynput(self.display_name)
        atexit.register(self._forget_controllers)
        self._controllers = (pynput, pynput.mouse.Controller(), pynput.keyboard.Controller())
        return self._controllers

    def _forget_controllers(self) -> None:
        """Leave pynput nothing to close at exit: it would complain about a connection that is closed already."""
        for controller in (self._controllers or ())[1:]:
            controller.__dict__.pop("_display", None)

    @contextlib.contextmanager
    def _modified(self, action: Click | Drag | Scroll, cancelled: Cancelled) -> Iterator[None]:
        """The action's modifiers are held inside the block, and until the application has read what was done."""
        with self._keys.held(action.modifiers, cancelled):
            yield
            if action.modifiers:
                self._pointer.settle()
                self._typist.let_pointer_events_be_read(cancelled)

    def _do(self, action: Action, cancelled: Cancelled, progress: Progress) -> dict[str, Any]:
        if isinstance(action, Key | KeyDown | Hold | Type):
            self._pointer.settle()
        match action:
            case Move():
                self._pointer.move(action.x, action.y)
            case Click():
                with self._modified(action, cancelled):
                    self._pointer.click(action)
            case MouseDown():
                self._pointer.down(action)
            case MouseUp():
                self._pointer.up(action, lambda: self._typist.let_pointer_events_be_read(cancelled, _HELD_S))
            case Drag():
                with self._modified(action, cancelled):
                    self._pointer.drag(action, cancelled, lambda: self._typist.let_pointer_events_be_read(cancelled))
            case Scroll():
                with self._modified(action, cancelled):
                    self._pointer.scroll(action, cancelled)
            case Key():
                self._keys.combination(action.keys, action.repeat, cancelled)
            case KeyDown():
                self._keys.down(action.key, cancelled, exact=bool(action.exact))
            case KeyUp():
                self._keys.up(action.key, cancelled)
            case Hold():
                self._keys.hold(action.keys, action.duration_ms, cancelled)
            case Type():
                return {"typed": self._typist.type(action.text, action.delay_ms, cancelled, progress)}
            case Wait():
                pause_until(time.monotonic() + action.duration_ms / 1000, cancelled, "the wait")
            case CursorPosition():
                return self.cursor_position()
            case Screenshot():
                raise ActionFailed(
                    "invalid", "the guest takes no screenshots", hint="the host reads the screen from outside"
                )
        return {}
