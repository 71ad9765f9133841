"""Several clients at once, and what /ping and new connections take meanwhile."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lab.contract.running import calls
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


class Clients:
    """Clients that ask, each again as soon as it is answered, until they are stopped."""

    def __init__(
        self,
        address: tuple[str, int],
        prepared: bytes,
        *,
        count: int,
        timeout_s: float = calls.INVOCATION_LIMIT_S,
    ) -> None:
        self.answers: list[HttpCall] = []
        self._timeout_s = timeout_s
        self._address = address
        self._prepared = prepared
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, daemon=True, name=f"client-{number}")
            for number in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more, and wait for the answers that are under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            answer = calls.call(self._address, self._prepared, timeout_s=self._timeout_s)
            self.answers.append(answer)
            if answer.status is None:
                # A server that is gone refuses at once: no need to ask a thousand times.
                self._stop.wait(0.05)


def under_load(running: Running, prepared: bytes, *, seconds: float) -> PingLoad:
    """Invoke from several clients, and ask /ping beside them, for so long."""
    load = PingLoad(clients=CLIENTS)
    clients = Clients(
        running.address,
        prepared,
        count=CLIENTS,
        timeout_s=calls.INVOCATION_LIMIT_S * running.patience,
    )
    begin = time.monotonic()
    clients.start()
    try:
        while time.monotonic() - begin < seconds:
            load.pings.append(running.ping(timeout_s=_PATIENCE_S))
            time.sleep(_PING_EVERY_S)
    finally:
        clients.stop()
    load.seconds = time.monotonic() - begin
    load.invocations = clients.answers
    return load
