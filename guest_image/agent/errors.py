"""What the agent answers when it cannot do something: a code for programs, a message and a hint for people."""

from __future__ import annotations

import errno
from typing import Any

_CODES = {
    errno.ENOENT: "not-found",
    errno.ESRCH: "not-found",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.EROFS: "permission",
    errno.EEXIST: "exists",
    errno.EISDIR: "is-directory",
    errno.ENOTDIR: "not-directory",
    errno.ENOTEMPTY: "not-empty",
    errno.ENOSPC: "no-space",
    errno.EDQUOT: "no-space",
    errno.ENAMETOOLONG: "invalid",
    errno.EINVAL: "invalid",
    errno.ELOOP: "invalid",
}


class OpError(Exception):
    """An operation failed in a way its caller should know: `code` as in docs/protocol.md."""

    def __init__(
        self, code: str, message: str, *, hint: str | None = None, detail: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.detail = detail

    def to_wire(self) -> dict[str, Any]:
        """The JSON object of an ERROR frame."""
        wire: dict[str, Any] = {"code": self.code, "message": self.message[:4000]}
        if self.hint:
            wire["hint"] = self.hint[:1000]
        if self.detail:
            wire["detail"] = self.detail
        return wire


def from_os_error(error: OSError, what: str) -> OpError:
    """The OpError for a failed system call; `what` says what was being done, with its value."""
    code = _CODES.get(error.errno or 0, "failed")
    return OpError(code, f"{what}: {error.strerror or error}", detail={"errno": error.errno})
