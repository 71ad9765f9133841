"""A container of a check once it is ready: what it is asked, and what it died of."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.contract.running import calls
from lab.contract.running.asking import Warming
from lab.contract.running.calls import HttpCall
from lab.engine.docker.container import DockerContainer
from lab.errors import EngineError
from lab.start.asking import AskingPatience, ask_until_good, cpu_seconds
from lab.start.cause import Cause, death, errors_of
from lab.start.explain import Explanation
from lab.start.probe import Probes

INVOCATION: Final = b"POST /invocations "
"""How a prepared invocation begins."""

_ERROR: Final = 500
_SETTLING_S: Final = 2.0


class CannotTry(Exception):  # noqa: N818 - an outcome
    """A rule cannot be tried on this image, or here."""


class Running:
    """A container that is ready."""

    def __init__(
        self,
        container: DockerContainer,
        address: tuple[str, int],
        *,
        ready_s: float,
        probes: Probes,
        patience: float = 1.0,
        heard: Callable[[bytes, HttpCall], None] = lambda *_: None,
    ) -> None:
        """``heard`` is told of every call: what was sent, and what came of it."""
        self.container = container
        self.address = address
        self.ready_s = ready_s
        """From the order to start to the first 200."""
        self.ready_at = time.monotonic()
        self.probes = probes
        self.patience = patience
        """What every time-out is multiplied by: for an emulated container, that is slow."""
        self.invocations = 0
        """How many it was sent."""
        self._heard = heard

    def ping(self, *, timeout_s: float = 10.0) -> HttpCall:
        """Ask ``/ping``, with more patience than SageMaker has."""
        return self.get("/ping", timeout_s=timeout_s)

    def get(self, path: str, *, timeout_s: float = 10.0, method: str = "GET") -> HttpCall:
        """Ask for a path on a connection of its own."""
        return self.call(calls.get(path, method=method), timeout_s=timeout_s)

    def invoke(
        self,
        body: bytes,
        content_type: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = calls.INVOCATION_LIMIT_S,
    ) -> HttpCall:
        """Ask for one prediction on a connection of its own."""
        return self.call(calls.post(body, content_type, headers=headers), timeout_s=timeout_s)

    def predict(
        self, sample: "CheckPayload", *, headers: Mapping[str, str] | None = None
    ) -> HttpCall:
        """Ask for a prediction that the server is known to answer."""
        return self.invoke(sample.body, sample.content_type, headers=headers)

    def call(self, prepared: bytes, *, timeout_s: float = calls.INVOCATION_LIMIT_S) -> HttpCall:
        """Send what was prepared on a connection of its own."""
        answer = calls.call(self.address, prepared, timeout_s=timeout_s * self.patience)
        self.invocations += prepared.startswith(INVOCATION)
        self._heard(prepared, answer)
        return answer

    def alive(self) -> bool:
        try:
            return self.container.state().running
        except EngineError:
            return False

    def until_good(
        self, body: bytes, content_type: str, patience: AskingPatience
    ) -> Sequence[HttpCall]:
        """Ask until it is answered well, as long as there is hope that it will be."""
        return ask_until_good(
            lambda: self.invoke(body, content_type),
            patience,
            cpu_s=lambda: cpu_seconds(self.container),
            alive=self.alive,
        )


@dataclass(frozen=True, kw_only=True)
class CheckPayload:
    """A request that the server answers with 2xx."""

    body: bytes
    content_type: str
    first: HttpCall
    """The first good answer, which may have taken longer than any other."""
    answer: HttpCall
    """What a warm server answers."""
    warming: Warming
    """What it answered before that."""


class NotAnswered(CannotTry):
    """The payload is not answered well: ``invocation`` says so, and what needs it is skipped."""

    def __init__(self, answers: Sequence[HttpCall], container: DockerContainer) -> None:
        self.answers = answers
        self.death = cause_of_death(container, "at an invocation")
        self.shown, self.log = _shown(self.death, answers[-1], container)
        """The error that the log shows, and the log."""
        what = "the payload is not answered well" if not self.death else "it dies at an invocation"
        super().__init__(f"{what}: see invocation")


def _shown(
    death: Cause | None, answer: HttpCall, container: DockerContainer
) -> tuple[Explanation | None, str]:
    if death is not None:
        return death.explanation, death.log
    if answer.status is None or answer.status >= _ERROR:
        return errors_of(container)
    return None, ""


@dataclass(frozen=True, kw_only=True)
class LargestAnswer:
    """The largest answer to an invocation in the whole check."""

    asked_bytes: int = 0
    """Of the request, with its headers."""
    said_bytes: int = 0


def died(container: DockerContainer) -> str:
    """Why a container is gone, in words; empty if it lives."""
    cause = cause_of_death(container, "after this")
    return "" if cause is None else cause.message


def cause_of_death(container: DockerContainer, when: str) -> Cause | None:
    """Why a container is gone; None if it lives.

    The engine hears of a death a little later than its clients: one that does not answer is given
    the time.
    """
    give_up_at = time.monotonic() + _SETTLING_S
    while True:
        cause = death(container, when)
        if cause is not None or time.monotonic() >= give_up_at or _answers(container):
            return cause
        time.sleep(_SETTLING_S / 20)


def _answers(container: DockerContainer) -> bool:
    try:
        address = container.address()
    except EngineError:
        return False
    return calls.call(address, calls.get("/ping"), timeout_s=_SETTLING_S).status is not None
