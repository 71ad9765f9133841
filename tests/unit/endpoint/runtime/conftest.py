"""The asynchronous half of an emulator, for the tests about it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from lab.endpoint.store import SqliteStore
from tests.unit.endpoint.async_scene import World

Make = Callable[..., World]


@pytest.fixture
async def make(store: SqliteStore, tmp_path: Path) -> AsyncIterator[Make]:
    worlds: list[World] = []

    def made(**of_live: Any) -> World:
        worlds.append(World(store, tmp_path, **of_live))
        return worlds[-1]

    yield made
    for world in worlds:
        await world.queue.close()


@pytest.fixture
async def world(make: Make) -> World:
    return make()
