from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.endpoint.fleet_scene import FleetScene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[FleetScene]:
    made = FleetScene(tmp_path)
    yield made
    await made.close()
