"""Without a vendor's package its class says which extra to install, and the others work."""

from __future__ import annotations

import subprocess
import sys

import pytest

HIDDEN = """
import sys
sys.modules[{package!r}] = None  # as if it were not installed
import desktop_sandbox.agents.anthropic, desktop_sandbox.agents.openai, desktop_sandbox.agents.gemini
from desktop_sandbox import ConfigurationError
try:
    import {module}
except ConfigurationError as error:
    print(error.message, error.hint)
"""


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("desktop_sandbox.agents.anthropic_toolset", "anthropic", "anthropic"),
        ("desktop_sandbox.agents.openai_agents", "agents", "openai-agents"),
        ("desktop_sandbox.agents.langchain", "langchain_core", "langchain"),
        ("desktop_sandbox.agents.smolagents", "smolagents", "smolagents"),
        ("desktop_sandbox.mcp.server", "mcp", "mcp"),
        ("desktop_sandbox.openenv", "openenv", "openenv"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(module: str, package: str, extra: str) -> None:
    script = HIDDEN.format(package=package, module=module)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f'pip install "desktop-sandbox[{extra}]"' in done.stdout
    assert package in done.stdout
