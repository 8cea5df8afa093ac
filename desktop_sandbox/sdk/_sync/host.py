# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""What a server has besides sandboxes: templates, and its host's capacity."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any, Self

from desktop_sandbox.sdk._sync.connection import Connection
from desktop_sandbox.sdk.models import BuildStep, TemplateInfo, parse_template


class Host:
    """A server's templates and usage; use it with `with`."""

    def __init__(self, connection: Connection) -> None:
        """Not to be called: use `connect`."""
        self._connection = connection

    @classmethod
    def connect(cls, *, url: str | None = None, api_key: str | None = None) -> Self:
        """The server at an address; nothing is sent yet."""
        return cls(Connection.shared(url, api_key))

    def templates(self) -> builtins.list[TemplateInfo]:
        """All recipes and templates."""
        answer = self._connection.request("GET", "/v1/templates")
        return [parse_template(item) for item in answer.json()["templates"]]

    def build_template(self, name: str, *, rebuild: bool = False) -> Iterator[BuildStep]:
        """Build a template where needed, with progress. Closing the iterator does not stop the build."""
        params = {"rebuild": "true"} if rebuild else {}
        for line in self._connection.lines("POST", f"/v1/templates/{name}/build", params=params):
            if line.get("step") is not None:
                yield BuildStep(line["step"], line.get("fraction"), line.get("message") or "")

    def remove_template(self, name: str) -> None:
        """Remove a template from the server's disk."""
        self._connection.request("DELETE", f"/v1/templates/{name}")

    def usage(self) -> dict[str, Any]:
        """The host's capacity, and what is used of it."""
        answer: dict[str, Any] = (self._connection.request("GET", "/v1/usage")).json()
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
