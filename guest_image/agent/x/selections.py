"""The clipboard on one X connection: owns it, answers who asks for it, and reads it from another owner.

Text, or a picture as PNG. Never waits for another client: `handle` takes the events that are there, and a reading ends
when its events have come or its user gives it up. Both directions do INCR (ICCCM 2.7.2), since one request carries
256 KiB at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from Xlib import X, Xatom
from Xlib.display import Display
from Xlib.ext import xfixes
from Xlib.protocol.event import SelectionNotify

from guest_image.agent.errors import OpError
from guest_image.agent.selection_limits import LIMITS, PNG, TEXT

_CHUNK_BYTES = 64 << 10
_SENDINGS = 16
_SENDING_S = 10.0
_PROPERTIES = 8
_NAMES = (
    "CLIPBOARD",
    "TARGETS",
    "MULTIPLE",
    "INCR",
    "UTF8_STRING",
    "TEXT",
    "text/plain",
    "text/plain;charset=utf-8",
    "ATOM_PAIR",
    "image/png",
)
_TEXT_FORMS = ("UTF8_STRING", "TEXT", "text/plain", "text/plain;charset=utf-8")


@dataclass
class Reading:
    """One question to the clipboard's owner; `done` is called once, with the bytes or an OpError."""

    done: Callable[[bytes | OpError], None]
    targets: list[int]
    place: int
    limit: int
    incremental: bool = False
    data: bytearray = field(default_factory=bytearray)

    @property
    def target(self) -> int:
        """The form that is asked for at present."""
        return self.targets[0]


@dataclass
class _Sending:
    """A large text or picture on its way to one requestor, a piece each time that it has deleted the one before."""

    kind: int
    data: bytes
    deadline: float
    at: int = 0


class Selections:
    """All calls come from one thread. `changed` is called whenever the clipboard has a new owner."""

    def __init__(self, display_name: str, changed: Callable[[], None]) -> None:
        self.display: Any = Display(display_name)
        self.display.set_error_handler(lambda *_: None)  # requestors vanish
        self._changed = changed
        self._atoms = {name: self.display.get_atom(name) for name in _NAMES}
        screen = self.display.screen()
        self._window: Any = screen.root.create_window(
            -1, -1, 1, 1, 0, screen.root_depth, event_mask=X.PropertyChangeMask
        )
        self._owned: set[int] = set()
        self._data = b""
        self._form = TEXT
        self._reading: Reading | None = None
        self._count = 0
        self._sendings: dict[tuple[int, int], _Sending] = {}
        self.display.xfixes_query_version()
        self.display.xfixes_select_selection_input(
            self._window, self._atoms["CLIPBOARD"], xfixes.XFixesSetSelectionOwnerNotifyMask
        )
        self._fixes = self.display.extension_event.SetSelectionOwnerNotify
        self.display.sync()

    def close(self) -> None:
        """Close the connection; whoever waits is told."""
        self.give_up(OpError("unavailable", "the clipboard's connection to X was closed"))
        self.display.close()

    def own(self, data: bytes, form: str = TEXT) -> None:
        """Be the clipboard and the primary selection, with this UTF-8 text or PNG. OpError "failed" if X refuses."""
        self._data, self._form = data, form
        self._owned.clear()
        for selection in (Xatom.PRIMARY, self._atoms["CLIPBOARD"]):
            self._window.set_selection_owner(selection, X.CurrentTime)
            if self.display.get_selection_owner(selection) == self._window:
                self._owned.add(selection)
        if self._atoms["CLIPBOARD"] not in self._owned:
            raise OpError("failed", "another program took the clipboard at the same moment", hint="try again")

    def read(self, done: Callable[[bytes | OpError], None], form: str = TEXT) -> None:
        """Ask for the clipboard's text or PNG; empty if it holds none. One at a time: an unfinished one is given up."""
        self.give_up(OpError("busy", "the clipboard was asked for again"))
        selection = self._atoms["CLIPBOARD"]
        if selection in self._owned:
            done(self._data if form == self._form else b"")
            return
        if self.display.get_selection_owner(selection) == X.NONE:
            done(b"")
            return
        # an answer that comes too late is told from the next one's by its property
        self._count += 1
        name = f"_DESKTOP_SANDBOX_CLIPBOARD_{self._count % _PROPERTIES}"
        targets = [self._atoms["image/png"]] if form == PNG else [self._atoms["UTF8_STRING"], Xatom.STRING]
        self._reading = Reading(done, targets, self.display.get_atom(name), LIMITS[form])
        self._ask()

    def give_up(self, error: OpError) -> None:
        """End the reading that is under way, if there is one."""
        self._finish(error)

    def handle(self) -> None:
        """Take all events that have come."""
        self.display.flush()
        while self.display.pending_events():
            self._handle(self.display.next_event())
            self.display.flush()  # reads as well: what came is seen by the next look, not by a select on the socket
        now = time.monotonic()
        for key in [key for key, sending in self._sendings.items() if sending.deadline < now]:
            del self._sendings[key]

    def _handle(self, event: Any) -> None:
        if event.type == X.SelectionRequest:
            self._answer(event)
        elif event.type == X.SelectionNotify:
            self._answered(event)
        elif event.type == X.SelectionClear:
            self._owned.discard(event.atom)
        elif event.type == X.PropertyNotify:
            self._property(event)
        elif (event.type & 0x7F, getattr(event, "sub_code", None)) == self._fixes:
            self._changed()

    # reading

    def _ask(self) -> None:
        reading = self._reading
        assert reading is not None
        self._window.delete_property(reading.place)
        self._window.convert_selection(self._atoms["CLIPBOARD"], reading.target, reading.place, X.CurrentTime)
        self.display.flush()

    def _answered(self, event: Any) -> None:
        reading = self._reading
        if reading is None or event.selection != self._atoms["CLIPBOARD"] or event.target != reading.target:
            return
        if event.property == X.NONE:
            reading.targets.pop(0)
            if reading.targets:
                self._ask()
            else:
                self._finish(b"")
        elif event.property == reading.place:
            found = self._take(reading)
            if found is not None and found.property_type == self._atoms["INCR"]:
                reading.incremental = True
            else:
                self._finish_text(reading, b"" if found is None else _bytes(found))

    def _take(self, reading: Reading) -> Any:
        """The property, deleted; None if it is not there or too large (then the reading has ended)."""
        found = self._window.get_property(reading.place, X.AnyPropertyType, 0, reading.limit // 4 + 1)
        if found is not None and (found.bytes_after or len(reading.data) + len(found.value) > reading.limit):
            self._finish(OpError("too-large", f"the clipboard holds more than the {reading.limit} bytes that are read"))
            found = None
        self._window.delete_property(reading.place)
        return found

    def _property(self, event: Any) -> None:
        if event.window == self._window:
            reading = self._reading
            new = event.state == X.PropertyNewValue
            if reading is not None and reading.incremental and new and event.atom == reading.place:
                found = self._take(reading)
                piece = b"" if found is None else _bytes(found)
                if piece:
                    reading.data += piece
                elif self._reading is reading:
                    self._finish_text(reading, bytes(reading.data))
        elif event.state == X.PropertyDelete:
            self._send_more(event.window, event.atom)

    def _finish_text(self, reading: Reading, data: bytes) -> None:
        latin = reading.target == Xatom.STRING
        self._finish(data.decode("latin-1").encode() if latin else data)

    def _finish(self, outcome: bytes | OpError) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.done(outcome)

    # answering

    def _answer(self, event: Any) -> None:
        place = event.property or event.target
        given = event.selection in self._owned
        if given and event.target == self._atoms["MULTIPLE"]:
            given = bool(event.property) and self._put_multiple(event.requestor, place)
        elif given:
            given = self._put(event.requestor, event.target, place)
        answer = SelectionNotify(
            time=event.time,
            requestor=event.requestor,
            selection=event.selection,
            target=event.target,
            property=place if given else X.NONE,
        )
        event.requestor.send_event(answer)

    def _put_multiple(self, requestor: Any, place: int) -> bool:
        found = requestor.get_property(place, X.AnyPropertyType, 0, 64)
        if found is None or found.format != 32 or len(found.value) % 2:
            return False
        pairs = list(found.value)
        for at in range(0, len(pairs), 2):
            if not self._put(requestor, pairs[at], pairs[at + 1]):
                pairs[at + 1] = X.NONE
        requestor.change_property(place, self._atoms["ATOM_PAIR"], 32, pairs)
        return True

    def _put(self, requestor: Any, target: int, place: int) -> bool:
        """Lay what is owned in the form `target` into a property of the requestor; False if there is no such form."""
        if target == self._atoms["TARGETS"]:
            requestor.change_property(place, Xatom.ATOM, 32, self._forms())
            return True
        if self._form == PNG:
            if target != self._atoms["image/png"]:
                return False
            kind, data = target, self._data
        elif target in (self._atoms["UTF8_STRING"], self._atoms["TEXT"]):
            kind, data = self._atoms["UTF8_STRING"], self._data
        elif target in (self._atoms["text/plain"], self._atoms["text/plain;charset=utf-8"]):
            kind, data = target, self._data
        elif target == Xatom.STRING:
            kind, data = Xatom.STRING, self._data.decode("utf-8", "replace").encode("latin-1", "replace")
        else:
            return False
        if len(data) <= _CHUNK_BYTES:
            requestor.change_property(place, kind, 8, data)
            return True
        if len(self._sendings) >= _SENDINGS:
            return False
        self._sendings[requestor.id, place] = _Sending(kind, data, time.monotonic() + _SENDING_S)
        requestor.change_attributes(event_mask=X.PropertyChangeMask)
        requestor.change_property(place, self._atoms["INCR"], 32, [len(data)])
        return True

    def _forms(self) -> list[int]:
        own = [self._atoms["TARGETS"], self._atoms["MULTIPLE"]]
        if self._form == PNG:
            return [*own, self._atoms["image/png"]]
        return [*own, *(self._atoms[name] for name in _TEXT_FORMS), Xatom.STRING]

    def _send_more(self, requestor: Any, place: int) -> None:
        sending = self._sendings.get((requestor.id, place))
        if sending is None:
            return
        piece = sending.data[sending.at : sending.at + _CHUNK_BYTES]
        sending.at += len(piece)
        sending.deadline = time.monotonic() + _SENDING_S
        requestor.change_property(place, sending.kind, 8, piece)
        if not piece:
            del self._sendings[requestor.id, place]


def _bytes(found: Any) -> bytes:
    """A property's bytes; a property of another format than 8 is no text."""
    return bytes(found.value) if found.format == 8 else b""
