"""The error tree. Everything this project raises on purpose has one root.

DesktopSandboxError                what happened, and a hint what to do next
├── ConfigurationError             a setting, file or missing program on this host
├── AuthenticationError            no key or token, or one that is not good
│   └── NotAllowedError            the token is good, but not for this
├── InvalidRequestError            the caller's request cannot be carried out as it is
│   ├── UntrustedError             … an imported file is signed by a key that nobody trusts
│   └── InvalidActionError         … an action: unknown key, coordinate outside the screen, …
├── NotFoundError                  no such sandbox, template, snapshot, file or window
├── ConflictError                  the thing is in a state that does not allow it
│   └── ControlHeldError           a person drives the desktop
├── CapacityError                  this host has no room: memory, disk or count
├── ActionFailedError              the desktop refused or did not finish an action
├── CommandFailedError             a command in the desktop ended with another code than 0
├── DeadlineError                  it took longer than the caller allowed
├── MachineError                   a microVM did not start, hung or died (carries the serial log's tail)
│   └── SnapshotMismatchError      a snapshot does not fit this host; names the difference
├── GuestError                     the guest agent answered with an error
├── ChannelError                   the connection to the guest agent is broken or speaks nonsense
└── ServerError                    the server cannot be reached, or failed inside
    └── StreamerError              the media process is not there, or could not do what it was asked
"""

from __future__ import annotations

from typing import ClassVar


class DesktopSandboxError(Exception):
    """Root of all errors of this project. `hint` says what to do next; `evidence` holds what was seen."""

    slug: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str | None = None, **evidence: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.evidence = evidence

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigurationError(DesktopSandboxError):
    """A setting, file or program on this host is missing or wrong."""

    slug = "configuration"


class AuthenticationError(DesktopSandboxError):
    """No API key, or a wrong one."""

    slug = "authentication"
    status = 401


class NotAllowedError(AuthenticationError):
    """The token is good, but not for this."""

    slug = "not-allowed"
    status = 403


class InvalidRequestError(DesktopSandboxError):
    """The request cannot be carried out as it is."""

    slug = "invalid-request"
    status = 422


class InvalidActionError(InvalidRequestError):
    """An action names something that is not there: a key, a button, a place outside the screen."""

    slug = "invalid-action"


class UntrustedError(InvalidRequestError):
    """An imported file is signed by a key that nobody trusts here."""

    slug = "untrusted"


class NotFoundError(DesktopSandboxError):
    """No such sandbox, template, snapshot, file or window."""

    slug = "not-found"
    status = 404


class ConflictError(DesktopSandboxError):
    """The thing is in a state that does not allow this."""

    slug = "conflict"
    status = 409


class ControlHeldError(ConflictError):
    """A person drives the desktop, and the agent's action was refused."""

    slug = "control-held"


class CapacityError(DesktopSandboxError):
    """This host has no room left; the message says what is short."""

    slug = "capacity"
    status = 503


class ActionFailedError(DesktopSandboxError):
    """An action of a batch failed; `evidence` says which, and what was done before it."""

    slug = "action-failed"
    status = 422


class CommandFailedError(DesktopSandboxError):
    """A command in the desktop ended with another exit code than 0."""

    slug = "command-failed"
    status = 422


class DeadlineError(DesktopSandboxError):
    """It took longer than the caller allowed."""

    slug = "deadline"
    status = 504


class MachineError(DesktopSandboxError):
    """A microVM did not start, hung or died."""

    slug = "machine"


class SnapshotMismatchError(MachineError):
    """A snapshot does not fit this host; the message names the difference."""

    slug = "snapshot-mismatch"
    status = 409


class GuestError(DesktopSandboxError):
    """The guest agent answered with an error."""

    slug = "guest"
    status = 502


class ChannelError(DesktopSandboxError):
    """The connection to the guest agent is broken, or what came over it makes no sense."""

    slug = "channel"
    status = 502


class ServerError(DesktopSandboxError):
    """The server cannot be reached, or failed inside."""

    slug = "server"


class StreamerError(ServerError):
    """The media process is not there, or could not do what it was asked."""

    slug = "streamer"
    status = 503
