"""The real engine, the real images and the real models, each made at most once a session."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.artifacts import build, store
from lab.cli.console import ConsoleProgress
from lab.engine.docker import DockerEngine
from lab.engine.emulation import ensure_runs
from lab.engine.select import open_engine
from lab.images.base import ensure_base
from lab.images.build import ensure
from lab.images.variants import image_ref
from lab.progress import Progress
from lab.spec import Platform
from tests.docker import known
from tests.docker.ahead import Ahead

MOBILENET = "retinopathy-mobilenet"
LONG = os.environ.get("LAB_TEST_LONG") == "all"
"""Also what takes many minutes and is seldom broken alone: `make test-long`."""


_AHEAD = Ahead()


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly:
        _AHEAD.start(session.items)


def pytest_sessionfinish() -> None:
    _AHEAD.stop()


@pytest.fixture(scope="session")
def progress() -> Progress:
    return ConsoleProgress()


@pytest.fixture(scope="session")
def engine(progress: Progress) -> Iterator[DockerEngine]:
    _AHEAD.wait()
    found = open_engine(progress)
    if not isinstance(found, DockerEngine):
        pytest.skip("no container engine can be had here: only processes")
    yield found
    found.close()


@pytest.fixture(scope="session")
def platform(engine: DockerEngine) -> Platform:
    return engine.facts().platform


@pytest.fixture(scope="session")
def built(engine: DockerEngine, platform: Platform, progress: Progress) -> Callable[[str], str]:
    """Build an image of the lab's if need be, and say its name."""

    def build_one(target: str) -> str:
        ensure([target], platform=platform, engine=engine, progress=progress)
        return image_ref(target, platform)

    return build_one


@pytest.fixture(scope="session")
def foreign(platform: Platform) -> Platform:
    """What the engine's machine has to emulate."""
    return platform.other


@pytest.fixture(scope="session")
def foreign_image(
    engine: DockerEngine, foreign: Platform, progress: Progress
) -> Callable[[str], str]:
    """Build an image of the lab's for the other platform if need be, and say its name."""

    def build_one(target: str) -> str:
        ensure_runs(foreign, engine, progress)
        ensure([target], platform=foreign, engine=engine, progress=progress)
        return image_ref(target, foreign)

    return build_one


@pytest.fixture(scope="session")
def mobilenet(engine: DockerEngine, progress: Progress) -> str:
    """The name of a model that is built."""
    build.ensure([MOBILENET], engine=engine, progress=progress)
    return MOBILENET


@pytest.fixture(scope="session")
def payload(mobilenet: str) -> Path:
    """A picture that the model was not trained on."""
    return store.payload(mobilenet).path


@pytest.fixture(scope="module")
def image(
    engine: DockerEngine, platform: Platform, progress: Progress
) -> Iterator[Callable[..., str]]:
    """Makes images whose start-up is known; they are gone at the end."""
    base = ensure_base(platform, engine, progress).ref
    made: dict[tuple[str, ...], str] = {}

    def make(mode: str, **env: str) -> str:
        key = (mode, *(f"{name}-{value}".lower() for name, value in sorted(env.items())))
        if key not in made:
            made[key] = known.make(engine, base, "-".join(key), {"MODE": mode, **env})
        return made[key]

    yield make
    for ref in made.values():
        known.remove(engine, ref)
