"""WebSockets of terminals, background commands and ports of the guest. docs/inside.md tells what passes over them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, WebSocket

from desktop_sandbox import errors
from desktop_sandbox.api.access import check_token_user, grant_of
from desktop_sandbox.api.jobs import find_job, job_json
from desktop_sandbox.api.services import Services
from desktop_sandbox.api.sockets import Inward, opened, relay, tell, until_refused
from desktop_sandbox.node.reach_interface import JobLink, PortLink

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}")

_STREAMS = {"stdout": b"\1", "stderr": b"\2"}
_MOST = 1000


@router.websocket("/terminals/{job_id}/connect")
async def connect_terminal(websocket: WebSocket, sandbox_id: str, job_id: str) -> None:
    """Show a terminal and type into it: its output as binary messages, keys likewise."""
    await _connect(websocket, sandbox_id, job_id, terminal=True)


@router.websocket("/jobs/{job_id}/connect")
async def connect_job(websocket: WebSocket, sandbox_id: str, job_id: str) -> None:
    """Follow a background command: binary messages of output begin with their stream (1 stdout, 2 stderr)."""
    await _connect(websocket, sandbox_id, job_id, terminal=False)


async def _connect(websocket: WebSocket, sandbox_id: str, job_id: str, *, terminal: bool) -> None:
    async with opened(websocket) as the:
        # who comes back by itself does not bring back a sandbox that was paused: it would undo that
        resume = websocket.query_params.get("again", "0") == "0"
        found = await find_job(the, sandbox_id, job_id, terminal=terminal, resume=resume)
        check_token_user(grant_of(websocket), found.user)
        after, writes = _offset(websocket), websocket.query_params.get("input", "1") != "0"
        inward = Inward()

        async def on_text(said: dict[str, Any]) -> None:
            await _obey(the, sandbox_id, job_id, said)

        async def sending(link: JobLink) -> None:
            async for piece in link:
                head = b"" if terminal else _STREAMS[piece.stream]
                await websocket.send_bytes(head + piece.data)
            ended = await link.ended()
            await tell(websocket, {"t": "ended", "job": job_json(ended)})

        stdin: AsyncIterator[bytes] | None = inward.pieces() if writes else None
        async with the.node.attach_job(sandbox_id, job_id, after=after, stdin=stdin, resume=resume) as link:
            await tell(websocket, {"t": "attached", "offset": link.offset, "job": job_json(found)})
            refused = until_refused(the, grant_of(websocket))
            await relay(websocket, inward.receive(websocket, on_text), sending(link), refused)


def _offset(websocket: WebSocket) -> int | None:
    text = websocket.query_params.get("after")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise errors.InvalidRequestError(f"after={text!r:.40} is no offset", hint="give a number of bytes, or nothing")
    return int(text)


async def _obey(the: Services, sandbox_id: str, job_id: str, said: dict[str, Any]) -> None:
    match said:
        case {"t": "resize", "rows": int(rows), "columns": int(columns)} if 0 < rows <= _MOST and 0 < columns <= _MOST:
            await the.node.resize_job(sandbox_id, job_id, rows, columns)
        case {"t": "signal", "signal": int(number)} if 0 < number <= 64:
            await the.node.signal_job(sandbox_id, job_id, number)
        case _:
            raise errors.InvalidRequestError(
                "a message that is not understood",
                hint='{"t": "resize", "rows", "columns"} (1 to 1000), {"t": "signal", "signal"}, {"t": "eof"}',
            )


@router.websocket("/ports/{port}/connect")
async def connect_port(websocket: WebSocket, sandbox_id: str, port: str) -> None:
    """Connect to what listens on a port of the guest's loopback: bytes as binary messages, both ways."""
    async with opened(websocket) as the:
        number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
        if not 0 < number <= 65535:
            raise errors.InvalidRequestError(f"{port!r:.40} is no port", hint="1 to 65535")
        inward = Inward()

        async def on_text(said: dict[str, Any]) -> None:
            raise errors.InvalidRequestError("a message that is not understood", hint='{"t": "eof"}, or bytes')

        async def sending(link: PortLink) -> None:
            async for data in link:
                await websocket.send_bytes(data)
            await tell(websocket, {"t": "eof"})
            await link.closed()

        async with the.node.connect_port(sandbox_id, number, inward.pieces()) as link:
            await tell(websocket, {"t": "connected"})
            await relay(websocket, inward.receive(websocket, on_text), sending(link))
