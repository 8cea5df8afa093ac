"""The bench's X program in a guest: shows a numbered strip, the next number for each key. Needs Xlib and marker only.

`python3 guest_load.py [FRAMES_PER_S]` on DISPLAY; with a number it changes by itself so often, keys or not. It says
`ready` once the strip is on the screen and the keyboard is its own. All strips are drawn beforehand, and answering a
key is one request written to the X server's socket as it is: under emulation a program in Python would else take
longer than everything that is measured.
"""

import select
import struct
import sys
import time

import marker  # type: ignore[import-not-found]  # beside this file, in the guest
from Xlib import X
from Xlib.display import Display

STRIPS = 128
_COPY_AREA = struct.Struct("<BBHIIIhhhhHH")
_EVENT_BYTES = 32
_KEY_PRESS, _EXPOSE = 2, 12


def main(frames_per_s: float) -> None:
    """Show and listen for ever."""
    display = Display()
    screen = display.screen()
    window = screen.root.create_window(
        0, 0, screen.width_in_pixels, screen.height_in_pixels, 0, screen.root_depth,
        override_redirect=1, background_pixel=0x305070, event_mask=X.KeyPressMask | X.ExposureMask,
    )  # fmt: skip
    gc = window.create_gc(graphics_exposures=False)
    copies = []
    for number in range(STRIPS):
        strip = window.create_pixmap(marker.WIDTH_PX, marker.CELL_PX, screen.root_depth)
        for colour, rectangles in zip((0xFFFFFF, 0), marker.rectangles(number), strict=True):
            gc.change(foreground=colour)
            strip.poly_fill_rectangle(
                gc, [(x - marker.LEFT_PX, 0, width, height) for x, _, width, height in rectangles]
            )
        place = (0, 0, marker.LEFT_PX, marker.TOP_PX, marker.WIDTH_PX, marker.CELL_PX)
        copies.append(_COPY_AREA.pack(62, 0, 7, strip.id, window.id, gc.id, *place))
    window.map()
    window.set_input_focus(X.RevertToParent, X.CurrentTime)
    display.sync()
    print("ready", flush=True)
    serve(display.display.socket, copies, frames_per_s)


def serve(server, copies, frames_per_s: float) -> None:  # type: ignore[no-untyped-def]
    """Answer events, which are all of one size, until the X server ends."""
    number, due, data = 0, time.monotonic(), b""
    server.setblocking(True)
    server.sendall(copies[0])
    while True:
        wait_s = max(0.0, due - time.monotonic()) if frames_per_s else None
        if select.select([server], [], [], wait_s)[0]:
            data += server.recv(4096)
            while len(data) >= _EVENT_BYTES:
                kind, data = data[0] & 0x7F, data[_EVENT_BYTES:]
                number = (number + (kind == _KEY_PRESS)) % STRIPS
                if kind in (_KEY_PRESS, _EXPOSE):
                    server.sendall(copies[number])
        else:
            due = max(due + 1 / frames_per_s, time.monotonic())
            number = (number + 1) % STRIPS
            server.sendall(copies[number])


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0)
