"""Watching one container from ``start`` to its second prediction."""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from lab.coldstart import autopsy
from lab.coldstart.autopsy import INVOCATION_TIMEOUT_S, POLL_S
from lab.coldstart.marks import Taking
from lab.coldstart.probe import Probes, probe
from lab.coldstart.prompt import prompt
from lab.coldstart.timeline import Inside, inside_marks
from lab.coldstart.trial import Subject
from lab.engine.api import Container, ContainerState, EngineEvent, Usage
from lab.errors import EngineError
from lab.spec import Mark
from lab.wire import Answer, connect, exchange, request

_REPORT_TIMEOUT_S: Final = 5.0
_LINE_KEY: Final = "lab_startup"
_OK: Final = 200
_REFUSED: Final = 300


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long and how often to ask."""

    probe_interval_s: float
    ready_timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was seen of a container that answered; read after the predictions."""

    inside: Inside | None
    state: ContainerState
    usage: Usage
    events: Sequence[EngineEvent]
    second_prediction_s: float
    probes: Probes

    @property
    def started_event_ns(self) -> int | None:
        """When the engine's event says that it started."""
        return next((event.at_ns for event in self.events if event.action == "start"), None)


def start_and_predict(
    container: Container, subject: Subject, limits: Limits, taking: Taking
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
    answers: list[Answer] = []
    broke: Exception | None = None
    with _Watch(container) as watch, prompt():
        seen = probe(
            address, interval_s=limits.probe_interval_s, give_up_at=give_up_at, gone=watch.gone
        )
        watch.stop()
        if seen.ready_ns is not None:
            try:
                _predict(address, asked, answers, taking)
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
        raise autopsy.no_answer(container, broke, seen) from broke
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


def _predict(address: tuple[str, int], asked: bytes, answers: list[Answer], taking: Taking) -> None:
    taking.mark(Mark.PREDICT_BEGIN)
    answers.append(_ask(address, asked, INVOCATION_TIMEOUT_S))
    taking.predicted()
    if answers[0].status < _REFUSED:
        taking.mark(Mark.SECOND_BEGIN)
        answers.append(_ask(address, asked, INVOCATION_TIMEOUT_S))
        taking.mark(Mark.SECOND_END)


def look_inside(container: Container, probes: Probes, since_ns: int) -> Inside | None:
    """The server's own marks: from ``GET /startup``, else from the line it has logged.

    None for a server that keeps no marks. Marks from before ``since_ns`` are an earlier start's.
    """
    try:
        asked = request("GET", "/startup", host=probes.address[0], headers={"Connection": "close"})
        answer = _ask(probes.address, asked, _REPORT_TIMEOUT_S)
        report = json.loads(answer.body) if answer.status == _OK else None
    except (OSError, ValueError):
        report = None
    found = inside_marks(report)
    return found or logged_marks(container.logs(tail=200), since_ns)


def logged_marks(log: str, since_ns: int) -> Inside | None:
    """The newest start-up line in a log, if it is not older than ``since_ns``."""
    for line in reversed(log.splitlines()):
        begin = line.find("{")
        if _LINE_KEY not in line or begin < 0:
            continue
        try:
            report = json.loads(line[begin:])
        except ValueError:
            continue
        found = inside_marks(report.get(_LINE_KEY)) if isinstance(report, dict) else None
        if found is not None:
            return found if max(found.marks.values()) >= since_ns else None
    return None


def _ask(address: tuple[str, int], asked: bytes, timeout_s: float) -> Answer:
    with connect(address, timeout_s=timeout_s) as connection:
        return exchange(connection, asked)


class _Watch:
    """Asks the engine now and then whether the container still runs."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._done = threading.Event()
        self._gone = False
        self._thread = threading.Thread(target=self._look, daemon=True, name="watch")

    def gone(self) -> bool:
        """Whether it has ended."""
        return self._gone

    def stop(self) -> None:
        """Ask no more, without waiting for a question that is under way."""
        self._done.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(POLL_S):
            try:
                if not self._container.state().running:
                    self._gone = True
            except EngineError:
                # The engine is gone or the container removed: whoever asks next will say so.
                self._gone = True
            if self._gone:
                return
