"""The server's end, whatever its clients are doing just then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tests.api.test_jobs import said, socket
from tests.live_server import serving


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_client_that_is_just_leaving_does_not_spoil_it(tmp_path: Path) -> None:
    with serving(tmp_path) as live:
        with httpx.Client(base_url=live.url, headers=live.headers) as http:
            box = f"/v1/sandboxes/{http.post('/v1/sandboxes', json={}).json()['id']}"
            terminal = http.post(f"{box}/terminals", json={}).json()["id"]
        leaving = socket(live, f"{box}/terminals/{terminal}/connect")
        assert said(leaving)["t"] == "attached"
        found: list[Any] = [
            each for each in live.server.server_state.connections if isinstance(each, WebSocketsSansIOProtocol)
        ]
        (connection,) = found
        # what a close of the client's is answered with, while its connection is still open
        live.loop.call_soon_threadsafe(connection.conn.send_close, 1000)
        lifespan: Any = live.server.lifespan
    assert lifespan.shutdown_event.is_set()
    leaving.close()
