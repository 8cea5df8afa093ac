"""Errors as problem documents (RFC 9457) and back. Pure; the API writes them, the SDK reads them.

`type` is stable: TYPE_PREFIX + the error class's slug. `hint` and `evidence` are extension members.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from desktop_sandbox import errors

TYPE_PREFIX = "urn:desktop-sandbox:problem:"
MEDIA_TYPE = "application/problem+json"
MAX_DEPTH = 8


def error_classes() -> dict[str, type[errors.DesktopSandboxError]]:
    """Every error class by its slug; the root is among them."""
    found: dict[str, type[errors.DesktopSandboxError]] = {}
    todo = [errors.DesktopSandboxError]
    while todo:
        kind = todo.pop()
        found.setdefault(kind.slug, kind)
        todo.extend(kind.__subclasses__())
    return found


def to_problem(
    error: errors.DesktopSandboxError, *, status: int | None = None, instance: str | None = None
) -> dict[str, Any]:
    """The problem document of an error. `status` only where HTTP has a more exact one (405, 413, 415)."""
    return {
        "type": TYPE_PREFIX + error.slug,
        "title": title_of(type(error)),
        "status": status or error.status,
        "detail": error.message,
        "hint": error.hint,
        "instance": instance,
        "evidence": {str(name): plain(value) for name, value in error.evidence.items()},
    }


def from_problem(document: object, status: int) -> errors.DesktopSandboxError:
    """Rebuild the error.

    Anything that is not a problem document of ours becomes the class its status suggests.
    """
    if not isinstance(document, Mapping):
        document = {}
    kind_uri = document.get("type")
    classes = error_classes()
    kind = classes.get(kind_uri.removeprefix(TYPE_PREFIX)) if isinstance(kind_uri, str) else None
    if kind is None:
        kind = _BY_STATUS.get(status, errors.InvalidRequestError if 400 <= status < 500 else errors.ServerError)
    detail, hint, evidence = document.get("detail"), document.get("hint"), document.get("evidence")
    error = kind(
        detail if isinstance(detail, str) else f"the server answered with status {status}",
        hint=hint if isinstance(hint, str) else None,
    )
    error.evidence = dict(evidence) if isinstance(evidence, Mapping) else {}
    return error


def title_of(kind: type[errors.DesktopSandboxError]) -> str:
    """A short sentence that is the same for every error of the class."""
    doc = (kind.__doc__ or kind.__name__).strip().splitlines()[0]
    return doc.split(". ")[0].split(";")[0].rstrip(".")


def status_title(status: int) -> str:
    """The HTTP phrase of a status code."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def plain(value: object, depth: int = 0) -> Any:
    """Any value as JSON knows it; never fails. Bytes become base64, the unknown its `repr`."""
    match value:
        case None | bool() | str():
            return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        case int():
            return int(value)
        case float():
            return value if math.isfinite(value) else repr(value)
        case bytes():
            return base64.b64encode(value).decode()
    if depth >= MAX_DEPTH:
        return repr(value)[:200]
    if isinstance(value, Mapping):
        return {str(name): plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, Iterable):
        return [plain(item, depth + 1) for item in value]
    return repr(value)[:500]


_BY_STATUS: dict[int, type[errors.DesktopSandboxError]] = {
    401: errors.AuthenticationError,
    403: errors.NotAllowedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    503: errors.CapacityError,
    504: errors.DeadlineError,
}
