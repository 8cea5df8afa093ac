"""clipboard.get, clipboard.set, clipboard.watch: text in the desktop's clipboard, or a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.protocol import STREAM_OUT
from guest_image.agent.registry import integer, op, string
from guest_image.agent.selection_limits import LIMITS, MAX_TEXT_BYTES, PNG, PNG_SIGNATURE, TEXT

if TYPE_CHECKING:
    from guest_image.agent.call import Call

_LONGEST_MS = 300_000


@op("clipboard.get", form=string(TEXT))
async def clipboard_get(call: Call, *, form: str) -> dict[str, Any]:
    """Stream the clipboard's text as UTF-8, at most 1 MiB, or its picture as PNG, at most 16 MiB: {serial, size}.

    Nothing where it holds no such thing.
    """
    _limit(form)
    serial = call.agent.clipboard.serial
    data = await call.agent.clipboard.get(form)
    if form == TEXT:
        data = data.decode("utf-8", "replace").encode()[:MAX_TEXT_BYTES]
    await call.out(STREAM_OUT).write(data)
    return {"serial": serial, "size": len(data)}


@op("clipboard.set", form=string(TEXT))
async def clipboard_set(call: Call, *, form: str) -> dict[str, Any]:
    """Put the text (UTF-8) or picture (PNG) that comes as stream 0 into the clipboard: {size}."""
    limit = _limit(form)
    data = bytearray()
    while chunk := await call.incoming.read():
        data += chunk
        if len(data) > limit:
            raise OpError("too-large", f"the {_thing(form)} is longer than {limit} bytes")
    if form == PNG and not data.startswith(PNG_SIGNATURE):
        raise OpError("invalid", "the picture is no PNG")
    if form == TEXT:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise OpError("invalid", f"the text is not UTF-8: {error.reason} at byte {error.start}") from error
    await call.agent.clipboard.set(bytes(data), form)
    return {"size": len(data)}


def _limit(form: str) -> int:
    if form not in LIMITS:
        raise OpError("invalid", f"the clipboard has no form {form!r:.80}", hint=f"it has: {', '.join(LIMITS)}")
    return LIMITS[form]


def _thing(form: str) -> str:
    return "picture" if form == PNG else "text"


@op("clipboard.watch", after=integer(0, 0), wait_ms=integer(60_000, 0, _LONGEST_MS))
async def clipboard_watch(call: Call, *, after: int, wait_ms: int) -> dict[str, Any]:
    """Wait until the clipboard has changed since `after`, a serial of this agent: {serial}, maybe the same."""
    return {"serial": await call.agent.clipboard.changed(after, wait_ms / 1000)}
