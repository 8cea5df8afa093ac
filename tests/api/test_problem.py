from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_sandbox import errors
from desktop_sandbox.problem import TYPE_PREFIX, error_classes, from_problem, plain, to_problem


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*(subclasses(sub) for sub in kind.__subclasses__()))


def test_every_error_has_a_slug_of_its_own() -> None:
    assert set(error_classes().values()) == subclasses(errors.DesktopSandboxError)


@pytest.mark.parametrize("kind", sorted(subclasses(errors.DesktopSandboxError), key=lambda k: k.__name__))
def test_every_error_survives_the_way_through_a_problem_document(kind: type[errors.DesktopSandboxError]) -> None:
    error = kind("what happened", hint="do this", path="/x", index=3)
    document = json.loads(json.dumps(to_problem(error, instance="/v1/x")))
    assert document["type"] == TYPE_PREFIX + kind.slug
    assert document["status"] == kind.status
    assert document["title"]
    back = from_problem(document, kind.status)
    assert type(back) is kind
    assert (back.message, back.hint, back.evidence) == ("what happened", "do this", {"path": "/x", "index": 3})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.AuthenticationError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (418, errors.InvalidRequestError),
        (502, errors.ServerError),
        (503, errors.CapacityError),
    ],
)
@pytest.mark.parametrize("document", [None, [], "x", {"type": "about:blank"}, {"type": 3, "detail": 4, "hint": []}])
def test_foreign_answers_become_the_error_their_status_suggests(
    status: int, kind: type[Exception], document: object
) -> None:
    assert type(from_problem(document, status)) is kind


@given(st.recursive(st.none() | st.floats() | st.binary() | st.text() | st.complex_numbers(), st.lists, max_leaves=20))
def test_evidence_of_any_kind_is_plain_json(value: object) -> None:
    json.dumps(plain(value), allow_nan=False).encode()


def test_endless_evidence_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    json.dumps(plain(loop))
    assert plain(math.inf) == "inf"
    assert plain("\ud800") == "?"
