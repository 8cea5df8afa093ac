"""A peer for the pages: the wires of docs/streaming.md over real HTTP, WebSocket and WebRTC, with its own picture.

It keeps what it was told (`seen`, `pointers`) and gives control as the server does. No sandbox is behind it.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from streamer.input_state import InOrder
from tests.viewer.fake_picture import CURSOR_PNG
from tests.viewer.fake_terminal import FakeTerminals

POINTER = struct.Struct(">BIHH")
CODEC = "avc1.42e028"


@dataclass
class FakeViewer:
    """One page that watches: `send` sends a message, `close` ends it from this side."""

    kind: str
    rights: str
    send: Callable[[dict[str, Any]], None]
    close: Callable[[], Any]
    order: InOrder = field(default_factory=InOrder)


@dataclass
class FakeDesktop:
    """What the pages see. `udp`: whether WebRTC can connect; `answers`: a status that every call gets instead;
    `refusal`: why nobody may watch."""

    width: int = 1280
    height: int = 800
    state: str = "running"
    udp: bool = True
    answers: int | None = None
    holder: FakeViewer | str = "none"
    wanted_by: str | None = None
    clipboard_delay_s: float = 0.0
    clipboard_refusal: str | None = None
    refusal: str | None = None
    tokens: dict[str, str] = field(default_factory=lambda: {"T-control": "control", "T-view": "view"})
    sandboxes: list[dict[str, Any]] = field(default_factory=list)
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    terminals: FakeTerminals = field(default_factory=FakeTerminals)
    at: str | None = None
    ice_servers: list[dict[str, Any]] = field(default_factory=list)
    viewers: list[FakeViewer] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    pointers: list[tuple[int, int, int]] = field(default_factory=list)
    loses_inputs: bool = False
    pong_delay_s: float = 0.0
    copies: int = 0
    uploads: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    port: int = 0
    colour: tuple[int, int, int] = (40, 90, 200)

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """Messages of these kinds, in the order they came."""
        return [message for message in self.seen if message["t"] in kinds]

    def tell(self, message: dict[str, Any]) -> None:
        """Send to all viewers."""
        for viewer in list(self.viewers):
            viewer.send(message)

    def give(self, holder: FakeViewer | str, wanted_by: str | None = None) -> None:
        """Set who drives and tell all."""
        self.holder, self.wanted_by = holder, wanted_by
        for viewer in list(self.viewers):
            viewer.send(self.lease_for(viewer))

    def lease_for(self, viewer: FakeViewer) -> dict[str, Any]:
        """The lease as this viewer sees it."""
        if isinstance(self.holder, FakeViewer):
            mine = self.holder is viewer
            return {"t": "lease", "holder": "you" if mine else "other", "name": "Ada", "wanted_by": self.wanted_by}
        return {"t": "lease", "holder": self.holder, "name": None, "wanted_by": None}

    def joined(self, viewer: FakeViewer) -> None:
        """Greet a viewer as the streamer does."""
        self.viewers.append(viewer)
        viewer.send(
            {
                "t": "hello",
                "version": 1,
                "sandbox": "sb-1",
                "rights": viewer.rights,
                "width": self.width,
                "height": self.height,
                "codec": CODEC,
            }
        )
        viewer.send({"t": "cursor", "serial": 1, "width": 16, "height": 16, "hot_x": 1, "hot_y": 1, "png": CURSOR_PNG})
        viewer.send(self.lease_for(viewer))

    def left(self, viewer: FakeViewer) -> None:
        """Forget a viewer; its control is free then."""
        if viewer in self.viewers:
            self.viewers.remove(viewer)
        if self.holder is viewer:
            self.give("none")

    def received(self, viewer: FakeViewer, data: str | bytes, *, ordered: bool = True) -> None:
        """A message of a page."""
        if isinstance(data, bytes):
            _, seq, x, y = POINTER.unpack(data)
            self.pointers.append((seq, x, y))
            return
        message = json.loads(data)
        number = message.pop("i", None)
        self.copies += not ordered
        if number is not None and self.loses_inputs and ordered:
            return
        if number is not None and not viewer.order.takes(number, copy=not ordered):
            return
        if message["t"] not in ("ping", "ack"):
            self.seen.append(message)
        match message:
            case {"t": "ping", "at": at}:
                pong = {"t": "pong", "at": at, "now": time.monotonic() * 1000}
                asyncio.get_running_loop().call_later(self.pong_delay_s, viewer.send, pong)
            case {"t": "lease", "want": want}:
                self.lease_wanted(viewer, want)
            case {"t": "clipboard", "n": n} if self.clipboard_refusal is not None:
                viewer.send({"t": "error", "code": "guest", "message": self.clipboard_refusal, "hint": None, "n": n})
            case {"t": "clipboard", "n": n}:
                answer = {"t": "clipboard-set", "n": n}
                asyncio.get_running_loop().call_later(self.clipboard_delay_s, viewer.send, answer)
            case {"t": "stats", "on": True}:
                viewer.send(STATS)

    def lease_wanted(self, viewer: FakeViewer, want: str) -> None:
        """As the server decides it, in short."""
        if viewer.rights != "control":
            viewer.send({"t": "error", "code": "rights", "message": "This link only lets you watch.", "hint": None})
        elif want == "take":
            self.give(viewer)
        elif want == "request":
            self.give(self.holder, wanted_by="Grace")
        elif self.holder is viewer:
            self.give("agent" if want == "give" else "none")


STATS: dict[str, Any] = {
    "t": "stats",
    "frames": {"captured": 600, "encoded": 590, "sent": 590, "dropped": 10},
    "fps": 29.5,
    "ms": {"captured": 0.4, "encoded": 4.1, "sent": 0.3},
    "bitrate_kbps": 2100,
    "target_kbps": 4000,
    "keyframes": 1,
    "loss": 0.01,
    "repeated": 0,
    "rtt_ms": 12.5,
    "viewers": 2,
    "transport": "webrtc",
    "codec": CODEC,
}


def bearer(request: Request) -> str:
    """The token of a request."""
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def problem(status: int, slug: str, title: str, detail: str, hint: str | None = None) -> JSONResponse:
    """A problem document as the server writes it."""
    body = {
        "type": f"urn:desktop-sandbox:problem:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "hint": hint,
    }
    return JSONResponse(body, status, media_type="application/problem+json")
