"""What is used of Anthropic's SDK, or a ConfigurationError that says how to install it."""

from __future__ import annotations

from desktop_sandbox.agents.extras import extra

with extra("anthropic"):
    from anthropic.tools import ToolError, ToolsetUsageError
    from anthropic.tools.computer import (
        BetaAbstractComputerToolset20260801,
        BetaAsyncAbstractComputerToolset20260801,
        BetaAsyncComputerConfirmCallable,
        BetaComputerConfirmCallable,
        BetaComputerCursorPositionResult,
        BetaComputerMemberResult,
        BetaScreenshotResult,
        BetaToolConfigs,
        BetaToolsetCallContext,
    )
    from anthropic.types.beta import BetaComputerMemberInput, BetaComputerMemberName, BetaComputerToolsetConfigsParam

__all__ = [
    "BetaAbstractComputerToolset20260801",
    "BetaAsyncAbstractComputerToolset20260801",
    "BetaAsyncComputerConfirmCallable",
    "BetaComputerConfirmCallable",
    "BetaComputerCursorPositionResult",
    "BetaComputerMemberInput",
    "BetaComputerMemberName",
    "BetaComputerMemberResult",
    "BetaComputerToolsetConfigsParam",
    "BetaScreenshotResult",
    "BetaToolConfigs",
    "BetaToolsetCallContext",
    "ToolError",
    "ToolsetUsageError",
]
