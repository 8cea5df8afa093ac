"""The ten lines of the README, on the minimal template."""

from __future__ import annotations

from desktop_sandbox import Sandbox


def test_a_command_answers(sandbox: Sandbox) -> None:
    result = sandbox.commands.run("echo $((6 * 7))")
    assert result.stdout == "42\n"
    assert result.exit_code == 0
