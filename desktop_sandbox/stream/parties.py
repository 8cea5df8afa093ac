"""Who watches: what somebody may do, a viewer, and the bounded way of its messages to a WebSocket."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field

from desktop_sandbox.stream.lease import Party
from desktop_sandbox.stream.tokens import Rights, Token

OUTLET_BYTES = 8 << 20


@dataclass(frozen=True)
class Grant:
    """What a caller may do: all of it with the API key (`token` None), else what its token says."""

    rights: Rights
    identity: str
    name: str
    token: Token | None = None

    @property
    def takes_control(self) -> bool:
        """Whether the first key or click takes the control that no other person has."""
        return self.token is not None and self.token.takes_control


API_KEY = Grant("control", "api-key", "Owner")


def token_grant(token: Token) -> Grant:
    """What a token's holder may do."""
    return Grant(token.rights, f"token {token.id}", token.name or "Viewer", token)


class Outlet:
    """Messages to one WebSocket; who does not read them is cut off, with what waits for it."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._end = asyncio.Event()
        self.closed: str | None = None
        """Why nothing more comes."""

    def put(self, data: bytes) -> bool:
        """Queue a message; False if there is too much already."""
        if self.closed is not None:
            return False
        if self._bytes + len(data) > OUTLET_BYTES:
            return False
        self._waiting.append(data)
        self._bytes += len(data)
        self._news.set()
        return True

    def close(self, reason: str) -> None:
        """What was put is still delivered, and no more."""
        if self.closed is None:
            self.closed = reason
            self._news.set()
            self._end.set()

    async def ended(self) -> None:
        """Wait until it is closed."""
        await self._end.wait()

    async def get(self) -> bytes | None:
        """The next message; None at the end."""
        while not self._waiting:
            if self.closed is not None:
                return None
            self._news.clear()
            await self._news.wait()
        data = self._waiting.popleft()
        self._bytes -= len(data)
        return data


@dataclass
class Viewer:
    """One connection of somebody who watches. `outlet` for those over WebSocket."""

    number: int
    sandbox: str
    grant: Grant
    outlet: Outlet | None = None
    resource: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    live: bool = False
    warned_at: float = float("-inf")

    @property
    def party(self) -> Party:
        """As the lease knows it."""
        return Party(self.number, self.grant.identity, self.grant.name)

    @property
    def transport(self) -> str:
        """webrtc or socket."""
        return "webrtc" if self.outlet is None else "socket"
