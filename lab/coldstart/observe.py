"""Watching one container from ``start`` to its second prediction."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from lab.coldstart import autopsy
from lab.coldstart.autopsy import INVOCATION_TIMEOUT_S
from lab.coldstart.marks import TrialRecorder
from lab.coldstart.trial import Subject
from lab.engine.api import Container, ContainerState, EngineEvent, Usage
from lab.errors import EngineError
from lab.spec import Mark
from lab.start.priority import raised_priority
from lab.start.probe import Probes, probe
from lab.start.timeline import Inside
from lab.start.watch import StartWatch
from lab.wire import Response, connect, exchange, request

_REFUSED: Final = 300


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long and how often to ask."""

    probe_interval_s: float
    ready_timeout_s: float
    invocation_timeout_s: float = INVOCATION_TIMEOUT_S

    def times(self, patience: float) -> Self:
        """The same, but that a container has so many times as long."""
        return replace(
            self,
            ready_timeout_s=self.ready_timeout_s * patience,
            invocation_timeout_s=self.invocation_timeout_s * patience,
        )


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was seen of a container that answered; read after the predictions."""

    inside: Inside | None
    state: ContainerState
    usage: Usage
    events: Sequence[EngineEvent]
    second_prediction_s: float
    probes: Probes


def start_and_predict(
    container: Container, subject: Subject, limits: Limits, taking: TrialRecorder
) -> tuple[Probes, float]:
    """Start a container, probe it until it is ready, and ask for two predictions at once.

    Returns what the probes saw and the second prediction's seconds. Nothing but the lab's own few
    instructions lies between ``/ping`` 200 and the first invocation. Raises ``TrialFailed``.
    """
    asked = _invocation(subject)
    if Mark.START_BEGIN not in taking.marks:
        taking.mark(Mark.START_BEGIN)
    try:
        container.start()
        address = container.address()
    except EngineError as error:
        raise autopsy.not_started(container, error) from error
    give_up_at = time.monotonic() + limits.ready_timeout_s
    answers: list[Response] = []
    broke: Exception | None = None
    with StartWatch(container) as watch, raised_priority():
        seen = probe(
            address, interval_s=limits.probe_interval_s, give_up_at=give_up_at, gone=watch.gone
        )
        watch.stop()
        if seen.ready_ns is not None:
            try:
                _predict(address, asked, answers, taking, limits.invocation_timeout_s)
            except (OSError, ValueError) as error:
                broke = error
    if seen.accepting_ns is not None:
        taking.marks[Mark.ACCEPTING] = seen.accepting_ns
    if seen.ready_ns is None:
        raise autopsy.not_ready(container, seen, limits.ready_timeout_s)
    taking.marks[Mark.READY] = seen.ready_ns
    for which, answer in zip(("first", "second"), answers, strict=False):
        autopsy.check(container, answer, which, seen)
    if broke is not None:
        raise autopsy.no_answer(container, broke, seen, limits.invocation_timeout_s) from broke
    taking.evidence["answer"] = autopsy.excerpt(answers[0])
    return seen, (taking.marks[Mark.SECOND_END] - taking.marks[Mark.SECOND_BEGIN]) / 1e9


def _invocation(subject: Subject) -> bytes:
    return request(
        "POST",
        "/invocations",
        host="localhost",
        body=subject.payload,
        headers={"Content-Type": subject.content_type, "Accept": "*/*", "Connection": "close"},
    )


def _predict(
    address: tuple[str, int],
    asked: bytes,
    answers: list[Response],
    taking: TrialRecorder,
    timeout_s: float,
) -> None:
    taking.mark(Mark.PREDICT_BEGIN)
    answers.append(_ask(address, asked, timeout_s))
    taking.predicted()
    if answers[0].status < _REFUSED:
        taking.mark(Mark.SECOND_BEGIN)
        answers.append(_ask(address, asked, timeout_s))
        taking.mark(Mark.SECOND_END)


def _ask(address: tuple[str, int], asked: bytes, timeout_s: float) -> Response:
    with connect(address, timeout_s=timeout_s) as connection:
        return exchange(connection, asked)
