"""The plain functions about elements, over the fake node."""

from __future__ import annotations

from pathlib import Path

import pytest

from desktop_sandbox import NotFoundError, Sandbox
from desktop_sandbox.agents.functions import functions
from tests.live_server import serving


def test_elements_as_functions(tmp_path: Path) -> None:
    with serving(tmp_path) as live, Sandbox.create(url=live.url, api_key=live.key) as desktop:
        named = {each.name: each for each in functions(desktop)}
        assert 'button "Open"' in str(named["read_elements"]())
        assert named["click_element"](element="1.7/3") == "Clicked at (30, 20) of the full screen."
        assert '"/tmp"' in str(named["set_element"](element="1.7/4", value="/tmp"))
        gone = NotFoundError("there is no element 1.9/9 any more", hint="read the tree again", code="not-found")
        live.node.fail["element click"] = gone
        said = named["click_element"](element="1.9/9")
        assert said == "Error: there is no element 1.9/9 any more (read the tree again)"
        live.node.fail["element click"] = NotFoundError("there is no sandbox")
        with pytest.raises(NotFoundError, match="no sandbox"):
            named["click_element"](element="1.7/3")
