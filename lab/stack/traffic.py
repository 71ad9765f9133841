"""Requests to the running endpoints, from threads, at a pace; counted by what became of them."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final, Self, TypeVar

from lab.endpoint.client import EmulatorClient
from lab.errors import EndpointError
from lab.progress import Step

_LOOK_S: Final = 0.25
_END_S: Final = 70.0
"""An invocation may take 60."""
_AGAIN_S: Final = 0.3
"""Before a client that was turned away tries again."""

_T = TypeVar("_T")

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

        def follow(stream: Stream, stop: threading.Event) -> None:
            begin = time.monotonic()
            for number in count():
                late = time.monotonic() - begin - number / stream.per_s
                if stop.wait(max(0.0, -late)):
                    return
                begin += max(0.0, late)
                self._send(stream.endpoint, _body(stream, number), tally)

        return self._during([_bound(follow, one) for one in streams], seconds, tally, step)

    def burst(
        self, endpoint: str, bodies: Sequence[Body], *, clients: int, seconds: float, step: Step
    ) -> Tally:
        """As many clients at once, each sending again as soon as it is answered."""
        tally = Tally()

        def press(first: int, stop: threading.Event) -> None:
            for number in count(first):
                body = bodies[number % len(bodies)]
                again_s = _AGAIN_S if self._send(endpoint, body, tally) else 0.0
                if stop.wait(again_s):
                    return

        return self._during([_bound(press, one) for one in range(clients)], seconds, tally, step)

    def once(self, endpoint: str, body: Body) -> Tally:
        tally = Tally()
        self._send(endpoint, body, tally)
        return tally

    def _send(self, endpoint: str, body: Body, tally: Tally) -> bool:
        try:
            self._client.invoke(endpoint, *body)
        except EndpointError as error:
            return tally.count(error)
        return tally.count(None)

    def _during(
        self,
        work: Sequence[Callable[[threading.Event], None]],
        seconds: float,
        tally: Tally,
        step: Step,
    ) -> Tally:
        with _threads(work):
            wait(seconds, step, tell=lambda: str(tally))
        return tally


def wait(seconds: float, step: Step, *, tell: Callable[[], str] = str) -> None:
    """Let the time pass, and say how much of it has and what ``tell`` says."""
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        step.advance(passed, seconds)
        step.detail(tell())
        time.sleep(min(_LOOK_S, seconds - passed))


@contextmanager
def _threads(work: Sequence[Callable[[threading.Event], None]]) -> Iterator[None]:
    """Threads that are told to stop when the block is left, however it is, and are waited for."""
    stop = threading.Event()
    threads = [threading.Thread(target=one, args=(stop,), daemon=True) for one in work]
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        stop.set()
        deadline = time.monotonic() + _END_S
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))


def _bound(
    follow: Callable[[_T, threading.Event], None], one: _T
) -> Callable[[threading.Event], None]:
    return lambda stop: follow(one, stop)


def _body(stream: Stream, number: int) -> Body:
    if stream.wrong and number % stream.wrong_every == stream.wrong_every - 1:
        return stream.wrong[number // stream.wrong_every % len(stream.wrong)]
    return stream.bodies[number % len(stream.bodies)]
