"""The name of the cursor that is shown (XFIXES 2, GetCursorImageAndName): python-xlib cannot ask for it.

Programs name their cursors as the theme does ("xterm", "hand2", "left_ptr"); one that was drawn by itself has no name.
"""

from __future__ import annotations

from typing import Any

from Xlib import X
from Xlib.ext import xfixes
from Xlib.protocol import rq

LONGEST_NAME = 64


class _CursorImageAndName(rq.ReplyRequest):  # type: ignore[misc]
    _request = rq.Struct(rq.Card8("opcode"), rq.Opcode(25), rq.RequestLength())
    _reply = rq.Struct(
        rq.ReplyCode(),
        rq.Pad(1),
        rq.Card16("sequence_number"),
        rq.ReplyLength(),
        rq.Int16("x"),
        rq.Int16("y"),
        rq.Card16("width"),
        rq.Card16("height"),
        rq.Card16("xhot"),
        rq.Card16("yhot"),
        rq.Card32("cursor_serial"),
        rq.Card32("cursor_atom"),
        rq.Card16("name_bytes"),
        rq.Pad(2),
    )


def cursor_name(display: Any) -> tuple[str | None, int]:
    """Its name, None if it has none that is printable and of at most LONGEST_NAME characters; and its serial."""
    display.xfixes_query_version()  # a client that has not said so speaks version 1, which has no names
    found = _CursorImageAndName(display=display.display, opcode=display.display.get_extension_major(xfixes.extname))
    if found.cursor_atom == X.NONE:
        return None, int(found.cursor_serial)
    name = str(display.get_atom_name(found.cursor_atom))
    good = 0 < len(name) <= LONGEST_NAME and name.isprintable()
    return name if good else None, int(found.cursor_serial)
