"""The server with a certificate of its own: pages over https, and the WebSocket over wss."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect as connect_in_loop
from websockets.sync.client import connect
from websockets.typing import Origin

from desktop_sandbox.errors import ConfigurationError
from desktop_sandbox.stream_settings import stream_settings
from tests.live_server import serving
from tests.stream.fake_streamer import FakeStreamer, until


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(cert), "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def test_pages_and_sockets_over_tls(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    settings = stream_settings({}, tls_cert=str(cert), tls_key=str(key))
    streamer = FakeStreamer()
    home = tmp_path / "home"
    home.mkdir()
    with serving(home, launch=streamer.launch, stream=settings) as live:
        url = live.url.replace("http:", "https:")
        context = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(base_url=url, headers=live.headers, verify=context) as http:
            box = http.post("/v1/sandboxes", json={}).json()["id"]
            assert http.get(f"/view/{box}").status_code == 200
            made = http.post(f"/v1/sandboxes/{box}/tokens", json={}).json()
            assert made["url"].startswith(f"{url}/view/{box}#")
        address = f"{url.replace('https', 'wss')}/v1/sandboxes/{box}/stream/ws"

        async def watch() -> None:
            # not by the client with threads: two of them at one TLS connection end Python 3.11 now and then
            async with connect_in_loop(address, ssl=context, proxy=None, origin=Origin(url)) as link:
                await link.send(json.dumps({"t": "auth", "token": made["token"], "codecs": ["jpeg"]}))
                await asyncio.to_thread(until, lambda: streamer.asked("viewer.socket"))

        asyncio.run(watch())


def test_a_key_of_another_certificate_is_told(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, _ = certificate
    other = tmp_path / "other.pem"
    other.write_text("nonsense")
    with pytest.raises(ConfigurationError, match="cannot use"):
        stream_settings({}, tls_cert=str(cert), tls_key=str(other))
    with pytest.raises(ConfigurationError, match="both"):
        stream_settings({}, tls_cert=str(cert))


def test_a_server_with_open_views_stops_soon(tmp_path: Path) -> None:
    streamer = FakeStreamer()
    with serving(tmp_path, launch=streamer.launch) as live:
        box = httpx.post(f"{live.url}/v1/sandboxes", json={}, headers=live.headers).json()["id"]
        address = f"{live.url.replace('http', 'ws')}/v1/sandboxes/{box}/stream/ws"
        link = connect(address, proxy=None)
        link.send(json.dumps({"t": "auth", "token": live.key, "codecs": ["jpeg"]}))
        until(lambda: streamer.asked("viewer.socket"))
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    link.close()
