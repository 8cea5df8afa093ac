"""Viewers of the tests: an aiortc peer, and a page's end of a WebSocket."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from tests.streamer.harness import Server, eventually


class Peer:
    """Watches by WebRTC as a browser does, and keeps the newest frame."""

    def __init__(self, server: Server, number: int, *, channels: bool = True, codec: str = "video/H264") -> None:
        self.server, self.number = server, number
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        transceiver = self.pc.addTransceiver("video", direction="recvonly")
        codecs = RTCRtpReceiver.getCapabilities("video").codecs
        transceiver.setCodecPreferences([c for c in codecs if c.mimeType in (codec, "video/rtx")])
        self.receiver = transceiver.receiver
        self.receiver._send_rtcp_pli = self._plead(self.receiver._send_rtcp_pli)
        self.messages: list[dict[str, Any]] = []
        self.frames = self.pleas = 0
        self.frame: av.VideoFrame | None = None
        self._converted: tuple[av.VideoFrame | None, np.ndarray | None] = None, None
        self._tasks: list[asyncio.Task[None]] = []
        self.pc.on("track", lambda track: self._tasks.append(asyncio.ensure_future(self._watch(track))))
        self.input = self.pointer = None
        if channels:
            self.input = self.pc.createDataChannel("input")
            self.pointer = self.pc.createDataChannel("pointer", ordered=False, maxRetransmits=0)
            self.input.on("message", lambda text: self.messages.append(json.loads(text)))

    async def join(self, sandbox: str, rights: str = "control") -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        offer = self.pc.localDescription.sdp
        reply = await self.server.ask("viewer.offer", viewer=self.number, sandbox=sandbox, rights=rights, sdp=offer)
        await self.pc.setRemoteDescription(RTCSessionDescription(reply["sdp"], "answer"))
        return reply["sdp"]

    async def _watch(self, track: Any) -> None:
        try:
            while True:
                self.frame = await track.recv()
                self.frames += 1
        except MediaStreamError:
            pass

    def _plead(self, send: Callable[[int], Awaitable[None]]) -> Callable[[int], Awaitable[None]]:
        """Counts the times this receiver asks for a keyframe."""

        async def counted(ssrc: int) -> None:
            self.pleas += 1
            await send(ssrc)

        return counted

    @property
    def picture(self) -> np.ndarray | None:
        """The newest frame as BGR. Converted when looked at: the receiver shares this loop and must keep up."""
        if self._converted[0] is not self.frame:
            self._converted = self.frame, self.frame.to_ndarray(format="bgr24")
        return self._converted[1]

    def say(self, **message: Any) -> None:
        self.input.send(json.dumps(message))

    def point(self, seq: int, x: int, y: int) -> None:
        self.pointer.send(struct.pack(">BIHH", 1, seq, x, y))

    def heard(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["t"] == kind]

    async def greeted(self) -> dict[str, Any]:
        return (await eventually(lambda: self.heard("hello"), "hello"))[0]

    async def sees(self, colour: tuple[int, int, int], x: int, y: int, within: int = 12) -> None:
        """Wait until the pixel has about this colour (blue, green, red)."""
        await eventually(
            lambda: (
                self.picture is not None
                and all(abs(int(a) - b) <= within for a, b in zip(self.picture[y, x], colour, strict=True))
            ),
            f"colour {colour} at {x}, {y}, seen {None if self.picture is None else self.picture[y, x]}",
        )

    async def leave(self) -> None:
        await self.pc.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def luma(screen: np.ndarray) -> np.ndarray:
    """Y of pixels BGRX, by an RGB → Y of this test's own (BT.601 limited)."""
    blue, green, red = (screen[..., i].astype(np.float32) for i in range(3))
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255


def luma_psnr(frame: av.VideoFrame, wanted: np.ndarray) -> float:
    """Of a decoded I420 frame against `luma`, in dB."""
    plane = frame.planes[0]
    seen = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : frame.width]
    error = float(np.square(seen - wanted).mean())
    return 10 * np.log10(255**2 / max(error, 1e-6))
