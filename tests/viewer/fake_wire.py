"""How a page is connected to the fake desktop: a peer connection of aiortc, or a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import struct
import time
from typing import Any

from aiortc import RTCPeerConnection, RTCSessionDescription
from fastapi import WebSocket, WebSocketDisconnect

from tests.viewer.fake_desktop import CODEC, FakeDesktop, FakeViewer
from tests.viewer.fake_picture import Encoder, PaintedTrack, jpeg, painted

HEAD = struct.Struct(">BBIdHH")


async def answer_offer(desktop: FakeDesktop, offer: str, rights: str) -> str:
    """A WebRTC viewer: the picture as a track, the page's data channels. Without `udp` it has no candidates."""
    peer = RTCPeerConnection()
    peer.addTrack(PaintedTrack(lambda: desktop))
    viewer = FakeViewer("webrtc", rights, lambda message: None, peer.close)

    @peer.on("datachannel")
    def channel(opened: Any) -> None:
        ordered = opened.label == "input"
        opened.on("message", lambda data: desktop.received(viewer, data, ordered=ordered))
        if ordered:
            viewer.send = lambda message: opened.send(json.dumps(message)) if opened.readyState == "open" else None
            opened.on("close", lambda: desktop.left(viewer))
            desktop.joined(viewer)

    @peer.on("connectionstatechange")
    async def changed() -> None:
        if peer.connectionState in ("failed", "closed"):
            desktop.left(viewer)
            await peer.close()

    await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    sdp = peer.localDescription.sdp
    if not desktop.udp:
        await peer.close()
        sdp = re.sub(r"a=candidate:.*\r\n", "", sdp)
    return sdp


async def serve_socket(desktop: FakeDesktop, ws: WebSocket) -> None:
    """A WebSocket viewer: authenticates by its first message, then gets a frame for each that it acknowledged."""
    await ws.accept()
    auth = json.loads(await ws.receive_text())
    rights = desktop.tokens.get(auth.get("token"))
    if rights is None:
        await ws.close(4401)
        return
    if desktop.refusal is not None:
        await ws.send_json({"t": "error", "code": "capacity", "message": desktop.refusal, "hint": None})
        await ws.close(4503)
        return
    outgoing: asyncio.Queue[str | bytes | None] = asyncio.Queue()
    viewer = FakeViewer(
        "socket", rights, lambda m: outgoing.put_nowait(json.dumps(m)), lambda: outgoing.put_nowait(None)
    )
    desktop.joined(viewer)
    h264 = CODEC in auth["codecs"]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_write(ws, outgoing))
            frames = group.create_task(_frames(desktop, outgoing, h264))
            try:
                while True:
                    got = await ws.receive()
                    if got["type"] == "websocket.disconnect":
                        break
                    desktop.received(viewer, got["text"] if got.get("text") is not None else got["bytes"])
            finally:
                frames.cancel()
                outgoing.put_nowait(None)
    except* (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        desktop.left(viewer)


async def _write(ws: WebSocket, outgoing: asyncio.Queue[str | bytes | None]) -> None:
    while (message := await outgoing.get()) is not None:
        await (ws.send_text(message) if isinstance(message, str) else ws.send_bytes(message))
    with contextlib.suppress(RuntimeError):
        await ws.close()


async def _frames(desktop: FakeDesktop, outgoing: asyncio.Queue[str | bytes | None], h264: bool) -> None:
    encoder = Encoder(desktop.width, desktop.height)
    seq = 0
    while True:
        picture = painted(desktop.width, desktop.height, desktop.colour)
        data, key = encoder.encode(picture) if h264 else (jpeg(picture), True)
        head = HEAD.pack(2 if h264 else 3, int(key), seq, time.monotonic() * 1000, desktop.width, desktop.height)
        outgoing.put_nowait(head + data)
        seq += 1
        await asyncio.sleep(0.1)  # its frame rate
