"""An emulator per module, on the real engine, with a model container that obeys its requests."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from lab.endpoint.emulator import STORE_FILE
from lab.endpoint.store import SqliteStore
from lab.engine.docker import clean
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.held import hold
from lab.images.base import ensure_base
from lab.progress import Progress
from lab.spec import Platform
from tests.docker import known
from tests.docker.endpoint.site import BUCKET, Emulator, Site

_SERVER = Path(__file__).parent / "model_server.py"

Build = Callable[[int], str]
"""Builds a tag anew, with that version in its environment; its name."""


@pytest.fixture(scope="session")
def obedient(engine: DockerEngine, platform: Platform, progress: Progress) -> Iterator[str]:
    """An image that runs ``model_server.py``."""
    base = ensure_base(platform, engine, progress).ref
    # A name of its own: other test processes make and remove theirs meanwhile.
    ref = known.make(engine, base, f"obedient-{secrets.token_hex(4)}", server=_SERVER)
    yield ref
    known.remove(engine, ref)


@pytest.fixture
def build(engine: DockerEngine, obedient: str) -> Iterator[Build]:
    name = f"drift-{secrets.token_hex(4)}"
    ref = ""

    def built(number: int) -> str:
        nonlocal ref
        ref = known.make(engine, obedient, name, {"VERSION": str(number)}, server=_SERVER)
        return ref

    yield built
    known.remove(engine, ref)


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """moto's server: every key as it was written, in memory."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def network(engine: DockerEngine) -> Iterator[str]:
    """One that no other process starts containers in: an address is given away anew at once, and
    what a test sends late to a container that is gone would reach another's.
    """
    name = f"inference-lab-test-{secrets.token_hex(4)}"
    engine.ensure_network(name)
    yield name
    assert not clean.remove_stores(engine, networks=[name], volumes=[])


@pytest.fixture(scope="module")
def env() -> Mapping[str, str]:
    """What else a module's emulator is told."""
    return {}


@pytest.fixture(scope="module")
def emulator(
    engine: DockerEngine,
    s3_url: str,
    network: str,
    env: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Emulator]:
    one = Emulator(
        state=tmp_path_factory.mktemp("emulator") / "state",
        engine=engine.address,
        s3=s3_url,
        network=network,
        env=env,
    )
    one.client("s3").create_bucket(Bucket=BUCKET)
    one.start()
    yield one
    assert one.stop() == 0, one.log.read_text()
    let_go(engine, one)


def let_go(engine: DockerEngine, emulator: Emulator) -> None:
    """Of the images that endpoints were deployed with which no test has deleted."""
    store = SqliteStore(emulator.state / STORE_FILE)
    hold(engine, store.identity(), ())
    store.close()


@pytest.fixture(scope="module")
def site(emulator: Emulator, obedient: str) -> Site:
    return Site(emulator, obedient)
