"""What can go wrong in a build. Each error says what happened (`message`), what next (`hint`), and where the log is."""

from __future__ import annotations

from pathlib import Path


class BuildError(Exception):
    """An image could not be built. `log` is the whole log's path, `tail` its last lines ("" where there is none)."""

    def __init__(self, message: str, *, hint: str | None = None, log: Path | None = None, tail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log
        self.tail = tail

    def __str__(self) -> str:
        parts = [self.message]
        if self.log is not None:
            parts.append(f"the whole log: {self.log}")
        if self.hint:
            parts.append(self.hint)
        text = "; ".join(parts)
        return f"{text}\n{self.tail}" if self.tail else text


class BuildCancelledError(BuildError):
    """The build was told to stop; nothing of it is left but the log."""
