"""A container that serves: started, waited for, and gone at the end of the block."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from lab.engine.api import Container, ContainerSpec, Engine
from lab.engine.docker.owned import of_this_process, remove_owned
from lab.engine.interrupt import uninterrupted
from lab.errors import ContainerFailedError, EngineError
from lab.start.cause import Cause, death, logged, not_ready, not_started
from lab.start.priority import raised_priority
from lab.start.probe import probe
from lab.start.watch import StartWatch
from lab.wire import connect, exchange, request

_PROBE_S: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Served:
    """A container whose ``/ping`` has answered 200, and where it is reached."""

    image: str
    container: Container
    address: tuple[str, int]

    def invoke(
        self, body: bytes, content_type: str, *, accept: str, name: str, timeout_s: float
    ) -> bytes:
        """The answer to one request, on a connection of its own; ``name`` is the request's.

        Raises ``ContainerFailedError`` with what it was answered, or why it died.
        """
        headers = {"Content-Type": content_type, "Accept": accept, "Connection": "close"}
        prepared = request("POST", "/invocations", host=self.address[0], body=body, headers=headers)
        try:
            with connect(self.address, timeout_s=timeout_s) as connection:
                answer = exchange(connection, prepared)
        except (OSError, ValueError) as error:
            cause = death(self.container, f"at {name}")
            if cause is not None:
                raise _failed(self.image, cause) from error
            log, _ = logged(self.container)
            raise ContainerFailedError(
                f"{self.image} did not answer to {name}: {error}\n{log}".rstrip(),
                remedy="Check it with `lab contract check`.",
            ) from error
        if answer.status != 200:
            raise ContainerFailedError(
                f"{self.image} answered {answer.status} to {name}: "
                f"{answer.body[:300].decode(errors='replace')}",
                remedy="Send what the model understands, with --payload.",
            )
        return answer.body


@contextmanager
def serving(
    engine: Engine,
    spec: ContainerSpec,
    *,
    within_s: float,
    interval_s: float = _PROBE_S,
    waiting: Callable[[float], None] = lambda _: None,
) -> Iterator[Served]:
    """Make a container, start it and wait until it is ready; remove it whatever happens.

    ``spec``'s labels must be this container's alone. It is asked every ``interval_s`` whether it
    is ready; ``waiting`` is told, while it starts, for how many seconds. Raises
    ``ContainerFailedError`` with its last log lines.
    """
    spec = replace(spec, labels={**spec.labels, **of_this_process()})
    try:
        container = engine.create(spec)
        address = _ready(container, spec.image, within_s, interval_s, waiting)
        yield Served(image=spec.image, container=container, address=address)
    finally:
        # By its labels: Ctrl-C may have come before the container was known here.
        with uninterrupted():
            left = remove_owned(engine, spec.labels)
        if left:
            raise EngineError(" ".join(left))


def _failed(image: str, cause: Cause) -> ContainerFailedError:
    """The error that tells a cause with what the container said last."""
    return ContainerFailedError(
        f"{image}: {cause.message}\n{cause.log}".rstrip(),
        remedy=f"{cause.cure} Try its start: `lab contract check {image} --only serve`.".strip(),
    )


def _ready(
    container: Container,
    image: str,
    within_s: float,
    interval_s: float,
    waiting: Callable[[float], None],
) -> tuple[str, int]:
    begun = time.monotonic()
    try:
        container.start()
        address = container.address()
    except EngineError as error:
        raise _failed(image, not_started(container, error)) from error
    with StartWatch(container) as watch, raised_priority():

        def gone() -> bool:
            waiting(time.monotonic() - begun)
            return watch.gone()

        seen = probe(address, interval_s=interval_s, give_up_at=begun + within_s, gone=gone)
    if seen.ready_ns is None:
        raise _failed(image, not_ready(container, seen, within_s))
    return address
