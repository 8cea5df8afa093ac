"""A window manager's frame whose manager takes the pointer for itself a while after it knows of a drag.

Arguments: display, seconds it takes. Prints "ready", and where the drag was last seen once the button is up.
"""

from __future__ import annotations

import sys
import time

from Xlib import X
from Xlib.display import Display

display = Display(sys.argv[1])
screen = display.screen()
frame = screen.root.create_window(
    0, 0, 600, 400, 0, screen.root_depth, event_mask=X.ButtonPressMask, override_redirect=True
)
frame.map()
display.sync()
print("ready", flush=True)


def take(mask: int) -> None:
    frame.grab_pointer(False, mask, X.GrabModeAsync, X.GrabModeAsync, X.NONE, X.NONE, X.CurrentTime)


def wait(*kinds: int):
    while (event := display.next_event()).type not in kinds:
        pass
    return event


wait(X.ButtonPress)
take(X.PointerMotionMask)
last = wait(X.MotionNotify)
display.ungrab_pointer(X.CurrentTime)
display.sync()
time.sleep(float(sys.argv[2]))
take(X.PointerMotionMask | X.ButtonReleaseMask)
while (event := wait(X.MotionNotify, X.ButtonRelease)).type == X.MotionNotify:
    last = event
print(last.root_x, last.root_y, flush=True)
