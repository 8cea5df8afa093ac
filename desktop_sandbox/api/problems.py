"""Every error as a problem document (RFC 9457): ours, the framework's, and the unexpected. Knows no routes."""

from __future__ import annotations

import json
import logging
import secrets
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from desktop_sandbox import errors
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.problem import MEDIA_TYPE, to_problem

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger("desktop_sandbox.api")

_FRAMEWORK: dict[int, tuple[type[errors.DesktopSandboxError], str, str]] = {
    400: (errors.InvalidRequestError, "the request could not be read", "send a JSON object as the body"),
    404: (errors.NotFoundError, "there is nothing at this address", "/openapi.json lists all addresses"),
    405: (errors.InvalidRequestError, "this address does not take that method", "/openapi.json lists the methods"),
}


def problem_answer(error: Exception, *, status: int | None = None, instance: str | None = None) -> Answer:
    """An error as an answer. What is not ours is logged under an id, and only the id is told."""
    if not isinstance(error, errors.DesktopSandboxError):
        error = unexpected(error)
    document = to_problem(error, status=status, instance=instance)
    return Answer(document["status"], json.dumps(document).encode(), MEDIA_TYPE)


def problem_response(
    error: Exception,
    *,
    status: int | None = None,
    instance: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """An error as a response."""
    response = problem_answer(error, status=status, instance=instance).response()
    response.headers.update(headers or {})
    return response


def unexpected(error: BaseException) -> errors.ServerError:
    """Log an error nobody planned for, and say its id and nothing of its inside."""
    reference = secrets.token_hex(6)
    log.error("x unexpected error %s", reference, exc_info=error)
    return errors.ServerError(
        f"something went wrong inside the server (reference {reference})",
        hint=f"the server's log has the details under {reference}",
        reference=reference,
    )


def install(app: FastAPI) -> None:
    """Make an app answer every error with a problem document."""

    async def ours(request: Request, error: Exception) -> Response:
        return problem_response(error, instance=request.url.path)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(invalid_request(error), instance=request.url.path)

    async def framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if isinstance(error.__cause__, errors.DesktopSandboxError):
            return problem_response(error.__cause__, instance=request.url.path)
        status = error.status_code
        kind, message, hint = _FRAMEWORK.get(status, (errors.InvalidRequestError, str(error.detail), None))
        problem = kind(f"{message}: {request.method} {request.url.path}", hint=hint)
        headers = dict(error.headers or {})
        return problem_response(problem, status=status, instance=request.url.path, headers=headers)

    app.add_exception_handler(errors.DesktopSandboxError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(Exception, ours)


def invalid_request(error: RequestValidationError) -> errors.InvalidRequestError:
    """One sentence for the first thing that is wrong; all of them as evidence."""
    found: list[dict[str, Any]] = [
        {"where": ".".join(str(part) for part in item["loc"]), "what": item["msg"]} for item in error.errors()
    ]
    first = found[0] if found else {"where": "request", "what": "is not valid"}
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return errors.InvalidRequestError(
        f"{first['where']}: {first['what']}{more}",
        hint="/openapi.json describes what this call takes",
        errors=found[:20],
    )
