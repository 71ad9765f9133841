"""Requests to the running endpoints, from threads, at a pace; counted by what became of them."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from itertools import cycle
from typing import Final, Self

from lab.endpoint.client import EmulatorClient
from lab.errors import EndpointError
from lab.load.clients import ClosedLoop, Load, OpenLoop, paced
from lab.progress import Step

_LOOK_S: Final = 0.25
_AGAIN_S: Final = 0.3
"""Before a client that was turned away tries again."""

Body = tuple[bytes, str]
"""What is sent, and its type."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Requests to one endpoint, one after another from ``bodies``, again and again."""

    endpoint: str
    bodies: Sequence[Body]
    per_s: float
    wrong: Sequence[Body] = ()
    """Bodies that no model can answer: sent in place of every ``wrong_every``-th."""
    wrong_every: int = 25


class Tally:
    """What became of requests."""

    def __init__(self) -> None:
        self.answered = 0
        self.refused = 0
        """Answered with 4xx by the model: what was sent is wrong."""
        self.throttled = 0
        self.failed = 0
        self.last_failure = ""
        self._lock = threading.Lock()

    @property
    def sent(self) -> int:
        return self.answered + self.refused + self.throttled + self.failed

    def count(self, error: EndpointError | None) -> bool:
        """One more; whether it was turned away above ``MaxConcurrency``."""
        with self._lock:
            if error is None:
                self.answered += 1
            elif error.code == "ThrottlingException":
                self.throttled += 1
                return True
            elif error.model_status is not None and 400 <= error.model_status < 500:
                self.refused += 1
            else:
                self.failed += 1
                self.last_failure = error.what
        return False

    def __iadd__(self, other: "Tally") -> Self:
        with self._lock:
            self.answered += other.answered
            self.refused += other.refused
            self.throttled += other.throttled
            self.failed += other.failed
            self.last_failure = other.last_failure or self.last_failure
        return self

    def __str__(self) -> str:
        said = [f"{self.answered} answered"]
        for number, word in (
            (self.refused, "refused"),
            (self.throttled, "throttled"),
            (self.failed, "failed"),
        ):
            if number:
                said.append(f"{number} {word}")
        return ", ".join(said)


class Traffic:
    """Sends. On Ctrl-C nothing more is sent, and what is under way is waited for."""

    def __init__(self, client: EmulatorClient) -> None:
        self._client = client

    def steady(self, streams: Sequence[Stream], seconds: float, step: Step) -> Tally:
        """Every stream at its pace; one whose answers are slower than that sends less."""
        tally = Tally()
        with ExitStack() as stack:
            loads = [
                Load(
                    self._connect(stream.endpoint, _bodies(stream), tally),
                    OpenLoop(instants=paced(stream.per_s)),
                )
                for stream in streams
            ]
            for load in loads:
                stack.enter_context(load)
            for load in loads:
                stack.callback(load.stop)  # all of them, before any is waited for
            wait(seconds, step, tell=lambda: str(tally))
        return tally

    def burst(
        self, endpoint: str, bodies: Sequence[Body], *, clients: int, seconds: float, step: Step
    ) -> Tally:
        """As many clients at once, each sending again as soon as it is answered."""
        tally = Tally()
        client = self._connect(endpoint, cycle(bodies), tally)
        with Load(
            client,
            ClosedLoop(clients=clients),
            pause_s=lambda throttled: _AGAIN_S if throttled else 0.0,
        ):
            wait(seconds, step, tell=lambda: str(tally))
        return tally

    def once(self, endpoint: str, body: Body) -> Tally:
        tally = Tally()
        self._send(endpoint, body, tally)
        return tally

    def _connect(
        self, endpoint: str, bodies: Iterator[Body], tally: Tally
    ) -> Callable[[], AbstractContextManager[Callable[[], bool]]]:
        return lambda: nullcontext(lambda: self._send(endpoint, next(bodies), tally))

    def _send(self, endpoint: str, body: Body, tally: Tally) -> bool:
        """Whether it was turned away above ``MaxConcurrency``."""
        try:
            self._client.invoke(endpoint, *body)
        except EndpointError as error:
            return tally.count(error)
        return tally.count(None)


def wait(seconds: float, step: Step, *, tell: Callable[[], str] = str) -> None:
    """Let the time pass, and say how much of it has and what ``tell`` says."""
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        step.advance(passed, seconds)
        step.detail(tell())
        time.sleep(min(_LOOK_S, seconds - passed))


def _bodies(stream: Stream) -> Iterator[Body]:
    wrong = cycle(stream.wrong)
    for number, body in enumerate(cycle(stream.bodies), 1):
        yield next(wrong) if stream.wrong and number % stream.wrong_every == 0 else body
