"""What every route needs, in one value on the app: `services(request)`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from desktop_sandbox.api.answer import Answer
from desktop_sandbox.problem import plain

if TYPE_CHECKING:
    from starlette.requests import Request

    from desktop_sandbox.api.access import Access
    from desktop_sandbox.api.builds import Builds
    from desktop_sandbox.api.contexts import Contexts
    from desktop_sandbox.api.keys import Once
    from desktop_sandbox.api.looking import Eyes
    from desktop_sandbox.api.metrics import Metrics
    from desktop_sandbox.api.pages import Pages
    from desktop_sandbox.api.port_access import PortAccess
    from desktop_sandbox.config import ServerConfig
    from desktop_sandbox.node.facts import FileInfo, SandboxInfo, TemplateInfo
    from desktop_sandbox.node.interface import Node
    from desktop_sandbox.stream.token_store import TokenStore
    from desktop_sandbox.stream.views import Views


@dataclass(frozen=True)
class Services:
    """The node (a placement's choice, today the only one), and what the API itself keeps."""

    node: Node
    config: ServerConfig
    once: Once
    metrics: Metrics
    builds: Builds
    access: Access
    tokens: TokenStore
    views: Views
    pages: Pages
    eyes: Eyes
    link_key: bytes
    """What signs links to files."""
    ports: PortAccess
    contexts: Contexts


def services(request: Request) -> Services:
    """The services of the app that got this request."""
    found: Services = request.app.state.services
    return found


def answer_json(value: Any, status: int = 200, *, kept: Any = None) -> Answer:
    """A JSON answer; `kept` is the smaller one for the disk."""
    return Answer(status, json.dumps(value).encode(), kept=None if kept is None else json.dumps(kept).encode())


def json_response(value: Any) -> Response:
    """A JSON response that is not kept."""
    return Response(json.dumps(value), media_type="application/json")


def moment(seconds: float | None) -> str | None:
    """Seconds since the epoch as RFC 3339 in UTC with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sandbox_json(info: SandboxInfo) -> dict[str, Any]:
    """A sandbox as the API shows it."""
    return {
        "id": info.id,
        "template": info.template,
        "state": str(info.state),
        "created_at": moment(info.created_at),
        "expires_at": moment(info.expires_at),
        "metadata": dict(info.metadata),
        "resolution": {"width": info.resolution[0], "height": info.resolution[1]},
        "reason": info.reason,
        "snapshot": info.snapshot,
        "on_timeout": info.on_timeout,
        "auto_resume": info.auto_resume,
        "freeze_after": info.freeze_after_s,
        "frozen": info.frozen,
        "network": info.network,
    }


def template_json(info: TemplateInfo) -> dict[str, Any]:
    """A template as the API shows it."""
    size = info.resolution
    return {
        "name": info.name,
        "state": info.state,
        "why": info.why,
        "digest": info.digest,
        "created_at": moment(info.created_at),
        "size_bytes": info.size_bytes,
        "resolution": None if size is None else {"width": size[0], "height": size[1]},
        "promoted_from": info.promoted_from,
    }


def file_json(info: FileInfo) -> dict[str, Any]:
    """A file as the API shows it."""
    return {
        "path": info.path,
        "type": info.type,
        "size_bytes": info.size_bytes,
        "mode": info.mode,
        "modified_at": moment(info.modified_at),
    }


def plain_json(value: Any) -> Response:
    """A JSON response of whatever the node tells (its own words, e.g. usage and why)."""
    return json_response(plain(value))
