"""What MCP's tools do of themselves, on a server without machines: which desktop is meant, and files of any size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from actions.dialects.budget import SMALL
from desktop_sandbox import AsyncSandbox, InvalidRequestError, NotFoundError
from desktop_sandbox.mcp.desks import Desks
from desktop_sandbox.mcp.sandboxes import MOST_TEXT, Sandboxes
from desktop_sandbox.mcp.server import hints
from tests.live_server import Live, serving


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    with serving(tmp_path) as server:
        monkeypatch.setenv("DESKTOP_SANDBOX_URL", server.url)
        monkeypatch.setenv("DESKTOP_SANDBOX_API_KEY", server.key)
        yield server


@pytest.fixture
async def desks(live: Live) -> AsyncIterator[Desks]:
    found = Desks(SMALL)
    yield found
    await found.aclose()


async def read(desks: Desks, sandbox: AsyncSandbox, path: str) -> str:
    result = await Sandboxes(desks).sandbox_read_file(sandbox.sandbox_id, path)
    text: str = result.content[0].text
    return text


async def test_an_id_that_is_none_finds_nothing(live: Live, desks: Desks) -> None:
    async with await AsyncSandbox.create() as sandbox:
        wanted = sandbox.sandbox_id
        for strange in (f"{wanted}?", f"{wanted}#", f"{wanted}%3F"):
            with pytest.raises(NotFoundError):
                await desks.find(strange)
        for elsewhere in (f"../sandboxes/{wanted}", f"{wanted}/", "..", "."):
            with pytest.raises(InvalidRequestError, match="no id"):
                await desks.find(elsewhere)
        assert (await desks.find(wanted)).sandbox.sandbox_id == wanted


async def test_calls_at_the_same_time_share_a_connection(live: Live, desks: Desks) -> None:
    async with await AsyncSandbox.create() as sandbox:
        first, second = await asyncio.gather(desks.find(sandbox.sandbox_id), desks.find(sandbox.sandbox_id))
        assert first is second


async def test_of_a_long_file_only_the_beginning_is_read(
    live: Live, desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0

    async def endless(sandbox_id: str, path: str, *, user: str = "user") -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 400 * 2**20:
            sent += 2**16
            await asyncio.sleep(0)  # as a real node, it lets the server hear that the reader is gone
            yield "é".encode() * 2**15

    async with await AsyncSandbox.create() as sandbox:
        box = live.node.sandboxes[sandbox.sandbox_id]
        box.files["/tmp/short"] = "héllo\n".encode()
        box.files["/tmp/picture"] = b"\x89PNG"
        box.files["/tmp/cut"] = "é".encode()[:1]
        box.files["/tmp/full"] = b"x" * MOST_TEXT
        assert await read(desks, sandbox, "/tmp/short") == "héllo\n"
        assert await read(desks, sandbox, "/tmp/full") == "x" * MOST_TEXT
        for path in ("/tmp/picture", "/tmp/cut"):
            with pytest.raises(InvalidRequestError, match="not UTF-8"):
                await read(desks, sandbox, path)
        monkeypatch.setattr(live.node, "read_file", endless)
        text = await read(desks, sandbox, "/tmp/short")
    assert text.startswith("é" * MOST_TEXT)
    assert "only the first" in text
    assert len(text) < MOST_TEXT + 200
    assert sent < 400 * 2**20, "the rest of the file was not asked for"


def test_a_timeout_may_lose_a_desktop() -> None:
    assert hints("sandbox_set_timeout").destructive_hint
