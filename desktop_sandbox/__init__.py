"""Linux desktops in microVMs for agents.

`from desktop_sandbox import Sandbox, AsyncSandbox`; names are loaded on first use, so that importing is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from desktop_sandbox.version import VERSION as __version__

if TYPE_CHECKING:
    from desktop_sandbox.errors import (
        ActionFailedError,
        AuthenticationError,
        CapacityError,
        ChannelError,
        CommandFailedError,
        ConfigurationError,
        ConflictError,
        ControlHeldError,
        DeadlineError,
        DesktopSandboxError,
        GuestError,
        InvalidActionError,
        InvalidRequestError,
        MachineError,
        NotAllowedError,
        NotFoundError,
        ServerError,
        SnapshotMismatchError,
        StreamerError,
        UntrustedError,
    )
    from desktop_sandbox.sdk._async.host import AsyncHost
    from desktop_sandbox.sdk._async.sandbox import AsyncSandbox
    from desktop_sandbox.sdk._sync.host import Host
    from desktop_sandbox.sdk._sync.sandbox import Sandbox
    from desktop_sandbox.sdk.network import HeaderRule, Policy

__all__ = [
    "ActionFailedError",
    "AsyncHost",
    "AsyncSandbox",
    "AuthenticationError",
    "CapacityError",
    "ChannelError",
    "CommandFailedError",
    "ConfigurationError",
    "ConflictError",
    "ControlHeldError",
    "DeadlineError",
    "DesktopSandboxError",
    "GuestError",
    "HeaderRule",
    "Host",
    "InvalidActionError",
    "InvalidRequestError",
    "MachineError",
    "NotAllowedError",
    "NotFoundError",
    "Policy",
    "Sandbox",
    "ServerError",
    "SnapshotMismatchError",
    "StreamerError",
    "UntrustedError",
    "__version__",
]

_HOMES = {
    "AsyncHost": "desktop_sandbox.sdk._async.host",
    "AsyncSandbox": "desktop_sandbox.sdk._async.sandbox",
    "Host": "desktop_sandbox.sdk._sync.host",
    "HeaderRule": "desktop_sandbox.sdk.network",
    "Policy": "desktop_sandbox.sdk.network",
    "Sandbox": "desktop_sandbox.sdk._sync.sandbox",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_HOMES.get(name, "desktop_sandbox.errors")), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
