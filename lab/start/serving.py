"""A container that serves: started, waited for, and gone at the end of the block."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from lab.engine.api import Container, ContainerSpec, Engine
from lab.engine.interrupt import uninterrupted
from lab.errors import ContainerFailedError, EngineError
from lab.start.cause import Cause, not_ready, not_started
from lab.start.probe import probe
from lab.start.watch import StartWatch

_PROBE_S: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Served:
    """A container whose ``/ping`` has answered 200, and where it is reached."""

    container: Container
    address: tuple[str, int]


@contextmanager
def serving(
    engine: Engine,
    spec: ContainerSpec,
    *,
    within_s: float,
    waiting: Callable[[float], None] = lambda _: None,
) -> Iterator[Served]:
    """Make a container, start it and wait until it is ready; remove it whatever happens.

    ``spec``'s labels must be this container's alone. ``waiting`` is told, while it starts, for how
    many seconds. Raises ``ContainerFailedError`` with its last log lines.
    """
    try:
        container = engine.create(spec)
        address = _ready(container, spec.image, within_s, waiting)
        yield Served(container=container, address=address)
    finally:
        # By its labels: Ctrl-C may have come before the container was known here.
        with uninterrupted():
            for left in engine.containers(spec.labels):
                left.remove()


def failed(image: str, cause: Cause) -> ContainerFailedError:
    """The error that tells a cause with what the container said last."""
    return ContainerFailedError(
        f"{image}: {cause.message}\n{cause.log_tail}".rstrip(),
        remedy=f"Try its start: `lab contract check {image} --only serve`.",
    )


def _ready(
    container: Container, image: str, within_s: float, waiting: Callable[[float], None]
) -> tuple[str, int]:
    begun = time.monotonic()
    try:
        container.start()
        address = container.address()
    except EngineError as error:
        raise failed(image, not_started(container, error)) from error
    with StartWatch(container) as watch:

        def gone() -> bool:
            waiting(time.monotonic() - begun)
            return watch.gone()

        seen = probe(address, interval_s=_PROBE_S, give_up_at=begun + within_s, gone=gone)
    if seen.ready_ns is None:
        raise failed(image, not_ready(container, seen, within_s))
    return address
