"""Tells the end of a sandbox from trouble with it. Pure."""

from __future__ import annotations

from desktop_sandbox import errors


def is_over(error: errors.DesktopSandboxError) -> bool:
    """Whether a sandbox is gone, or put away: not where only its machine was replaced while it was asked."""
    return isinstance(error, errors.NotFoundError) or (
        isinstance(error, errors.ConflictError) and "state" in error.evidence
    )
