from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.live_server import Live, serving
from tests.stream.browser import chromium
from tests.stream.fake_streamer import FakeStreamer


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def streamer() -> FakeStreamer:
    return FakeStreamer()


@pytest.fixture
def live(tmp_path: Path, streamer: FakeStreamer) -> Iterator[Live]:
    with serving(tmp_path, launch=streamer.launch) as running:
        yield running


@pytest.fixture
def http(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, headers=live.headers, timeout=20) as client:
        yield client


@pytest.fixture
def box(http: httpx.Client) -> str:
    """The path of a running sandbox."""
    answer = http.post("/v1/sandboxes", json={})
    assert answer.status_code == 201
    return f"/v1/sandboxes/{answer.json()['id']}"
