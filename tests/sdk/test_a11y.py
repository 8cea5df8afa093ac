"""The SDK about elements and windows, over the fake node."""

from __future__ import annotations

import dataclasses

import pytest

from desktop_sandbox import AsyncSandbox, Sandbox, errors
from tests.live_server import Live


def test_elements_and_windows(live: Live) -> None:
    with Sandbox.create(url=live.url, api_key=live.key) as desktop:
        tree = desktop.tree()
        assert tree.text.splitlines()[0] == '[1.7/root] application "Thunar"'
        assert [each.name for each in tree.children(tree.elements[2])] == ["Open", "Path"]
        assert desktop.tree(scope="all").apps[1].error
        (button,) = desktop.find("button", "open", states=["focusable"])
        assert button.center == (30, 20)
        assert desktop.click_element(button) == (30, 20)
        assert desktop.set_element("1.7/4", "/tmp").value == "/tmp"
        assert "focused" in desktop.focus_element(button).states
        assert desktop.invoke_element(button, "click") == desktop.get_element(button)
        with pytest.raises(errors.NotFoundError, match="read the tree again"):
            desktop.show_element(dataclasses.replace(button, id="1.9/9"))
        with pytest.raises(errors.NotFoundError, match="Open"):
            desktop.find("link")
        window = desktop.launch_window(["xterm"])
        assert window.title == "['xterm']"
        assert desktop.move_window(window, 5, 6).x == 5
        assert desktop.resize_window("files", 640, 480).width == 640
        assert desktop.minimise_window("files").states == ("minimised",)
        assert desktop.maximise_window("files").states == ("maximised",)
        assert desktop.restore_window("files").states == ()
        assert desktop.activate_window("thunar").title == "files"
        assert desktop.close_window("files")
        with pytest.raises(errors.NotFoundError, match=r"open windows: .*files"):
            desktop.close_window("word")


async def test_the_same_awaited(live: Live) -> None:
    async with await AsyncSandbox.create(url=live.url, api_key=live.key) as desktop:
        (field,) = await desktop.find("entry")
        assert (await desktop.set_element(field, 4.5)).value == "4.5"
        assert (await desktop.tree("thunar", nodes=2)).truncated == ("nodes",)
