# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""A desktop as Anthropic's SDK takes it in `tool_runner(tools=[...])`: its computer toolset of 2026."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Literal

from actions.dialects import anthropic
from actions.dialects.budget import budget_for
from desktop_sandbox.agents._sync.hands import MENDABLE, Hands
from desktop_sandbox.agents.anthropic_extra import (
    BetaAbstractComputerToolset20260801,
    BetaComputerConfirmCallable,
    BetaComputerCursorPositionResult,
    BetaComputerMemberInput,
    BetaComputerMemberName,
    BetaComputerMemberResult,
    BetaComputerToolsetConfigsParam,
    BetaScreenshotResult,
    BetaToolConfigs,
    BetaToolsetCallContext,
    ToolError,
    ToolsetUsageError,
)
from desktop_sandbox.agents.runtime import told
from desktop_sandbox.errors import DesktopSandboxError

if TYPE_CHECKING:
    from desktop_sandbox.sdk._sync.sandbox import Sandbox


class ComputerToolset(BetaAbstractComputerToolset20260801):
    """All members of the toolset on a desktop.

    `confirm` is asked before each call, as in the SDK; it defaults to yes, since the desktop is a machine to be thrown
    away. What the model cannot mend (a dead sandbox, an unreachable server) is raised out of the runner.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        model: str,
        *,
        confirm: BetaComputerConfirmCallable = lambda context: True,
        configs: BetaComputerToolsetConfigsParam | None = None,
        tool_configs: BetaToolConfigs | None = None,
        settle_ms: int = 200,
    ) -> None:
        self._hands = Hands(sandbox, budget=budget_for(model), settle_ms=settle_ms)
        super().__init__(configs=configs, confirm=confirm, tool_configs=tool_configs)

    def execute(
        self, context: BetaToolsetCallContext, name: BetaComputerMemberName, input: BetaComputerMemberInput
    ) -> BetaComputerMemberResult:
        """Run one call of a member."""
        try:
            view = self._hands.view()
            given = input.model_dump(exclude_none=True)
            done = self._hands.do(anthropic.read_member(anthropic.TOOLSET, name, given, view))
        except MENDABLE as error:
            raise ToolError(told(error)) from error
        except DesktopSandboxError as error:
            raise ToolsetUsageError(str(error)) from error
        if done.pictures:
            picture = done.pictures[0]
            kind: Literal["image/png", "image/jpeg"] = (
                "image/png" if picture.media_type == "image/png" else "image/jpeg"
            )
            return BetaScreenshotResult(data=base64.b64encode(picture.data).decode(), media_type=kind)
        if name == "cursor_position" and done.pointer is not None:
            x, y = view.to_picture(*done.pointer)
            return BetaComputerCursorPositionResult(x=x, y=y)
        return None
