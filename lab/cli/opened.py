"""What commands work with: the emulator of ``lab up``, and an engine that has containers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.engine.api import Engine
from lab.engine.docker.engine import DockerEngine
from lab.errors import EngineError

if TYPE_CHECKING:
    from lab.endpoint.client import EmulatorClient


@contextmanager
def emulator() -> Iterator["EmulatorClient"]:
    """The emulator of ``lab up``. Raises ``EndpointError`` when none was started here."""
    from lab.endpoint.client import running  # boto3 takes a third of a second

    with running() as client:
        yield client


def containers_of(engine: Engine, what: str) -> DockerEngine:
    """The engine, if it has containers. Raises ``EngineError`` that begins with ``what``."""
    if isinstance(engine, DockerEngine):
        return engine
    raise EngineError(
        what, remedy="Run `lab doctor`: it says what a container engine needs on this machine."
    )
