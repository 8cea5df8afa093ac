"""What is wrong with an action that somebody asked for. Standard library only: the guest imports this, too."""

from __future__ import annotations


class ActionValueError(ValueError):
    """An action cannot be carried out as it was written.

    `message` says what is wrong and with which value, `hint` what is allowed; `index` is the place of the action in
    its batch and `field` the path of the field in it (both None where they do not apply).
    """

    def __init__(
        self, message: str, *, hint: str | None = None, index: int | None = None, field: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.index = index
        self.field = field

    def at(self, index: int | None, field: str | None = None) -> ActionValueError:
        """The same error, placed: action number `index`, and `field` unless it already names one."""
        return ActionValueError(self.message, hint=self.hint, index=index, field=self.field or field)

    def __str__(self) -> str:
        place = "" if self.index is None else f"action {self.index}"
        if self.field:
            place = f"{place}, {self.field}" if place else self.field
        text = f"{place}: {self.message}" if place else self.message
        return f"{text} ({self.hint})" if self.hint else text
