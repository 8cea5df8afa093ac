"""The API against its own description: schemathesis sends what the schema allows, and what it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from desktop_sandbox.api.app import create_app
from desktop_sandbox.config import ServerConfig
from tests.fake_node import FakeNode
from tests.live_server import KEY, Live, serving
from tests.stream.fake_streamer import FakeStreamer


@schemathesis.serializer("application/sdp")
def sdp(ctx: Any, value: Any) -> bytes:
    """What the generator makes of a text, sent as it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    with serving(tmp_path_factory.mktemp("home"), launch=FakeStreamer().launch) as live:
        live.node.watches_end = True
        httpx.post(live.url + "/v1/sandboxes", json={}, headers=live.headers, verify=False)
        yield live


DOCUMENT = create_app(FakeNode(), ServerConfig(Path("/nowhere"), KEY)).openapi()
OPERATIONS = [result.ok() for result in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def hurry(body: Any) -> None:
    """Waits are not what is tested here: what the schema allows is minutes, and an overdue one is a 504."""
    if not isinstance(body, dict):
        return
    for name, value in body.items():
        if name in ("quiet_ms", "reaction_ms", "timeout") and isinstance(value, int | float) and value > 0:
            body[name] = 1 if name.endswith("_ms") else 0.1
        hurry(value)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_the_api_keeps_to_its_schema(operation: Any, mode: GenerationMode, server: Live) -> None:
    @settings(
        max_examples=7,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        parameters = case.path_parameters or {}
        if "sandbox_id" in parameters and operation.method != "delete" and mode is GenerationMode.POSITIVE:
            parameters["sandbox_id"] = "sb000001"
        for name in [name for name in case.headers if name.lower() == "idempotency-key"]:
            del case.headers[name]
        if operation.path.endswith(("/actions", "/wait/stable", "/wait/change", "/wait/window", "/wait/text")):
            hurry(case.body)
        if "/wait/" in operation.path and isinstance(case.body, dict):
            case.body["on_timeout"] = "answer"
            if mode is GenerationMode.POSITIVE:
                case.body.setdefault("timeout", 0.1)
        case.call_and_validate(
            base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}, checks=CHECKS, timeout=20
        )

    try:
        run()
    except Unsatisfiable:
        pytest.skip(f"nothing {mode.value} can be sent here")


def test_every_operation_has_a_name_a_summary_and_problems(tmp_path) -> None:
    document = create_app(FakeNode(), ServerConfig(tmp_path, KEY)).openapi()
    names = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            names.append(operation["operationId"])
            assert operation["summary"], (path, method)
            assert operation["description"], (path, method)
            assert {"401", "404", "413", "422", "503", "default"} <= operation["responses"].keys()
            problem = operation["responses"]["422"]["content"]
            assert list(problem) == ["application/problem+json"]
    assert len(names) == len(set(names)) >= 26
    assert all(name == name.lower() and name.isidentifier() for name in names)
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    for reference in set(text.split('"#/components/schemas/')[1:]):
        assert reference.split('"')[0] in document["components"]["schemas"]
