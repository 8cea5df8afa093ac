"""How the API describes itself: problem answers on every route, security, and the actions' own schema."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from actions.validate import action_schema
from desktop_sandbox.api.models import Problem
from desktop_sandbox.problem import MEDIA_TYPE

_MEANINGS = {
    401: "No API key or token, or one that is not good.",
    403: "The token is good, but not for this.",
    404: "No such sandbox, template, file or address.",
    409: "The thing's state does not allow this.",
    413: "The body is larger than this server takes.",
    415: "The body's content type is not taken here.",
    422: "The request cannot be carried out as it is.",
    503: "No room on this host, or no machine to answer.",
    504: "It took longer than the caller allowed.",
}
KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": "Repeat a request with the same key and it is done once, and answered the same.",
}


def install(app: FastAPI) -> None:
    """Give the app its schema, made once on demand."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app)
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]


def _schema(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = Problem.model_json_schema()
    schemas["Problem"] = problem
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    action = action_schema()
    schemas.update(action.pop("$defs", {}))
    schemas["Action"] = action
    schemas["RunActions"]["properties"]["actions"]["items"] = {"$ref": "#/components/schemas/Action"}
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    document["security"] = [{"bearer": []}, {"apiKey": []}]
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            responses = operation["responses"]
            for status, meaning in _MEANINGS.items():
                responses[str(status)] = {"description": meaning, "content": content}
            responses["default"] = {"description": "Any other problem.", "content": content}
            if path == "/healthz":
                operation["security"] = []
            if method != "get":
                operation.setdefault("parameters", []).append(KEY_PARAMETER)
    return document
