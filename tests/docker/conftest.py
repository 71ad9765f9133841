"""The real engine, the real images and the real models, each made at most once a session."""

import fcntl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.artifacts import build, store
from lab.cli.console import ConsoleProgress
from lab.engine.docker.engine import DockerEngine
from lab.engine.emulation.qemu import ensure_runs
from lab.engine.select import open_engine
from lab.images.base import ensure_base
from lab.images.build import ensure
from lab.images.variants import image_ref
from lab.progress import Progress
from lab.spec import Platform
from tests.docker import known

MOBILENET = "retinopathy-mobilenet"
_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Beside each other run modules, never the tests of one: they share what it has started."""
    for item in items:
        if _HERE in item.path.parents and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@contextmanager
def alone(what: str) -> Iterator[None]:
    """While one process makes something, the others wait, and then find it made."""
    with (Path(tempfile.gettempdir()) / f"inference-lab-tests-{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def progress() -> Progress:
    return ConsoleProgress()


@pytest.fixture(scope="session")
def engine(progress: Progress) -> Iterator[DockerEngine]:
    with alone("engine"):
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
        with alone("images"):
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
        with alone("images"):
            ensure([target], platform=foreign, engine=engine, progress=progress)
        return image_ref(target, foreign)

    return build_one


@pytest.fixture(scope="session")
def mobilenet(engine: DockerEngine, progress: Progress) -> str:
    """The name of a model that is built."""
    with alone("models"):
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
