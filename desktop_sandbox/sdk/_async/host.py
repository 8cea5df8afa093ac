"""What a server has besides sandboxes: templates, and its host's capacity."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from typing import Any, Self

from desktop_sandbox.sdk._async.connection import AsyncConnection
from desktop_sandbox.sdk.models import BuildStep, TemplateInfo, parse_template


class AsyncHost:
    """A server's templates and usage; use it with `async with`."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Not to be called: use `connect`."""
        self._connection = connection

    @classmethod
    async def connect(cls, *, url: str | None = None, api_key: str | None = None) -> Self:
        """The server at an address; nothing is sent yet."""
        return cls(AsyncConnection.shared(url, api_key))

    async def templates(self) -> builtins.list[TemplateInfo]:
        """All recipes and templates."""
        answer = await self._connection.request("GET", "/v1/templates")
        return [parse_template(item) for item in answer.json()["templates"]]

    async def build_template(self, name: str, *, rebuild: bool = False) -> AsyncIterator[BuildStep]:
        """Build a template where needed, with progress. Closing the iterator does not stop the build."""
        params = {"rebuild": "true"} if rebuild else {}
        async for line in self._connection.lines("POST", f"/v1/templates/{name}/build", params=params):
            if line.get("step") is not None:
                yield BuildStep(line["step"], line.get("fraction"), line.get("message") or "")

    async def remove_template(self, name: str) -> None:
        """Remove a template from the server's disk."""
        await self._connection.request("DELETE", f"/v1/templates/{name}")

    async def usage(self) -> dict[str, Any]:
        """The host's capacity, and what is used of it."""
        answer: dict[str, Any] = (await self._connection.request("GET", "/v1/usage")).json()
        return answer

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._connection.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
