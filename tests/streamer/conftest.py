"""Fixtures: a running streamer, a painted screen."""

from __future__ import annotations

import pytest

from tests.streamer.harness import Screen, Server, start_process


@pytest.fixture
async def server():
    sock, process = start_process()
    server = Server(sock, process)
    try:
        await server.ask("configure", ice_servers=[], udp_ports=None, public_address=None, max_fps=60)
        yield server
    finally:
        code = await server.close()
    assert code == 0, "the streamer did not end cleanly"


@pytest.fixture
def screen(tmp_path):
    return Screen(tmp_path / "screen.xwd")
