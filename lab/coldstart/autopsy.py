"""Why a container did not do what was asked: exit code, OOM or not, its last words."""

import time
from typing import Final

from lab.coldstart.probe import Probes
from lab.coldstart.record import Failure, FailureKind
from lab.coldstart.trial import TrialFailed
from lab.engine.api import Container
from lab.errors import EngineError
from lab.wire import Answer

POLL_S: Final = 0.25
"""How often the engine is asked whether the container still runs: gently, since each question
takes the engine a millisecond of processor time that the container could have used."""

INVOCATION_TIMEOUT_S: Final = 60.0
"""SageMaker's limit for ``/invocations``."""

LOG_LINES: Final = 25
_BODY_EXCERPT: Final = 500
_IMAGE_S_FAULT: Final = ("OCI runtime create failed", "exec:", "exec format error")
"""In an engine's refusal to start a container: the image names no program that can run."""

_OK: Final = 200
_MULTIPLE_CHOICES: Final = 300


def log_tail(container: Container) -> str:
    """The last lines, or nothing when the engine cannot say."""
    try:
        return container.logs(tail=LOG_LINES)
    except EngineError:
        return ""


def excerpt(answer: Answer) -> str:
    """The beginning of a body, as text."""
    return answer.body[:_BODY_EXCERPT].decode(errors="replace")


def check(container: Container, answer: Answer, which: str, probes: Probes) -> None:
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


def no_answer(container: Container, error: Exception, probes: Probes) -> TrialFailed:
    """An invocation broke off: the container may have died of it."""
    time.sleep(POLL_S)  # a dying container is still running when its connection breaks
    died = _death(container, "during the first predictions")
    if died is not None:
        return TrialFailed(died.model_copy(update={"last_ping_status": probes.last_status}))
    said = (
        f"no answer within {INVOCATION_TIMEOUT_S:g} s"
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
    died = _death(container, "at once")
    if died is not None:
        return TrialFailed(died)
    hint = ""
    if '"serve"' in error.what:
        hint = (
            " SageMaker starts every container as `docker run IMAGE serve`: give the image an "
            "exec-form ENTRYPOINT, or a program named serve on its PATH."
        )
    elif "exec format error" in error.what:
        hint = " The image is for another processor than this machine's."
    image = any(sign in error.what for sign in _IMAGE_S_FAULT)
    return TrialFailed(
        Failure(
            kind=FailureKind.EARLY_EXIT if image else FailureKind.ENGINE,
            message=f"The container could not be started: {error.what}{hint}",
            log_tail=log_tail(container),
        )
    )


def not_ready(container: Container, seen: Probes, timeout_s: float) -> TrialFailed:
    """The probes gave up: it died, or never answered 200."""
    died = _death(container, "before it was ready")
    if died is not None:
        return TrialFailed(died.model_copy(update={"last_ping_status": seen.last_status}))
    return TrialFailed(
        Failure(
            kind=FailureKind.NEVER_READY,
            message=f"Not ready within {timeout_s:g} s: {seen.seen()}.",
            last_ping_status=seen.last_status,
            log_tail=log_tail(container),
        )
    )


def _death(container: Container, when: str) -> Failure | None:
    """Why the container is gone, or lost a process for lack of memory; None if it lives well."""
    state = container.state()
    killed = state.oom_killed or (
        state.started_at_ns is not None
        and any(event.action == "oom" for event in container.events(state.started_at_ns))
    )
    if state.started_at_ns is None or (state.running and not killed):
        return None
    if killed:
        what = "The container ran out of memory" + (" and was killed" if not state.running else "")
        kind = FailureKind.OOM
    else:
        what, kind = "The container exited", FailureKind.EARLY_EXIT
    code = "" if state.exit_code is None else f" with code {state.exit_code}"
    return Failure(
        kind=kind,
        message=f"{what} {when}{code}.",
        exit_code=state.exit_code,
        log_tail=log_tail(container),
    )
