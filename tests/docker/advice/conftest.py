"""The images, each made at most once a module."""

import functools
from collections.abc import Callable, Iterator

import pytest

from lab.engine.docker.engine import DockerEngine
from lab.images.base import ensure_base
from lab.progress import Progress
from lab.spec import FLOOR, Platform
from tests.docker import known
from tests.docker.advice import images, strangers

Small = Callable[[str, images.Recipe], str]


@pytest.fixture(scope="session")
def program(
    engine: DockerEngine, platform: Platform, built: Callable[[str], str]
) -> Iterator[bytes]:
    """The small images' program."""
    built(FLOOR)  # which is compiled in the same tools
    with strangers.program(engine, f"inference-lab/tools:{platform.arch}") as found:
        yield found


@pytest.fixture(scope="module")
def small(engine: DockerEngine, program: bytes) -> Iterator[Small]:
    """Makes small images by their recipe; they are gone at the end."""
    made: dict[str, str] = {}

    def make(name: str, recipe: images.Recipe) -> str:
        if name not in made:
            layers = images.small(program, recipe)
            made[name] = images.load(engine, f"small-{name}", layers, config=recipe.config)
        return made[name]

    yield make
    for ref in made.values():
        known.remove(engine, ref)


@pytest.fixture(scope="module")
def strange(
    engine: DockerEngine, platform: Platform, progress: Progress
) -> Iterator[Callable[[str], str]]:
    """Builds what somebody else wrote; skips where its packages cannot be had."""
    base = ensure_base(platform, engine, progress).ref
    made: list[str] = []

    @functools.cache
    def build(name: str) -> str:
        try:
            made.append(strangers.build(engine, name, {"BASE": base}))
        except strangers.OfflineError as why:
            pytest.skip(str(why))
        return made[-1]

    yield build
    for ref in made:
        known.remove(engine, ref)
