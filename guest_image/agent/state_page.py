"""The state page: a small file in which the session tells the host size and cursor of the screen. A door.

The session writes it in place, the host reads it straight out of the machine's memory, so a read may catch a
write: `seq` is odd meanwhile (a seqlock). Byte order is little endian, the layout is fixed;
tests/vectors/state_page.json holds golden pages. Pure.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAGIC = b"DSDISP01"
HEADER_BYTES = 4096
MAX_CURSOR_PX = 128
CURSOR_BYTES = MAX_CURSOR_PX * MAX_CURSOR_PX * 4
FILE_BYTES = HEADER_BYTES + CURSOR_BYTES
SEQ_OFFSET = 8
PID_OFFSET = 56
MAX_SCREEN_PX = 16384

_LAYOUT = struct.Struct("<8sIIIIIIIiiIHHHHI")
LAYOUT_BYTES = _LAYOUT.size
"""Bytes of the header in use (60); the rest up to HEADER_BYTES is zero."""


class StatePageError(ValueError):
    """The bytes are not a state page that can be believed."""


@dataclass(frozen=True)
class ScreenState:
    """Size of the screen and its cursor; sizes and positions in pixels, the stride in bytes.

    `cursor_x`, `cursor_y`: where the pointer's hot spot is. `generation` counts changes of size,
    `cursor_serial` changes of the cursor's picture. `seq`: even when the page is whole.
    """

    seq: int
    width: int
    height: int
    max_width: int
    max_height: int
    stride_bytes: int
    generation: int
    cursor_x: int
    cursor_y: int
    cursor_serial: int
    cursor_width: int
    cursor_height: int
    hot_x: int
    hot_y: int
    session_pid: int

    @property
    def cursor_bytes(self) -> int:
        """Length of the cursor's picture behind the header."""
        return self.cursor_width * self.cursor_height * 4


def pack(state: ScreenState) -> bytes:
    """The first LAYOUT_BYTES bytes of the page. StatePageError if a value does not fit its field."""
    try:
        return _LAYOUT.pack(
            MAGIC,
            state.seq,
            state.width,
            state.height,
            state.max_width,
            state.max_height,
            state.stride_bytes,
            state.generation,
            state.cursor_x,
            state.cursor_y,
            state.cursor_serial,
            state.cursor_width,
            state.cursor_height,
            state.hot_x,
            state.hot_y,
            state.session_pid,
        )
    except struct.error as error:
        raise StatePageError(f"does not fit the state page: {error}") from error


def unpack(page: bytes | bytearray | memoryview) -> ScreenState | None:
    """The state in a page of at least LAYOUT_BYTES bytes; None while it is written (odd `seq`): read again.

    StatePageError if it is too short, has another magic, or sizes that cannot be: the guest is not trusted.
    """
    if len(page) < LAYOUT_BYTES:
        raise StatePageError(f"state page of {len(page)} bytes; {LAYOUT_BYTES} are needed")
    magic, *numbers = _LAYOUT.unpack_from(page, 0)
    if magic != MAGIC:
        raise StatePageError(f"state page starts with {magic.hex()}")
    state = ScreenState(*numbers)
    if state.seq & 1:
        return None
    if not (0 < state.width <= state.max_width <= MAX_SCREEN_PX):
        raise StatePageError(f"screen width {state.width} of at most {state.max_width}")
    if not (0 < state.height <= state.max_height <= MAX_SCREEN_PX):
        raise StatePageError(f"screen height {state.height} of at most {state.max_height}")
    if not (state.max_width * 4 <= state.stride_bytes <= MAX_SCREEN_PX * 4):
        raise StatePageError(f"stride of {state.stride_bytes} bytes for {state.max_width} pixels")
    if state.cursor_width > MAX_CURSOR_PX or state.cursor_height > MAX_CURSOR_PX:
        raise StatePageError(f"cursor of {state.cursor_width}×{state.cursor_height} pixels")
    return state
