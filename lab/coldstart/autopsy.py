"""Why a trial's container did not do what was asked: what is known of it, as a failed trial."""

import time
from typing import Final

from lab.coldstart.record import Failure, FailureKind
from lab.coldstart.trial import TrialFailed
from lab.engine.api import Container
from lab.errors import EngineError
from lab.start import cause
from lab.start.cause import Cause, log_tail
from lab.start.probe import Probes
from lab.start.watch import POLL_S
from lab.wire import Response

INVOCATION_TIMEOUT_S: Final = 60.0
"""SageMaker's limit for ``/invocations``."""

_BODY_EXCERPT: Final = 500
_OK: Final = 200
_MULTIPLE_CHOICES: Final = 300


def excerpt(answer: Response) -> str:
    """The beginning of a body, as text."""
    return answer.body[:_BODY_EXCERPT].decode(errors="replace")


def check(container: Container, answer: Response, which: str, probes: Probes) -> None:
    """Raise ``TrialFailed`` with status and body unless an invocation went well."""
    if _OK <= answer.status < _MULTIPLE_CHOICES:
        return
    body = " ".join(excerpt(answer).split())
    raise TrialFailed(
        Failure(
            kind=FailureKind.INVOCATION,
            message=f"The {which} invocation was answered {answer.status}: {body or '(no body)'}",
            last_ping_status=probes.last_status,
            log_tail=log_tail(container),
        )
    )


def no_answer(
    container: Container, error: Exception, probes: Probes, timeout_s: float
) -> TrialFailed:
    """An invocation broke off: the container may have died of it."""
    time.sleep(POLL_S)  # a dying container is still running when its connection breaks
    died = cause.death(
        container, "during the first predictions", last_ping_status=probes.last_status
    )
    if died is not None:
        return _failed(died)
    said = (
        f"no answer within {timeout_s:g} s"
        if isinstance(error, TimeoutError)
        else str(error) or type(error).__name__
    )
    return TrialFailed(
        Failure(
            kind=FailureKind.INVOCATION,
            message=f"An invocation failed: {said}",
            last_ping_status=probes.last_status,
            log_tail=log_tail(container),
        )
    )


def not_started(container: Container, error: EngineError) -> TrialFailed:
    """The engine did not start it, or it was gone before it could be found.

    An image that cannot run is told from an engine that fails: only the latter ends a run.
    """
    return _failed(cause.not_started(container, error))


def not_ready(container: Container, seen: Probes, timeout_s: float) -> TrialFailed:
    """The probes gave up: it died, or never answered 200."""
    return _failed(cause.not_ready(container, seen, timeout_s))


def _failed(of: Cause) -> TrialFailed:
    return TrialFailed(
        Failure(
            kind=FailureKind(of.kind.value),
            message=of.message,
            exit_code=of.exit_code,
            last_ping_status=of.last_ping_status,
            log_tail=of.log_tail,
        )
    )
