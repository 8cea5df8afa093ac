"""What several files of tests on machines share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import RealServer
from tests.machine.places import Places, made_places, served_on


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    """A host and an internet for the tests of a file."""
    with made_places() as made:
        yield made


@pytest.fixture(scope="module")
def far_server(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server on that host."""
    with served_on(places, tmp_path_factory.mktemp("far")) as running:
        yield running
