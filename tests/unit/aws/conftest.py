"""An AWS on this machine, and an environment in which boto3's own chain finds it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.world import World, moto, world


@pytest.fixture(scope="session", name="upstream")
def _upstream() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture(name="world")
def _world(tmp_path: Path, upstream: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    home = tmp_path / "aws"
    home.mkdir()
    with world(home, upstream) as found:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in found.env.items():
            monkeypatch.setenv(name, value)
        yield found
