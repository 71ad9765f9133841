"""Several clients at once, and what /ping and new connections take meanwhile."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final

from lab.contract.running import calls
from lab.contract.running.calls import HttpCall
from lab.contract.running.container import CheckPayload, Running, cause_of_death
from lab.contract.running.session import Session, once
from lab.load.clients import ClosedLoop, Load
from lab.start.cause import Cause

CLIENTS: Final = 8
_PING_EVERY_S: Final = 0.1
_PATIENCE_S: Final = 10.0
_LOAD_S: Final = 5.0
_QUICK_LOAD_S: Final = 2.0


@dataclass(kw_only=True)
class PingLoad:
    """What was seen under load."""

    clients: int
    seconds: float = 0.0
    invocations: list[HttpCall] = field(default_factory=list)
    pings: list[HttpCall] = field(default_factory=list)
    death: Cause | None = None
    """What the container died of meanwhile, if it did."""

    @property
    def connections(self) -> Sequence[HttpCall]:
        """Every call that had to connect."""
        return [*self.invocations, *self.pings]


def clients(
    running: Running, prepared: bytes, *, count: int, requests: int | None = None
) -> Load[HttpCall]:
    """Clients that ask, each request on a connection of its own: so many requests, or until they
    are stopped.
    """
    return Load(
        lambda: nullcontext(lambda: running.call(prepared)),
        ClosedLoop(clients=count, requests=requests),
        # A server that is gone refuses at once: no need to ask a thousand times.
        pause_s=lambda answer: 0.05 if answer.status is None else 0.0,
    )


def together(running: Running, sample: CheckPayload, *, requests: int) -> Sequence[HttpCall]:
    """So many requests from several clients at once."""
    prepared = calls.post(sample.body, sample.content_type)
    with clients(running, prepared, count=CLIENTS, requests=requests) as load:
        load.wait()
    return load.results


def under_load(running: Running, prepared: bytes, *, seconds: float) -> PingLoad:
    """Invoke from several clients, and ask /ping beside them, for so long."""
    seen = PingLoad(clients=CLIENTS)
    end = time.monotonic() + seconds
    with clients(running, prepared, count=CLIENTS) as load:
        while time.monotonic() < end:
            seen.pings.append(running.ping(timeout_s=_PATIENCE_S))
            time.sleep(_PING_EVERY_S)
    seen.seconds = load.seconds
    seen.invocations = list(load.results)
    return seen


@once
def loaded(session: Session) -> PingLoad:
    """The load that several rules judge. Raises ``CannotTry`` where there is nothing to ask."""
    sample, base = session.sample(), session.base()
    prepared = calls.post(sample.body, sample.content_type)
    seen = under_load(base, prepared, seconds=_QUICK_LOAD_S if session.quick else _LOAD_S)
    if any(one.status is None for one in seen.invocations):
        seen.death = cause_of_death(base.container, "under load")
    return seen
