"""The one error by which performing an action fails."""

from __future__ import annotations

from typing import Any


class ActionFailed(Exception):
    """An action was not, or not wholly, done.

    `code` is one of: invalid, cancelled, no_display, not_responding, failed. `hint` says what to do next, `partial`
    what was done before it failed (for typing {"typed": characters}).
    """

    def __init__(
        self, code: str, message: str, *, hint: str | None = None, partial: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.partial = partial or {}
