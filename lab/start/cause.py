"""Why a container did not get ready, or has ended: exit code, OOM or not, its last words."""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from lab.engine.api import Container
from lab.errors import EngineError
from lab.start.probe import Probes

LOG_LINES: Final = 25
EXEC_FORMAT_ERROR: Final = "exec format error"
"""The kernel's words for a program of another processor."""

OTHER_PROCESSOR: Final = (
    "The image is for another processor than this machine's, which takes emulation: see "
    "`lab doctor`."
)
_IMAGE_S_FAULT: Final = ("OCI runtime create failed", "exec:", EXEC_FORMAT_ERROR)
"""In an engine's refusal to start a container: the image names no program that can run."""


@unique
class CauseKind(StrEnum):
    """What kind of thing went wrong."""

    ENGINE = "engine"
    EARLY_EXIT = "early_exit"
    OOM = "oom"
    NEVER_READY = "never_ready"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What went wrong, with what the container left behind."""

    kind: CauseKind
    message: str
    exit_code: int | None = None
    last_ping_status: int | None = None
    log_tail: str = ""


def log_tail(container: Container) -> str:
    """The last lines, or nothing when the engine cannot say."""
    try:
        return container.logs(tail=LOG_LINES)
    except EngineError:
        return ""


def not_started(container: Container, error: EngineError) -> Cause:
    """The engine did not start it, or it was gone before it could be found.

    An image that cannot run is told from an engine that fails.
    """
    died = death(container, "at once")
    if died is not None:
        return died
    hint = ""
    if '"serve"' in error.what:
        hint = (
            " SageMaker starts every container as `docker run IMAGE serve`: give the image an "
            "exec-form ENTRYPOINT, or a program named serve on its PATH."
        )
    elif EXEC_FORMAT_ERROR in error.what:
        hint = f" {OTHER_PROCESSOR}"
    image = any(sign in error.what for sign in _IMAGE_S_FAULT)
    return Cause(
        kind=CauseKind.EARLY_EXIT if image else CauseKind.ENGINE,
        message=f"The container could not be started: {error.what}{hint}",
        log_tail=log_tail(container),
    )


def not_ready(container: Container, seen: Probes, timeout_s: float) -> Cause:
    """The probes gave up: it died, or never answered 200."""
    died = death(container, "before it was ready", last_ping_status=seen.last_status)
    return died or Cause(
        kind=CauseKind.NEVER_READY,
        message=f"Not ready within {timeout_s:g} s: {seen.last_answer}.",
        last_ping_status=seen.last_status,
        log_tail=log_tail(container),
    )


def death(container: Container, when: str, *, last_ping_status: int | None = None) -> Cause | None:
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
        kind = CauseKind.OOM
    else:
        what, kind = "The container exited", CauseKind.EARLY_EXIT
    code = "" if state.exit_code is None else f" with code {state.exit_code}"
    said = log_tail(container)
    hint = f" {OTHER_PROCESSOR}" if EXEC_FORMAT_ERROR in said else ""
    return Cause(
        kind=kind,
        message=f"{what} {when}{code}.{hint}",
        exit_code=state.exit_code,
        last_ping_status=last_ping_status,
        log_tail=said,
    )
