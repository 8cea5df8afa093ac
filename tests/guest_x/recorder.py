"""A client that records its events as JSON lines, and reads keys as toolkits do: late, and by the newest keymap.

    python recorder.py DISPLAY FILE [--ping] [--bare] [--slow SECONDS] [--size WxH]

It looks a keysym up only when it handles the event, `--slow` seconds after it took the event from the queue; after a
MappingNotify it fetches the map with the next key. With --ping it answers _NET_WM_PING in the order of its queue.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from Xlib import X, Xatom
from Xlib.display import Display
from Xlib.protocol.event import ClientMessage

from actions.keysyms import keysym_character

parser = argparse.ArgumentParser()
parser.add_argument("display")
parser.add_argument("file")
parser.add_argument("--ping", action="store_true")
parser.add_argument("--bare", action="store_true", help="above all windows, without a frame")
parser.add_argument("--slow", type=float, default=0)
parser.add_argument("--size", default="400x300")
parser.add_argument("--at", default="0,0")
arguments = parser.parse_args()

display = Display(arguments.display)
root = display.screen().root
width, height = map(int, arguments.size.split("x"))
x, y = map(int, arguments.at.split(","))
mask = X.KeyPressMask | X.KeyReleaseMask | X.ButtonPressMask | X.ButtonReleaseMask | X.PointerMotionMask
window = root.create_window(
    x,
    y,
    width,
    height,
    0,
    display.screen().root_depth,
    event_mask=mask | X.ExposureMask,
    override_redirect=arguments.bare,
)
protocols, ping = display.intern_atom("WM_PROTOCOLS"), display.intern_atom("_NET_WM_PING")
if arguments.ping:
    window.change_property(protocols, Xatom.ATOM, 32, [ping])
window.set_wm_name("recorder")
window.set_wm_class("recorder", "Recorder")
window.map()
output = Path(arguments.file).open("w", encoding="utf-8", buffering=1)  # noqa: SIM115


def record(**event):
    output.write(json.dumps(event) + "\n")


rows, stale = [], True
while True:
    event = display.next_event()
    if event.type == X.MappingNotify:
        stale = True
    elif event.type == X.Expose:
        window.set_input_focus(X.RevertToParent, X.CurrentTime)
        display.sync()
        record(kind="ready")
    elif event.type & 0x7F == X.ClientMessage and event.data[1][0] == ping and arguments.ping:
        reply = ClientMessage(window=root, client_type=protocols, data=(32, list(event.data[1])))
        root.send_event(reply, event_mask=X.SubstructureNotifyMask | X.SubstructureRedirectMask)
        display.flush()
    elif event.type in (X.KeyPress, X.KeyRelease):
        time.sleep(arguments.slow)
        if stale:
            rows, stale = display.get_keyboard_mapping(8, 248), False
        shift = bool(event.state & X.ShiftMask) != bool(event.state & X.LockMask and event.state & 0)
        row = rows[event.detail - 8]
        keysym = row[1] if shift and row[1] else row[0]
        if event.state & X.LockMask and keysym_character(keysym):
            keysym = ord(keysym_character(keysym).swapcase()[0])
        kind = "press" if event.type == X.KeyPress else "release"
        record(kind=kind, keysym=keysym, state=event.state & 0xFF, char=keysym_character(keysym), time=event.time)
    elif event.type in (X.ButtonPress, X.ButtonRelease):
        kind = "button" if event.type == X.ButtonPress else "unbutton"
        record(kind=kind, button=event.detail, x=event.event_x, y=event.event_y, state=event.state, time=event.time)
    elif event.type == X.MotionNotify:
        record(kind="motion", x=event.event_x, y=event.event_y, state=event.state, time=event.time)
