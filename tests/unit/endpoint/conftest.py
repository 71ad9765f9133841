"""Asynchronous tests run on asyncio, as the emulator does; they are marked ``anyio``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.endpoint.store import SqliteStore


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "state.sqlite3")
    yield made
    made.close()
