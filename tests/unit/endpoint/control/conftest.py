"""A control plane, and one with an endpoint."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.endpoint.controlled import Plane


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    made = Plane(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def hosted(plane: Plane) -> Plane:
    plane.given_model()
    plane.given_config()
    plane.given_endpoint()
    return plane
