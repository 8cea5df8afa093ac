from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live_server import Live, serving


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with serving(tmp_path) as server:
        yield server


@pytest.fixture
def http(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, headers=live.headers, verify=False, timeout=20) as client:
        yield client


@pytest.fixture
def box(http: httpx.Client) -> str:
    answer = http.post("/v1/sandboxes", json={})
    assert answer.status_code == 201
    return f"/v1/sandboxes/{answer.json()['id']}"
