"""A page's end of a viewer by WebSocket, as the server relays it."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import av
import numpy as np
from PIL import Image

from tests.streamer.harness import Server

HEAD = struct.Struct(">BBIdHH")


@dataclass
class Received:
    kind: int
    key: bool
    seq: int
    captured_ms: float
    width: int
    height: int
    payload: bytes


class SocketPage:
    """Decodes as WebCodecs would, acknowledges what it drew if `acks`."""

    def __init__(self, server: Server, number: int, *, acks: bool = True) -> None:
        self.server, self.number, self.acks = server, number, acks
        self.messages: list[dict[str, Any]] = []
        self.frames: list[Received] = []
        self.picture: np.ndarray | None = None
        self._decoder = av.CodecContext.create("h264", "r")
        chained = server.on_binary

        def on_binary(viewer: int, data: bytes) -> None:
            if viewer == number:
                self._heard(data)
            elif chained:
                chained(viewer, data)

        server.on_binary = on_binary

    async def join(self, sandbox: str, rights: str = "control", codecs: tuple[str, ...] = ("avc1.42e028",)) -> None:
        await self.server.ask("viewer.socket", viewer=self.number, sandbox=sandbox, rights=rights, codecs=list(codecs))

    def _heard(self, data: bytes) -> None:
        if data[:1] == b"{":
            self.messages.append(json.loads(data))
            return
        kind, flags, *rest = HEAD.unpack_from(data)
        frame = Received(kind, flags == 1, *rest, data[HEAD.size :])
        self.frames.append(frame)
        if kind == 3:
            self.picture = np.asarray(Image.open(BytesIO(frame.payload)))[..., ::-1]
        else:
            for decoded in self._decoder.decode(av.Packet(frame.payload)):
                self.picture = decoded.to_ndarray(format="bgr24")
        if self.acks:
            self.ack()

    def ack(self) -> None:
        self.say(t="ack", seq=self.frames[-1].seq)

    def say(self, **message: Any) -> None:
        self.server.control.send_binary(self.number, json.dumps(message).encode())

    def shows(self, colour: tuple[int, int, int], x: int, y: int) -> bool:
        return self.picture is not None and all(
            abs(int(a) - b) <= 12 for a, b in zip(self.picture[y, x], colour, strict=True)
        )

    def heard(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["t"] == kind]
