"""Tools about elements and windows, over the fake node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult

from desktop_sandbox import Sandbox
from desktop_sandbox.mcp.server import build
from tests.live_server import serving


def text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if block.type == "text")


async def test_elements_and_windows_as_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as live:
        monkeypatch.setenv("DESKTOP_SANDBOX_URL", live.url)
        monkeypatch.setenv("DESKTOP_SANDBOX_API_KEY", live.key)
        Sandbox.create().close()
        async with Client(build()) as client:

            async def call(name: str, /, **arguments: Any) -> CallToolResult:
                return await client.call_tool(name, arguments)

            assert '[1.7/3] button "Open" @10,10 40x20' in text(await call("computer_tree"))
            assert "gimp: has not answered" in text(await call("computer_tree", app="*"))
            found = await call("computer_find", role="button", name="open")
            assert text(found) == '[1.7/3] button "Open" @10,10 40x20'
            assert found.structured_content["elements"][0]["bounds"] == [10, 10, 40, 20]
            quiet = {"screenshot": False}
            assert "(30, 20)" in text(await call("computer_click_element", element="1.7/3", **quiet))
            assert '= "/tmp"' in text(await call("computer_set_element", element="1.7/4", value="/tmp", **quiet))
            assert "Open" in text(await call("computer_invoke_element", element="1.7/3", action="click", **quiet))
            window = {"window": "files", **quiet}
            assert text(await call("computer_change_window", do="close", **window)) == "Closed."
            assert "x=4" in text(await call("computer_change_window", do="move", x=4, y=0, **window))
            for name, arguments, said in (
                ("computer_find", {"role": "link"}, "buttons here: 'Open'"),
                ("computer_click_element", {"element": "1.9/9"}, "read the tree again"),
                ("computer_change_window", {**window, "do": "move", "x": 4}, "y is missing"),
                ("computer_change_window", {"window": "word", "do": "activate"}, "open windows: 'files'"),
            ):
                failed = await call(name, **arguments)
                assert failed.is_error
                assert said in f"{text(failed)} {failed.structured_content}"
