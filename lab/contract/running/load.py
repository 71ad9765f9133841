"""Several clients at once, and what /ping and new connections take meanwhile."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final

from lab.bench.load import ClosedLoop, Load
from lab.contract.running.calls import HttpCall
from lab.contract.running.session import Running

CLIENTS: Final = 8
_PING_EVERY_S: Final = 0.1
_PATIENCE_S: Final = 10.0


@dataclass(kw_only=True)
class PingLoad:
    """What was seen under load."""

    clients: int
    seconds: float = 0.0
    invocations: list[HttpCall] = field(default_factory=list)
    pings: list[HttpCall] = field(default_factory=list)

    @property
    def connections(self) -> Sequence[HttpCall]:
        """Every call that had to connect."""
        return [*self.invocations, *self.pings]


def clients(running: Running, prepared: bytes, *, count: int) -> Load[HttpCall]:
    """Clients that ask until they are stopped, each request on a connection of its own."""
    return Load(
        lambda: nullcontext(lambda: running.call(prepared)),
        ClosedLoop(clients=count),
        # A server that is gone refuses at once: no need to ask a thousand times.
        pause_s=lambda answer: 0.05 if answer.status is None else 0.0,
    )


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
