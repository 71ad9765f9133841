"""Watching one container from ``start`` to its second prediction, and asking what it went through.

What goes wrong on the way is a ``TrialFailed`` that tells all that is known of it.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Self

from lab.coldstart.checks import ProcessIdentity
from lab.coldstart.record import Failure, FailureKind
from lab.coldstart.trial import Subject, TrialFailed, TrialRecorder
from lab.engine.api import Container, ContainerState, EngineEvent, Usage
from lab.errors import EngineError
from lab.spec import Mark
from lab.start import cause
from lab.start.asking import AskingPatience, ask_until_good, cpu_seconds
from lab.start.boot import BootWatch
from lab.start.firstrequest import LOAD_FIRST
from lab.start.inside import logged_marks, look_inside, started_ns
from lab.start.priority import raised_priority
from lab.start.probe import Probes, probe
from lab.start.timeline import Inside
from lab.start.watch import POLL_S, StartWatch
from lab.units import format_seconds
from lab.wire import Response, connect, exchange, request

INVOCATION_TIMEOUT_S: Final = 60.0
"""SageMaker's limit for ``/invocations``."""

_BODY_EXCERPT: Final = 500

_LATE_S: Final = 10.0
"""How long a server that answers 5xx right after its first 200 is asked again without a sign that
it still loads."""


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

    identity: ProcessIdentity
    inside: Inside | None
    usage: Usage
    second_prediction_s: float
    probes: Probes


def observe(
    container: Container,
    subject: Subject,
    recorder: TrialRecorder,
    limits: Limits,
    *,
    process: bool,
    offset_ns: int,
) -> Observed:
    """Start a container, predict twice, then ask whoever knows something about it.

    ``process``: it is a plain process, which has no start of its own. ``offset_ns`` is by how much
    the engine's clock is ahead of ours. Raises ``TrialFailed``.
    """
    seen = BootWatch(container_id=container.id)
    try:
        probes = _start_and_predict(container, subject, recorder, limits, seen)
    except TrialFailed:
        _read_logged_marks(container, recorder, offset_ns)
        raise
    marks = recorder.marks
    seen.list_processes()
    begin_ns = marks[Mark.START_BEGIN]
    inside = look_inside(container, probes, begin_ns + offset_ns)
    usage = container.usage()
    inside = None if inside is None else inside.shifted(-offset_ns)
    state = container.state()
    events = container.events(begin_ns + offset_ns)
    marks[Mark.STARTED] = (
        begin_ns if process else _started_ns(state, events, inside, offset_ns=offset_ns)
    )
    if inside is not None:
        marks |= inside.marks
    else:
        recorder.boot = seen.boot(
            probes, started_ns=marks[Mark.STARTED], ready_ns=marks[Mark.READY]
        )
    return Observed(
        identity=ProcessIdentity(
            container_id=container.id,
            pid=state.pid,
            started_ns=state.started_at_ns,
            process_ns=None if inside is None else inside.process_ns,
        ),
        inside=inside,
        usage=usage,
        second_prediction_s=(marks[Mark.SECOND_END] - marks[Mark.SECOND_BEGIN]) / 1e9,
        probes=probes,
    )


def _start_and_predict(
    container: Container,
    subject: Subject,
    recorder: TrialRecorder,
    limits: Limits,
    boot: BootWatch,
) -> Probes:
    """Start a container, probe it until it is ready, and ask for two predictions at once.

    Nothing but the lab's own few instructions lies between ``/ping`` 200 and the first invocation.
    """
    invocation = request(
        "POST",
        "/invocations",
        host="localhost",
        body=subject.payload,
        headers={"Content-Type": subject.content_type, "Accept": "*/*", "Connection": "close"},
    )
    if Mark.START_BEGIN not in recorder.marks:
        recorder.mark(Mark.START_BEGIN)
    try:
        container.start()
        address = container.address()
    except EngineError as error:
        raise TrialFailed(Failure.from_cause(cause.not_started(container, error))) from error
    give_up_at = time.monotonic() + limits.ready_timeout_s
    answers: list[Response] = []
    broke: Exception | None = None
    with StartWatch(container, boot) as watch, raised_priority():
        probes = probe(
            address, interval_s=limits.probe_interval_s, give_up_at=give_up_at, gone=watch.gone
        )
        watch.stop()
        if probes.ready_ns is not None:
            try:
                _predict(address, invocation, answers, recorder, limits.invocation_timeout_s)
            except (OSError, ValueError) as error:
                broke = error
    if probes.accepting_ns is not None:
        recorder.marks[Mark.ACCEPTING] = probes.accepting_ns
    if probes.ready_ns is None:
        why = cause.not_ready(container, probes, limits.ready_timeout_s)
        raise TrialFailed(Failure.from_cause(why))
    recorder.marks[Mark.READY] = probes.ready_ns
    refused = next((answer for answer in answers if not _good(answer)), None)
    if refused is not None:
        which = ("first", "second")[answers.index(refused)]
        body = " ".join(_excerpt(refused).split()) or "(no body)"
        said = f"The {which} invocation was answered {refused.status}: {body}"
        late_s = _late_s(refused, container, address, invocation, limits)
        if late_s is not None:
            raise TrialFailed(_too_early(container, said, late_s, probes))
        raise TrialFailed(_invocation_failure(container, said, probes))
    if broke is not None:
        raise TrialFailed(_no_answer(container, broke, probes, limits)) from broke
    recorder.evidence["answer"] = _excerpt(answers[0])
    return probes


def _predict(
    address: tuple[str, int],
    invocation: bytes,
    answers: list[Response],
    recorder: TrialRecorder,
    timeout_s: float,
) -> None:
    recorder.mark(Mark.PREDICT_BEGIN)
    answers.append(_invoke(address, invocation, timeout_s))
    recorder.predicted()
    if _good(answers[0]):
        recorder.mark(Mark.SECOND_BEGIN)
        answers.append(_invoke(address, invocation, timeout_s))
        recorder.mark(Mark.SECOND_END)


def _invoke(address: tuple[str, int], invocation: bytes, timeout_s: float) -> Response:
    with connect(address, timeout_s=timeout_s) as connection:
        return exchange(connection, invocation)


def _good(answer: Response) -> bool:
    return 200 <= answer.status < 300


def _excerpt(answer: Response) -> str:
    return answer.body[:_BODY_EXCERPT].decode(errors="replace")


def _no_answer(container: Container, error: Exception, probes: Probes, limits: Limits) -> Failure:
    """An invocation broke off: the container may have died of it."""
    time.sleep(POLL_S)  # a dying container is still running when its connection breaks
    died = cause.death(
        container, "during the first predictions", last_ping_status=probes.last_status
    )
    if died is not None:
        return Failure.from_cause(died)
    said = str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        said = f"no answer within {limits.invocation_timeout_s:g} s"
    return _invocation_failure(container, f"An invocation failed: {said}", probes)


def _invocation_failure(container: Container, message: str, probes: Probes) -> Failure:
    log, found = cause.logged(container)
    return Failure(
        kind=FailureKind.INVOCATION,
        message=message if found is None else f"{message}; its log shows why: {found.words}",
        last_ping_status=probes.last_status,
        log_tail=log,
        cause="" if found is None else found.kind,
        cure="" if found is None else found.cure,
    )


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What came of asking once more."""

    status: int | None = None
    good: bool = False
    late: bool = False


def _late_s(
    refused: Response,
    container: Container,
    address: tuple[str, int],
    invocation: bytes,
    limits: Limits,
) -> float | None:
    """After how many seconds a server that answered 5xx does answer; None if it goes on so."""
    if refused.status < 500:
        return None

    def ask() -> _Asked:
        try:
            answer = _invoke(address, invocation, limits.invocation_timeout_s)
        except TimeoutError:
            return _Asked(late=True)
        except (OSError, ValueError):
            return _Asked()
        return _Asked(status=answer.status, good=_good(answer))

    begin = time.monotonic()
    answers = ask_until_good(
        ask,
        AskingPatience(loading_s=limits.ready_timeout_s, steady_s=_LATE_S),
        cpu_s=lambda: cpu_seconds(container),
        alive=lambda: container.state().running,
    )
    return time.monotonic() - begin if answers[-1].good else None


def _too_early(container: Container, said: str, late_s: float, probes: Probes) -> Failure:
    return Failure(
        kind=FailureKind.TOO_EARLY,
        message=f"{said}; {format_seconds(late_s)} later it was answered well: /ping said 200 "
        "before the model was loaded",
        last_ping_status=probes.last_status,
        log_tail=cause.logged(container)[0],
        cure=LOAD_FIRST,
    )


def _started_ns(
    state: ContainerState, events: Sequence[EngineEvent], inside: Inside | None, *, offset_ns: int
) -> int:
    found = started_ns(state, events, inside, offset_ns=offset_ns)
    if found is None:
        raise TrialFailed.of(FailureKind.ENGINE, "The engine does not say when it started.")
    return found


def _read_logged_marks(container: Container, recorder: TrialRecorder, offset_ns: int) -> None:
    """The marks of a container that did not get there, from its log."""
    begin_ns = recorder.marks[Mark.START_BEGIN]
    with suppress(EngineError):
        state = container.state()
        inside = logged_marks(container.logs(tail=200), begin_ns + offset_ns)
        times = [] if state.started_at_ns is None else [state.started_at_ns]
        if inside is not None:
            recorder.marks |= inside.shifted(-offset_ns).marks
            times.append(inside.marks[Mark.INTERPRETER])
        if times and min(times) - offset_ns >= begin_ns:
            recorder.marks[Mark.STARTED] = min(times) - offset_ns
