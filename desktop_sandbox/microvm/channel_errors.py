"""What goes wrong between server and guest, as this project's errors. Pure."""

from __future__ import annotations

from typing import Any, Final

from desktop_sandbox.errors import (
    ConflictError,
    DeadlineError,
    DesktopSandboxError,
    GuestError,
    InvalidRequestError,
    NotFoundError,
)
from guest_image.agent.protocol import ProtocolError

_ERRORS: Final[dict[str, type[DesktopSandboxError]]] = {
    "not-found": NotFoundError,
    "deadline": DeadlineError,
    "invalid": InvalidRequestError,
    "permission": InvalidRequestError,
    "is-directory": InvalidRequestError,
    "not-directory": InvalidRequestError,
    "exists": ConflictError,
    "not-empty": ConflictError,
}


def guest_error(wire: dict[str, Any]) -> DesktopSandboxError:
    """The error that an ERROR frame means; `evidence` has its code and detail. ProtocolError if it is malformed."""
    code, message, hint = wire.get("code"), wire.get("message"), wire.get("hint")
    if not isinstance(code, str) or not isinstance(message, str) or not isinstance(hint, (str, type(None))):
        raise ProtocolError("ERROR without code and message")
    kind = _ERRORS.get(code, GuestError)
    return kind(message[:4000], hint=hint[:1000] if hint else None, code=code[:64], detail=wire.get("detail"))


def first_leaf(error: BaseException) -> BaseException:
    """What really went wrong in a task group; any other error is itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
