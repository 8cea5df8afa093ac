"""Files whose pages the host reads from outside: mapped, filled and locked, so that they stay where they are."""

from __future__ import annotations

import ctypes
import mmap
import os
from dataclasses import replace
from pathlib import Path

from guest_image.agent import state_page
from guest_image.agent.state_page import ScreenState


class LockedFile:
    """A shared mapping of a whole file, its pages present and locked for as long as this object lives."""

    def __init__(self, path: Path, size_bytes: int | None = None) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if size_bytes is not None:
                os.ftruncate(descriptor, size_bytes)
            length = os.fstat(descriptor).st_size
            self.map = mmap.mmap(descriptor, length, flags=mmap.MAP_SHARED)
        finally:
            os.close(descriptor)
        libc = ctypes.CDLL(None, use_errno=True)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        if libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(length)) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"mlock: {os.strerror(code)}", str(path))


class StateWriter:
    """Writes the state page as a seqlock: `seq` is odd while the rest does not fit together."""

    def __init__(self, page: mmap.mmap, first: ScreenState) -> None:
        self._page = page
        self.state = first
        self._write(first, None)

    def update(self, cursor: bytes | None = None, **changes: int) -> None:
        """Change fields, and the cursor's picture (premultiplied little-endian ARGB). Nothing changed: no write."""
        state = replace(self.state, **changes)
        if state != self.state or cursor is not None:
            self._write(state, cursor)

    def _write(self, state: ScreenState, cursor: bytes | None) -> None:
        seq = self.state.seq
        begin = (seq + 1) & 0xFFFFFFFF | 1
        length = state_page.LAYOUT_BYTES
        self._page[state_page.SEQ_OFFSET : state_page.SEQ_OFFSET + 4] = begin.to_bytes(4, "little")
        if cursor is not None:
            self._page[state_page.HEADER_BYTES : state_page.HEADER_BYTES + len(cursor)] = cursor
        self._page[:length] = state_page.pack(replace(state, seq=begin))
        self.state = replace(state, seq=(begin + 1) & 0xFFFFFFFF)
        self._page[state_page.SEQ_OFFSET : state_page.SEQ_OFFSET + 4] = self.state.seq.to_bytes(4, "little")


def framebuffer_stride(header: bytes) -> int:
    """Bytes in a row of the framebuffer, out of its XWD header. Raises ValueError if it is none (X11/XWDFile.h)."""
    version = int.from_bytes(header[4:8], "big")
    if version != 7:
        raise ValueError(f"the framebuffer's header has version {version}, not 7")
    return int.from_bytes(header[48:52], "big")


def cursor_bytes(pixels: list[int], width: int, height: int) -> tuple[bytes, int, int]:
    """The cursor's picture as the state page holds it, with its size in pixels, cut to what fits there."""
    columns, rows = min(width, state_page.MAX_CURSOR_PX), min(height, state_page.MAX_CURSOR_PX)
    out = bytearray()
    for row in range(rows):
        start = row * width
        for pixel in pixels[start : start + columns]:
            out += (pixel & 0xFFFFFFFF).to_bytes(4, "little")
    return bytes(out), columns, rows
