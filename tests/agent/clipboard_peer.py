"""Another program on the X server: owns the clipboard with a text, or pastes it; `python clipboard_peer.py DISPLAY own
FILE [hang|chunks|latin|png|png-chunks]` and `... paste TARGET FILE`. Says "ready" when it owns it."""

import sys
import time

from Xlib import X, Xatom
from Xlib.display import Display
from Xlib.protocol.event import SelectionNotify

CHUNK = 50_000


class Peer:
    def __init__(self, name: str) -> None:
        self.display = Display(name)
        screen = self.display.screen()
        self.window = screen.root.create_window(0, 0, 1, 1, 0, screen.root_depth, event_mask=X.PropertyChangeMask)
        self.clipboard = self.display.intern_atom("CLIPBOARD")
        self.utf8 = self.display.intern_atom("UTF8_STRING")
        self.png = self.display.intern_atom("image/png")
        self.incr = self.display.intern_atom("INCR")

    def own(self, data: bytes, how: str) -> None:
        self.window.set_selection_owner(self.clipboard, X.CurrentTime)
        assert self.display.get_selection_owner(self.clipboard) == self.window
        print("ready", flush=True)
        while True:
            event = self.display.next_event()
            if event.type == X.SelectionClear:
                return
            if event.type != X.SelectionRequest or how == "hang":
                continue
            wanted = {"latin": Xatom.STRING, "png": self.png, "png-chunks": self.png}.get(how, self.utf8)
            chunks = how.endswith("chunks")
            given = event.target == wanted
            if given and chunks:
                event.requestor.change_attributes(event_mask=X.PropertyChangeMask)
                event.requestor.change_property(event.property, self.incr, 32, [len(data)])
            elif given:
                event.requestor.change_property(event.property, event.target, 8, data)
            answer = SelectionNotify(
                time=event.time,
                requestor=event.requestor,
                selection=event.selection,
                target=event.target,
                property=event.property if given else X.NONE,
            )
            event.requestor.send_event(answer)
            self.display.flush()
            if given and chunks:
                for at in [*range(0, len(data), CHUNK), len(data)]:
                    self.wait(X.PropertyNotify, lambda e: e.state == X.PropertyDelete)
                    event.requestor.change_property(event.property, wanted, 8, data[at : at + CHUNK])
                    self.display.flush()

    def wait(self, kind, fits):
        while True:
            event = self.display.next_event()
            if event.type == kind and fits(event):
                return event

    def paste(self, target: str) -> bytes:
        place = self.display.intern_atom("PASTED")
        wanted = self.display.intern_atom(target)
        self.window.convert_selection(self.clipboard, wanted, place, X.CurrentTime)
        answer = self.wait(X.SelectionNotify, lambda e: True)
        if answer.property == X.NONE:
            return b"REFUSED"
        found = self.window.get_full_property(place, X.AnyPropertyType)
        if found.property_type != self.incr:
            return bytes(found.value)
        data = b""
        self.window.delete_property(place)
        while True:
            self.wait(X.PropertyNotify, lambda e: e.atom == place and e.state == X.PropertyNewValue)
            piece = bytes(self.window.get_full_property(place, X.AnyPropertyType).value)
            self.window.delete_property(place)
            self.display.flush()
            if not piece:
                return data
            data += piece


if __name__ == "__main__":
    peer = Peer(sys.argv[1])
    if sys.argv[2] == "own":
        with open(sys.argv[3], "rb") as file:
            text = file.read()
        peer.own(text, sys.argv[4] if len(sys.argv) > 4 else "plain")
        time.sleep(3600)
    else:
        pasted = peer.paste(sys.argv[3])
        with open(sys.argv[4], "wb") as file:
            file.write(pasted)
