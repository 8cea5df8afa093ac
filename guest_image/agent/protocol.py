"""The wire between host and guest agent. A door: the only module of the agent's wire that other rooms import.

Both sides speak it on each of three byte streams (ports): control, bulk, input. docs/protocol.md tells the
whole story, tests/vectors/protocol.json holds golden frames. Everything is capped, nothing does I/O, and the
only error raised for bytes from outside is `ProtocolError`.
"""

from __future__ import annotations

from guest_image.agent.frames import (
    HEADER,
    HEADER_BYTES,
    MAGIC,
    MAX_FRAME_PAYLOAD,
    MAX_SYNC_PAYLOAD,
    VERSION,
    Frame,
    FrameReader,
    Kind,
    ProtocolError,
    encode,
)
from guest_image.agent.payloads import (
    CHUNK_BYTES,
    MAX_DATA_PAYLOAD,
    MAX_JSON_DEPTH,
    STREAM_ERR,
    STREAM_IN,
    STREAM_OUT,
    WINDOW_BYTES,
    ReceiveWindow,
    SendWindow,
    dump_json,
    encode_credit,
    encode_data,
    encode_end,
    encode_json,
    load_json,
    load_object,
    parse_credit,
    parse_data,
    parse_end,
)

PORTS = ("control", "bulk", "input")
MAX_PAYLOAD = {"control": MAX_FRAME_PAYLOAD, "bulk": MAX_DATA_PAYLOAD, "input": MAX_FRAME_PAYLOAD}
OUTPUT_STREAMS: dict[str, tuple[int, ...]] = {
    "command.run": (STREAM_OUT, STREAM_ERR),
    "file.read": (STREAM_OUT,),
    "file.watch": (STREAM_OUT,),
    "clipboard.get": (STREAM_OUT,),
    "job.attach": (STREAM_OUT, STREAM_ERR),
    "tcp.connect": (STREAM_OUT,),
}
"""Operations whose answer has streams; such a request is complete when each has ENDed, too."""

RESYNC_AFTER_S = 0.25
"""No WELCOME for so long: the host sends padding and HELLO again."""


def padding(port: str) -> bytes:
    """Zero bytes that fill any frame a peer may be in the middle of; sent before a repeated HELLO."""
    return bytes(MAX_PAYLOAD[port] + HEADER_BYTES)


__all__ = [
    "CHUNK_BYTES",
    "HEADER",
    "HEADER_BYTES",
    "MAGIC",
    "MAX_DATA_PAYLOAD",
    "MAX_FRAME_PAYLOAD",
    "MAX_JSON_DEPTH",
    "MAX_PAYLOAD",
    "MAX_SYNC_PAYLOAD",
    "OUTPUT_STREAMS",
    "PORTS",
    "RESYNC_AFTER_S",
    "STREAM_ERR",
    "STREAM_IN",
    "STREAM_OUT",
    "VERSION",
    "WINDOW_BYTES",
    "Frame",
    "FrameReader",
    "Kind",
    "ProtocolError",
    "ReceiveWindow",
    "SendWindow",
    "dump_json",
    "encode",
    "encode_credit",
    "encode_data",
    "encode_end",
    "encode_json",
    "load_json",
    "load_object",
    "padding",
    "parse_credit",
    "parse_data",
    "parse_end",
]
