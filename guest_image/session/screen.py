"""The session's X connection: screen size, hidden cursor, and the state page that follows pointer and cursor.

Everything happens in answer to X events; an idle screen costs nothing.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from Xlib import X
from Xlib.display import Display
from Xlib.error import DisplayConnectionError
from Xlib.ext import xfixes, xinput

from guest_image.agent.state_page import FILE_BYTES, ScreenState
from guest_image.agent.x.randr import set_screen_size
from guest_image.session.pages import LockedFile, StateWriter, cursor_bytes, framebuffer_stride

_CONNECT_EVERY_S = 0.02
_XWD_HEADER_BYTES = 100


def connect(name: str, deadline: float) -> Any:
    """Connect to the X server; tried again until `deadline` (monotonic seconds) while it still starts."""
    while True:
        try:
            return Display(name)
        except (DisplayConnectionError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(_CONNECT_EVERY_S)


class Screen:
    """The X server's one screen, brought to its size, with its framebuffer and state page locked in memory."""

    def __init__(self, display: Any, resolution: tuple[int, int], directory: Path) -> None:
        self._display = display
        self._root = display.screen().root
        self._wm_check = display.get_atom("_NET_SUPPORTING_WM_CHECK")
        self._cursor_notify = display.query_extension("XFIXES").first_event + xfixes.XFixesCursorNotify
        self.window_manager_seen = False
        maximum = self._root.get_geometry()
        set_screen_size(display, *resolution)
        self._follow()
        self._framebuffer = LockedFile(directory / f"Xvfb_screen{display.get_default_screen()}")
        state_file = LockedFile(directory / "state", FILE_BYTES)
        self._state = StateWriter(
            state_file.map,
            ScreenState(
                seq=int.from_bytes(state_file.map[8:12], "little"),
                width=resolution[0],
                height=resolution[1],
                max_width=maximum.width,
                max_height=maximum.height,
                stride_bytes=framebuffer_stride(self._framebuffer.map[:_XWD_HEADER_BYTES]),
                generation=int.from_bytes(state_file.map[32:36], "little") + 1,
                cursor_x=0,
                cursor_y=0,
                cursor_serial=0,
                cursor_width=0,
                cursor_height=0,
                hot_x=0,
                hot_y=0,
                session_pid=os.getpid(),
            ),
        )
        self._locked = state_file
        self._read_pointer()
        self._read_cursor()
        display.sync()

    def _follow(self) -> None:
        self._display.xfixes_query_version()
        self._display.xinput_query_version()
        self._root.change_attributes(event_mask=X.StructureNotifyMask | X.PropertyChangeMask)
        self._root.xfixes_hide_cursor()
        self._display.xfixes_select_cursor_input(self._root, xfixes.XFixesDisplayCursorNotifyMask)
        self._root.xinput_select_events([(xinput.AllMasterDevices, xinput.RawMotionMask)])

    def fileno(self) -> int:
        """The connection's descriptor, for a selector."""
        return int(self._display.fileno())

    def handle_events(self) -> None:
        """Take all events that are there, then bring the state page up to date once. Raises when the server is gone."""
        while self._display.pending_events():
            moved = changed = False
            while self._display.pending_events():
                event = self._display.next_event()
                if event.type == X.ConfigureNotify and event.window == self._root:
                    self._resized(event.width, event.height)
                    moved = True
                elif event.type == X.PropertyNotify and event.atom == self._wm_check:
                    self.window_manager_seen = True
                elif event.type == self._cursor_notify:
                    # The pointer may have been warped as well, which gives no raw motion.
                    changed = moved = True
                else:
                    moved = True
            if moved:
                self._read_pointer()
            if changed:
                self._read_cursor()

    def _resized(self, width: int, height: int) -> None:
        state = self._state.state
        if (width, height) != (state.width, state.height):
            self._state.update(width=width, height=height, generation=state.generation + 1)

    def _read_pointer(self) -> None:
        pointer = self._root.query_pointer()
        self._state.update(cursor_x=pointer.root_x, cursor_y=pointer.root_y)

    def _read_cursor(self) -> None:
        image = self._display.xfixes_get_cursor_image(self._root)
        pixels, width, height = cursor_bytes(image.cursor_image, image.width, image.height)
        self._state.update(
            pixels,
            cursor_serial=image.cursor_serial,
            cursor_width=width,
            cursor_height=height,
            hot_x=image.xhot,
            hot_y=image.yhot,
        )
