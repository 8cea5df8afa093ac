"""What a desktop may reach on the network, and what it reached."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

from desktop_sandbox.sdk.network import (
    NetworkEntry,
    NetworkState,
    Policy,
    parse_entry,
    parse_network,
    policy_body,
)

if TYPE_CHECKING:
    from desktop_sandbox.sdk._async.connection import AsyncConnection


class AsyncNetwork:
    """A desktop's network."""

    def __init__(self, connection: AsyncConnection, path: str) -> None:
        self._connection = connection
        self._path = f"{path}/network"

    async def get(self) -> NetworkState:
        """Its policy, whether it has a network, and what has passed."""
        return parse_network((await self._connection.request("GET", self._path)).json())

    async def set(self, policy: Policy | str) -> NetworkState:
        """Change what it may reach: "none", "internet" or a Policy.

        Connections that are not allowed any more have ended when this returns.
        """
        body = {"policy": policy_body(policy)}
        return parse_network((await self._connection.request("PUT", self._path, body=body)).json())

    async def log(self, limit: int = 100) -> builtins.list[NetworkEntry]:
        """The last connections, and lookups of names that came to nothing, oldest first; at most 10,000."""
        answer = await self._connection.request("GET", f"{self._path}/log", params={"limit": str(limit)})
        return [parse_entry(entry) for entry in answer.json()["entries"]]
