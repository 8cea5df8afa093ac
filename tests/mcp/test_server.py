"""The MCP server on a real desktop, spoken to by the official client over stdio and over streamable HTTP."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult
from PIL import Image

from desktop_sandbox import Sandbox
from desktop_sandbox.mcp.server import LOOKS, LOSES, SAME_TWICE, build
from tests.conftest import RealServer, free_port
from tests.machine.support import eventually

COMMAND = [sys.executable, "-m", "desktop_sandbox.cli", "mcp"]


def environment(server: RealServer) -> dict[str, str]:
    return {**server.env, "DESKTOP_SANDBOX_API_KEY": server.key}


@asynccontextmanager
async def over_stdio(server: RealServer, *arguments: str) -> AsyncIterator[Client]:
    command = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], *arguments], env=environment(server))
    async with Client(stdio_client(command)) as client:
        yield client


def picture(result: CallToolResult) -> Image.Image:
    (shot,) = [block for block in result.content if block.type == "image"]
    assert shot.mime_type == "image/png"
    return Image.open(io.BytesIO(base64.b64decode(shot.data)))


async def good(client: Client, name: str, /, **arguments: Any) -> CallToolResult:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content
    return result


async def bad(client: Client, name: str, /, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(name, arguments)
    assert result.is_error
    return result.structured_content or {"message": result.content[0].text}


async def test_every_tool_says_what_it_is_and_what_it_may_do() -> None:
    async with Client(build()) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert tools.keys() >= LOOKS | LOSES | SAME_TWICE
    for name, tool in tools.items():
        assert name.startswith(("computer_", "sandbox_"))
        assert tool.description
        assert tool.annotations
        assert tool.annotations.read_only_hint == (name in LOOKS)
        assert not (tool.annotations.read_only_hint and tool.annotations.destructive_hint)
        for parameter, schema in tool.input_schema["properties"].items():
            assert parameter.isidentifier()
            assert {"type", "anyOf", "items", "enum"} & schema.keys(), (name, parameter)
    assert tools["sandbox_kill"].annotations.destructive_hint
    assert tools["computer_set_clipboard"].input_schema["required"] == ["text"]


@pytest.mark.machine
async def test_an_agent_makes_its_own_machines_over_stdio(server: RealServer) -> None:
    async with over_stdio(server) as client:
        made = (await good(client, "sandbox_create", template="minimal", width=1024, height=768)).structured_content
        first = made["sandbox_id"]
        assert made["resolution"] == [1024, 768]
        assert picture(await good(client, "computer_screenshot", sandbox=first)).size == (1024, 768)
        assert picture(await good(client, "computer_click", x=300, y=300, sandbox=first)).size == (1024, 768)
        await good(client, "computer_type", text="echo one > /tmp/mark\n", screenshot=False, sandbox=first)
        desktop = Sandbox.connect(first)
        eventually(lambda: desktop.files.exists("/tmp/mark") and desktop.files.read("/tmp/mark") == "one\n")
        desktop.close()

        saved = (await good(client, "sandbox_checkpoint", sandbox=first, name="one")).structured_content
        await good(client, "sandbox_write_file", sandbox=first, path="/tmp/mark", content="two\n")
        forked = (await good(client, "sandbox_fork", sandbox=first, count=1)).structured_content["sandboxes"]
        second = forked[0]["sandbox_id"]
        await good(client, "sandbox_rollback", sandbox=first, snapshot=saved["snapshot_id"])
        for sandbox, mark in ((first, "one\n"), (second, "two\n")):
            found = await good(client, "sandbox_read_file", sandbox=sandbox, path="/tmp/mark")
            assert found.content[0].text == mark
        listed = (await good(client, "sandbox_list")).structured_content["sandboxes"]
        assert {first, second} <= {one["sandbox_id"] for one in listed}
        ran = (await good(client, "sandbox_run", sandbox=second, command="cat /tmp/mark; exit 3")).structured_content
        assert (ran["stdout"], ran["exit_code"]) == ("two\n", 3)
        for sandbox in (first, second):
            await good(client, "sandbox_kill", sandbox=sandbox)
        gone = await bad(client, "computer_screenshot", sandbox=first)
        assert gone["type"] in ("not-found", "conflict")


@pytest.mark.machine
async def test_tools_and_errors_of_one_desktop(server: RealServer, sandbox: Sandbox) -> None:
    async with over_stdio(server, "--sandbox", sandbox.sandbox_id) as client:
        await good(client, "computer_move", x=100, y=50, screenshot=False)
        where = await good(client, "computer_cursor_position")
        assert where.structured_content == {"x": 100, "y": 50}
        assert where.content[0].text == "The pointer is at (100, 50)."
        part = await good(client, "computer_screenshot", region=[0, 0, 100, 50])
        assert picture(part).size[0] > 1000, "a part is enlarged"
        batch = [{"type": "move", "x": 7, "y": 8}, {"type": "scroll", "dy": 2}, {"type": "key", "keys": "escape"}]
        assert picture(await good(client, "computer_batch", actions=batch)).size == (1280, 800)
        assert sandbox.get_cursor_position() == (7, 8)
        await good(client, "computer_drag", path=[[10, 10], [60, 60]], screenshot=False)
        assert sandbox.get_cursor_position() == (60, 60)
        await good(client, "computer_set_clipboard", text="héllo")
        assert (await good(client, "computer_get_clipboard")).content[0].text == "héllo"
        await good(client, "computer_launch", command=["xterm", "-T", "by-mcp", "-e", "sleep", "600"], screenshot=False)
        eventually(lambda: any(window.title == "by-mcp" for window in sandbox.windows()))
        windows = (await good(client, "computer_windows")).structured_content["windows"]
        assert "by-mcp" in {window["title"] for window in windows}

        refused = await bad(client, "computer_click", x=1280, y=0)
        assert refused["type"] == "invalid-action"
        assert "x is 0 to 1279" in refused["hint"]
        assert refused["evidence"]["field"] == "x, y"
        assert "did you mean enter" in (await bad(client, "computer_key", keys="entr"))["hint"]
        assert (await bad(client, "computer_batch", actions=[{"type": "move", "x": 1, "y": 1}, {"type": "clik"}]))[
            "evidence"
        ]["index"] == 1
        assert sandbox.get_cursor_position() == (60, 60), "nothing of a malformed batch is done"
        assert "count" in (await bad(client, "computer_click", count="many"))["message"]
        assert (await bad(client, "sandbox_rollback", sandbox=sandbox.sandbox_id, snapshot="sn_no"))["hint"]
        assert picture(await good(client, "computer_screenshot")).size == (1280, 800), "the desktop still works"

        shown = await client.read_resource(f"desktop://{sandbox.sandbox_id}/screen")
        assert Image.open(io.BytesIO(base64.b64decode(shown.contents[0].blob))).size == (1280, 800)
        listed = json.loads((await client.read_resource("desktop://sandboxes")).contents[0].text)
        assert sandbox.sandbox_id in {one["sandbox_id"] for one in listed}
        with pytest.raises(MCPError):
            await client.read_resource("desktop://sb-nobody/screen")


@pytest.mark.machine
async def test_a_large_screen_is_scaled_and_places_go_back(server: RealServer, sandbox: Sandbox) -> None:
    sandbox.set_screen_size(1920, 1200)
    async with over_stdio(server, "--sandbox", sandbox.sandbox_id) as client:
        width, height = picture(await good(client, "computer_screenshot")).size
        assert (width, height) == (1356, 848)
        await good(client, "computer_move", x=width - 1, y=height - 1, screenshot=False)
        x, y = sandbox.get_cursor_position()
        assert x >= 1918
        assert y >= 1198
        assert (await good(client, "computer_cursor_position")).structured_content == {"x": width - 1, "y": height - 1}


@pytest.fixture
def http_server(server: RealServer) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([*COMMAND, "--http", f"127.0.0.1:{port}"], env=environment(server))
    url = f"http://127.0.0.1:{port}/mcp"
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(url)
            break
        except httpx.HTTPError:
            assert process.poll() is None
            assert time.monotonic() < deadline, "the MCP server did not start within 60 s"
            time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(20)


@pytest.mark.machine
async def test_http_needs_the_key(server: RealServer, http_server: str, sandbox: Sandbox) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}, {"Authorization": server.key}):
        answer = httpx.post(http_server, json={}, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["type"] == "authentication"
    rebound = httpx.post(
        http_server, json={}, headers={"Authorization": f"Bearer {server.key}", "Host": "evil.example"}
    )
    assert rebound.status_code in (400, 403, 421)
    for name, value in (("Authorization", f"Bearer {server.key}"), ("X-API-Key", server.key)):
        async with (
            httpx2.AsyncClient(headers={name: value}, timeout=60) as web,
            Client(streamable_http_client(http_server, http_client=web)) as client,
        ):
            shot = await good(client, "computer_screenshot", sandbox=sandbox.sandbox_id)
            assert picture(shot).size == (1280, 800)
