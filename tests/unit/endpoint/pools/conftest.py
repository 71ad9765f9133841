from collections.abc import AsyncIterator

import pytest

from lab.endpoint.store import SqliteStore
from tests.unit.endpoint.fleet_scene import PoolScene


@pytest.fixture
async def scene(store: SqliteStore) -> AsyncIterator[PoolScene]:
    made = PoolScene(store)
    yield made
    await made.close()
