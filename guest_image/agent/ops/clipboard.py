"""clipboard.get, clipboard.set, clipboard.watch: text in the desktop's clipboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.protocol import STREAM_OUT
from guest_image.agent.registry import integer, op

if TYPE_CHECKING:
    from guest_image.agent.call import Call

MAX_TEXT_BYTES = 1 << 20
_LONGEST_MS = 300_000


@op("clipboard.get")
async def clipboard_get(call: Call) -> dict[str, Any]:
    """Stream the clipboard's text as UTF-8, at most 1 MiB: {serial, size}; nothing where it holds no text."""
    serial = call.agent.clipboard.serial
    data = (await call.agent.clipboard.get()).decode("utf-8", "replace").encode()[:MAX_TEXT_BYTES]
    await call.out(STREAM_OUT).write(data)
    return {"serial": serial, "size": len(data)}


@op("clipboard.set")
async def clipboard_set(call: Call) -> dict[str, Any]:
    """Put the text that comes as stream 0 into the clipboard: {size}."""
    data = bytearray()
    while chunk := await call.incoming.read():
        data += chunk
        if len(data) > MAX_TEXT_BYTES:
            raise OpError("too-large", f"the text is longer than {MAX_TEXT_BYTES} bytes")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise OpError("invalid", f"the text is not UTF-8: {error.reason} at byte {error.start}") from error
    await call.agent.clipboard.set(bytes(data))
    return {"size": len(data)}


@op("clipboard.watch", after=integer(0, 0), wait_ms=integer(60_000, 0, _LONGEST_MS))
async def clipboard_watch(call: Call, *, after: int, wait_ms: int) -> dict[str, Any]:
    """Wait until the clipboard has changed since `after`, a serial of this agent: {serial}, maybe the same."""
    return {"serial": await call.agent.clipboard.changed(after, wait_ms / 1000)}
