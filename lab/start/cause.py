"""Why a container did not get ready, or has ended: exit code, OOM or not, what its log shows."""

import re
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from lab.engine.api import Container
from lab.errors import EngineError
from lab.spec import MODEL_DIR
from lab.start.explain import Explanation, Known, excerpt, explain
from lab.start.probe import Probes

LOG_LINES: Final = 2000
"""How far back an error is looked for: behind a front server, each probe that meets no worker
leaves two lines."""

EXEC_FORMAT_ERROR: Final = "exec format error"
"""The kernel's words for a program of another processor."""

_IMAGE_S_FAULT: Final = ("OCI runtime create failed", "exec:", EXEC_FORMAT_ERROR)
"""In an engine's refusal to start a container: the image names no program that can run."""

_ENGINE_S_WORDS: Final = re.compile(r"^The engine refused: .*?(?=exec: )")
"""Of those only the runtime's last ones say anything."""


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
    """One line, which names the real error where that is known."""
    exit_code: int | None = None
    last_ping_status: int | None = None
    log: str = ""
    """What its log shows: the error first, then its last lines, without the lab's requests."""
    explanation: Explanation | None = None
    """None of a container that lives, where nothing in its log looks like an error."""

    @property
    def cure(self) -> str:
        """What to change, imperative; empty where that is not known."""
        return "" if self.explanation is None else self.explanation.cure


def logged(container: Container, *, since_ns: int = 0) -> tuple[str, Explanation | None]:
    """What to show of the log of one that lives, and the error in it, if there is one."""
    log = _log(container, since_ns)
    found = explain(log, known=_known(container))
    return excerpt(log, found), found


def errors_of(container: Container) -> tuple[Explanation | None, str]:
    """Of a container that lives: the error that its log shows, if one does, and what to show."""
    log, known = _log(container), _known(container)
    # What stands before a request that was answered well may be why others are not: /ping says
    # little of the model.
    found = explain(log, known=known) or explain(excerpt(log), known=known)
    return found, excerpt(log, found)


def not_started(container: Container, error: EngineError, *, since_ns: int = 0) -> Cause:
    """The engine did not start it, or it was gone before it could be found.

    An image that cannot run is told from an engine that fails.
    """
    died = death(container, "at once", since_ns=since_ns)
    if died is not None:
        return died
    image = any(sign in error.what for sign in _IMAGE_S_FAULT)
    log = _log(container)
    found = explain(log, refusal=error.what) if image else None
    said = _ENGINE_S_WORDS.sub("", error.what)
    return Cause(
        kind=CauseKind.EARLY_EXIT if image else CauseKind.ENGINE,
        message="The container could not be started: "
        + (said if found is None else f"{found.what} ({said.rstrip('.')})."),
        log=excerpt(log, found),
        explanation=found,
    )


def not_ready(container: Container, seen: Probes, timeout_s: float, *, since_ns: int = 0) -> Cause:
    """The probes gave up: it died, or never answered 200."""
    when = "before it was ready"
    died = death(container, when, last_ping_status=seen.last_status, since_ns=since_ns)
    if died is not None:
        return died
    log, found = logged(container, since_ns=since_ns)
    return Cause(
        kind=CauseKind.NEVER_READY,
        message=with_error(f"Not ready within {timeout_s:g} s: {seen.last_answer}", found),
        last_ping_status=seen.last_status,
        log=log,
        explanation=found,
    )


def with_error(seen: str, found: Explanation | None) -> str:
    """What was seen of a container that lives, and the error that its log shows."""
    return f"{seen}." if found is None else f"{seen}; its log shows why: {found.words}."


def death(
    container: Container, when: str, *, last_ping_status: int | None = None, since_ns: int = 0
) -> Cause | None:
    """Why the container is gone, or lost a process for lack of memory; None if it lives well.

    ``since_ns``, by the engine's clock, leaves out what earlier starts of it logged.
    """
    state = container.state()
    killed = state.oom_killed or (
        state.started_at_ns is not None
        and any(event.action == "oom" for event in container.events(state.started_at_ns))
    )
    if state.started_at_ns is None or (state.running and not killed):
        return None
    code = "" if state.exit_code is None else f" with code {state.exit_code}"
    log = _log(container, since_ns)
    found = explain(log, exit_code=state.exit_code, oom_killed=killed, known=_known(container))
    if killed:
        gone = " and was killed" if not state.running else ""
        message = f"The container ran out of memory{gone} {when}{code}."
    else:
        why = "" if found is None else f": {found.words.rstrip('.')}"
        message = f"The container exited {when}{code}{why}."
    return Cause(
        kind=CauseKind.OOM if killed else CauseKind.EARLY_EXIT,
        message=message,
        exit_code=state.exit_code,
        last_ping_status=last_ping_status,
        log=excerpt(log, found),
        explanation=found,
    )


def _log(container: Container, since_ns: int = 0) -> str:
    try:
        return container.logs(tail=LOG_LINES, since_ns=since_ns)
    except EngineError:
        return ""


def _known(container: Container) -> Known:
    """What the engine can say of it beside its log."""

    def head(path: str) -> bytes:
        try:
            return container.head(path)
        except EngineError:
            return b""

    files, free = None, None
    with suppress(EngineError):
        files = container.mounted(MODEL_DIR)
        free = container.disk_free()
    return Known(model_files=files, disk_free_bytes=free, head=head)
