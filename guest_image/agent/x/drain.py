"""Finds out whether applications have read the keys they were sent.

Two proofs. A window that speaks _NET_WM_PING (GTK, Qt, Chromium, ...) is sent one: applications handle their events in
order, so its answer comes after the keys. For others (xterm) the kernel is asked: nothing unread in the application's
X socket while its main thread waits for events, three times with X round trips in between. One that never waits, or of
which the kernel tells nothing, passes when nothing unread was seen for two seconds on end. See EWMH 1.5, _NET_WM_PING.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from Xlib import X, Xatom
from Xlib.error import BadWindow, XError
from Xlib.ext import res
from Xlib.protocol.event import ClientMessage

from guest_image.agent.x.connection import Connection
from guest_image.agent.x.sockets import look_at

_EMPTY_S = 2.0
_SOCKETS_S = 0.5
_PROBE_S = (0.001, 0.002, 0.004, 0.008, 0.016, 0.03)


class Drain:
    """Tracks the windows that were typed into since the last proof."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._display = connection.display
        self._root = connection.root
        self._protocols = self._display.get_atom("WM_PROTOCOLS")
        self._ping = connection.ping_atom
        self._state = self._display.get_atom("WM_STATE")
        self._serials = itertools.count(int(time.monotonic() * 1000) & 0x3FFFFFFF | 1)
        self._targets: dict[int, _Target] = {}
        self._open: dict[int, int] = {}

    def note_focus(self) -> None:
        """Remember who receives the keys that are typed next."""
        focus = self._display.get_input_focus().focus
        if isinstance(focus, int):
            if focus != X.PointerRoot:
                return
            focus = self._root.query_pointer().child
            if isinstance(focus, int):
                return
        if focus.id not in self._targets:
            target = self._resolve(focus)
            if target is not None:
                self._targets[focus.id] = target

    def note_pointer(self) -> None:
        """Remember who receives the button and wheel events at the pointer."""
        window = self._root
        try:
            while not isinstance(child := window.query_pointer().child, int):
                window = child
            if window.id != self._root.id and window.id not in self._targets:
                target = self._resolve(window)
                if target is not None:
                    self._targets[window.id] = target
        except BadWindow:
            return

    def __enter__(self) -> Drain:
        self._root.change_attributes(event_mask=X.SubstructureNotifyMask)
        return self

    def __exit__(self, *exc: object) -> None:
        self._root.change_attributes(event_mask=0)
        self._open.clear()

    def mark(self) -> list[int]:
        """Send a ping to every target that answers pings; returns tickets for `passed`."""
        tickets = []
        for focus, target in list(self._targets.items()):
            if target.pings:
                serial = next(self._serials)
                data = (32, [self._ping, serial, target.window.id, 0, 0])
                event = ClientMessage(window=target.window, client_type=self._protocols, data=data)
                target.window.send_event(event, event_mask=0, onerror=lambda *_: None)
                self._open[serial] = focus
                tickets.append(serial)
        self._display.flush()
        return tickets

    def passed(self, tickets: list[int]) -> bool:
        """Whether all these pings were answered, or their windows are gone."""
        self._connection.collect()
        for serial in self._connection.pongs:
            self._open.pop(serial, None)
        self._connection.pongs.clear()
        for serial in [t for t in tickets if t in self._open]:
            if not self._alive(self._targets[self._open[serial]]):
                del self._open[serial]
        return not any(ticket in self._open for ticket in tickets)

    def wait(self, tickets: list[int], deadline: float, cancelled: Callable[[], bool]) -> bool:
        """Wait until `tickets` have passed; False if the deadline (time.monotonic) or a cancel came first."""
        return self._poll(lambda: self.passed(tickets), deadline, cancelled)

    def wait_all(self, deadline: float, cancelled: Callable[[], bool]) -> bool:
        """Wait until every target has read everything; then forget the targets. False as in `wait`."""
        if not self._read_all(deadline, cancelled):
            return False
        self._targets.clear()
        return True

    def settle(self, deadline: float, cancelled: Callable[[], bool]) -> bool:
        """Wait until every target has heard of a changed keymap. False as in `wait`.

        Chromium hears of it on a second X connection (GDK's), which its pings say nothing about: so all its X sockets
        must be empty, and it must answer once more after that, from a later turn of its main loop.
        """
        return self._read_all(deadline, cancelled) and self._read_all(deadline, cancelled)

    def _read_all(self, deadline: float, cancelled: Callable[[], bool]) -> bool:
        silent = [target for target in self._targets.values() if not target.pings]
        tickets = self.mark()
        for target in silent:
            target.empty_since = None
            if not self._poll(lambda target=target: self._idle(target), deadline, cancelled):  # type: ignore[misc]
                return False
        if not self.wait(tickets, deadline, cancelled):
            return False
        soon = min(deadline, time.monotonic() + _SOCKETS_S)
        for target in self._targets.values():
            if target.pings:
                self._poll(lambda target=target: _sockets_empty(target), soon, cancelled)  # type: ignore[misc]
        return not cancelled()

    @property
    def silent(self) -> bool:
        """Whether some target does not answer pings."""
        return any(not target.pings for target in self._targets.values())

    def _poll(self, proof: Callable[[], bool], deadline: float, cancelled: Callable[[], bool]) -> bool:
        for attempt in itertools.count():
            if proof():
                return True
            if cancelled() or time.monotonic() >= deadline:
                return False
            time.sleep(_PROBE_S[min(attempt, len(_PROBE_S) - 1)])
        raise AssertionError("unreachable")

    def _idle(self, target: _Target) -> bool:
        if not self._alive(target):
            return True
        for _ in range(3):
            self._display.sync()
            seen = look_at(target.pid) if target.pid else None
            if seen is not None and seen.unread:
                target.empty_since = None
                return False
            if seen is None or not seen.waits:
                now = time.monotonic()
                target.empty_since = target.empty_since or now
                return now - target.empty_since >= _EMPTY_S
        return True

    def _alive(self, target: _Target) -> bool:
        try:
            target.window.get_attributes()
        except BadWindow:
            return False
        return True

    def _resolve(self, focus: Any) -> _Target | None:
        try:
            top = self._toplevel(focus)
            supported = top.get_full_property(self._protocols, Xatom.ATOM)
            pings = supported is not None and self._ping in supported.value
            return _Target(top, pings, self._client_pid(focus))
        except BadWindow:
            return None

    def _toplevel(self, window: Any) -> Any:
        while window.get_property(self._state, X.AnyPropertyType, 0, 1) is None:
            parent = window.query_tree().parent
            if isinstance(parent, int) or parent.id == self._root.id:
                break
            window = parent
        return window

    def _client_pid(self, window: Any) -> int | None:
        try:
            specs = [{"client": window.id, "mask": res.LocalClientPIDMask}]
            for answer in self._display.res_query_client_ids(specs).ids:
                if answer.value:
                    return int(answer.value[0])
        except (XError, AttributeError):
            pass
        return None


class _Target:
    __slots__ = ("empty_since", "pid", "pings", "window")

    def __init__(self, window: Any, pings: bool, pid: int | None) -> None:
        self.window = window
        self.pings = pings
        self.pid = pid
        self.empty_since: float | None = None


def _sockets_empty(target: _Target) -> bool:
    seen = look_at(target.pid) if target.pid else None
    return seen is None or seen.unread == 0
