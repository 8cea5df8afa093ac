"""What the SDK returns of code that keeps its state: what it showed, said and raised."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

CHART = "application/vnd.desktop-sandbox.chart+json"
TABLE = "application/vnd.dataresource+json"


@dataclass(frozen=True)
class CodeContext:
    """A kernel with a state of its own; `language` is the kernel's name where it is neither Python nor bash."""

    id: str
    language: str
    user: str
    running: bool
    started_at: datetime


@dataclass(frozen=True)
class CodeError:
    """What code raised."""

    name: str
    value: str
    traceback: str


@dataclass(frozen=True)
class CodeResult:
    """A thing that code showed, in one or more forms by MIME type. `main`: the value of its last expression."""

    data: Mapping[str, Any]
    main: bool

    @property
    def text(self) -> str | None:
        """As plain text."""
        return self._text("text/plain")

    @property
    def html(self) -> str | None:
        """As HTML."""
        return self._text("text/html")

    @property
    def markdown(self) -> str | None:
        """As Markdown."""
        return self._text("text/markdown")

    @property
    def svg(self) -> str | None:
        """As SVG."""
        return self._text("image/svg+xml")

    @property
    def png(self) -> bytes | None:
        """As a PNG picture."""
        return self._picture("image/png")

    @property
    def jpeg(self) -> bytes | None:
        """As a JPEG picture."""
        return self._picture("image/jpeg")

    @property
    def json(self) -> Any:
        """As JSON."""
        return self.data.get("application/json")

    @property
    def chart(self) -> Mapping[str, Any] | None:
        """A matplotlib figure as data: title, and of each pair of axes its labels and series."""
        found = self.data.get(CHART)
        return found if isinstance(found, Mapping) else None

    @property
    def table(self) -> Sequence[Mapping[str, Any]] | None:
        """A pandas table's rows (the first 1,000)."""
        found = self.data.get(TABLE)
        rows = found.get("data") if isinstance(found, Mapping) else None
        return rows if isinstance(rows, list) else None

    def _text(self, kind: str) -> str | None:
        found = self.data.get(kind)
        if isinstance(found, list):  # Jupyter may give lines
            return "".join(str(line) for line in found)
        return found if isinstance(found, str) else None

    def _picture(self, kind: str) -> bytes | None:
        found = self._text(kind)
        return None if found is None else base64.b64decode(found)


@dataclass(frozen=True)
class Execution:
    """How code ended: `status` is ok, error (see `error`), interrupted, timeout, restarted or died.

    After the last two the context goes on without what was defined in it.
    """

    status: str
    results: Sequence[CodeResult]
    stdout: str
    stderr: str
    error: CodeError | None
    count: int | None
    context: str

    @property
    def text(self) -> str | None:
        """The value of the last expression, as plain text."""
        return next((result.text for result in reversed(self.results) if result.main), None)


def parse_context(data: Mapping[str, Any]) -> CodeContext:
    """A context out of the API's JSON."""
    started = datetime.fromisoformat(data["started_at"])
    return CodeContext(data["id"], data["language"], data["user"], data["running"], started)


def parse_result(data: Mapping[str, Any]) -> CodeResult:
    """A result out of the API's JSON."""
    return CodeResult(data["data"], data["main"])


def parse_error(data: Mapping[str, Any] | None) -> CodeError | None:
    """An error out of the API's JSON."""
    return None if data is None else CodeError(data["name"], data["value"], data["traceback"])


def parse_execution(data: Mapping[str, Any]) -> Execution:
    """A whole answer out of the API's JSON."""
    return Execution(
        data["status"],
        [parse_result(each) for each in data["results"]],
        data["stdout"],
        data["stderr"],
        parse_error(data["error"]),
        data["count"],
        data["context"],
    )
