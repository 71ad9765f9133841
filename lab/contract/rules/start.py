"""The rules about starting: ``serve``, the port, the time it may take, ``SAGEMAKER_BIND_TO_PORT``.

A container that does not get ready breaks one of them, and which is told from what was seen.
"""

from contextlib import suppress
from dataclasses import replace
from enum import StrEnum, unique
from pathlib import Path
from typing import Final

from lab.contract.model import Judged, Told, Tried, Verdict
from lab.contract.running.container import CannotTry
from lab.contract.running.readiness import NeverReady, Unready
from lab.contract.running.session import Session, Tries
from lab.spec import PORT
from lab.start.cause import Cause, CauseKind
from lab.start.deaths import IN_THE_IMAGE, VAGUE
from lab.units import format_seconds

SERVERLESS_START_S: Final = 180.0
REAL_TIME_START_S: Final = 480.0

BIND_LABEL: Final = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
MODEL_ARCHIVE: Final = "model-archive"
_OTHER_PORT: Final = 23123
"""Of the range that the platform was seen to hand out: 23000 to 23999."""

_LOG_WORDS: Final = 300
_TRY_S: Final = 30.0


@unique
class Blame(StrEnum):
    """Which rule a container breaks that does not get ready."""

    SERVE = "serve"
    PORT = "port"
    PING = "ping"
    TIME = "start-time"
    ENGINE = "engine"


def blame(seen: Unready) -> Blame:
    """Which rule was broken, from what was seen of the container."""
    if seen.kind is CauseKind.ENGINE:
        return Blame.ENGINE
    if seen.kind in {CauseKind.EARLY_EXIT, CauseKind.OOM}:
        return Blame.SERVE
    if seen.slow_ping:
        return Blame.PING
    if seen.last_ping_status is not None:
        # A 5xx may be a server that is still loading its model; nothing else is.
        return Blame.TIME if seen.last_ping_status >= 500 else Blame.PING
    if any(one.port == PORT and not one.loopback for one in seen.listening or ()):
        # It is there, and either not at its work yet or closes what it is asked.
        return Blame.TIME if seen.accepting else Blame.PING
    elsewhere = seen.listening is None or bool(seen.listening)
    return Blame.PORT if elsewhere and not seen.accepting else Blame.TIME


def unready_words(error: NeverReady) -> str:
    """What was seen of a container that did not get ready, in one line."""
    seen = error.seen
    parts = [str(error).rstrip(".")]
    if seen.kind is CauseKind.NEVER_READY and seen.listening and not seen.accepting:
        words = ", ".join(str(one) for one in seen.listening)
        if words not in parts[0]:
            parts.append(f"it listens on {words}")
    last = [line.strip() for line in seen.log.splitlines() if line.strip()]
    if last and seen.explanation is None:
        parts.append(f"last line of its log: {last[-1][:_LOG_WORDS]}")
    return "; ".join(parts)


def unready(error: NeverReady, *, seen: str = "") -> Told:
    """The finding of a rule that a container broke which did not get ready: the error by its name,
    the cure that fits it, and the log that shows it. ``seen`` is said instead of the usual words.
    """
    return dead(error.seen, seen=seen or unready_words(error))


def dead(cause: Cause, *, seen: str = "") -> Told:
    """The same of one that died in the midst of a rule."""
    found = cause.explanation
    return Told(
        verdict=Verdict.FAIL,
        seen=seen or cause.message.rstrip("."),
        data={
            "cause": None if found is None else found.kind,
            "exit_code": cause.exit_code,
            "log": cause.log,
        },
        change=cause.cure,
        log=cause.log,
    )


_BY_PACE: Final = frozenset({"worker_timeout", "illegal_instruction", "exec_format"})
"""Kinds that a slow machine, or emulation, may bring about."""


def own_cure(told: Told) -> Told:
    """The same, with the rule's own cure where the log's error is known by its line only: what
    this rule changed is why it came.
    """
    kind = told.data.get("cause") if isinstance(told.data, dict) else None
    return replace(told, change="") if kind in VAGUE else told


def judge_start_time(ready_s: float, *, emulated: bool = False) -> Judged:
    """A start against what serverless and real time allow; any will do under emulation."""
    took = format_seconds(ready_s)
    if emulated or ready_s <= SERVERLESS_START_S:
        return Verdict.PASS, f"ready after {took}"
    if ready_s <= REAL_TIME_START_S:
        return Verdict.WARN, f"ready after {took}: too late for serverless, in time for real time"
    return Verdict.FAIL, f"ready after {took}: too late even for real time"


def _serve(session: Session) -> Tried:
    try:
        session.start_base()
    except NeverReady as error:
        if error.seen.kind is CauseKind.NEVER_READY:
            return Verdict.PASS, f"runs (but see {blame(error.seen)})"
        told = _unready(Blame.SERVE, error)
        found = error.seen.explanation
        if session.subject.model_dir is None and (found is None or found.vague):
            told = replace(told, seen=f"{told.seen} (it was given no model: --model-data)")
        if found is None or found.kind not in IN_THE_IMAGE:
            told = replace(told, seen=f"{told.seen}{_second_try(session)}")
        return told
    return Verdict.PASS, "runs, and gets ready"


def _second_try(session: Session) -> str:
    """A word about a start after one that failed, in the same container, as SageMaker makes it."""
    with session.created() as container, suppress(NeverReady):
        try:
            session.started(container, within_s=_TRY_S * session.patience)
        except NeverReady as error:
            if error.seen.kind is CauseKind.NEVER_READY:
                return ""
            session.started(container, within_s=_TRY_S * session.patience)
            return (
                "; started again in the same container, as SageMaker does, it gets ready: "
                "endpoints come up late, and so does each of their instances"
            )
    return ""


def _listen(session: Session) -> Tried:
    try:
        session.start_base()
    except NeverReady as error:
        if error.seen.accepting:
            return Verdict.PASS, f"connections to {PORT} are accepted"
        return _unready(Blame.PORT, error)
    return Verdict.PASS, f"answers on {PORT}"


def _start_time(session: Session) -> Tried:
    try:
        ready_s = session.start_base().ready_s
    except NeverReady as error:
        by_time = blame(error.seen) is Blame.TIME and not _by_itself(error)
        if session.emulated and by_time:
            raise CannotTry(session.timed(unready_words(error))) from error
        return _unready(Blame.TIME, error)
    verdict, seen = judge_start_time(ready_s, emulated=session.emulated)
    return verdict, session.timed(seen), {"ready_s": ready_s}


def _by_itself(error: NeverReady) -> bool:
    """Whether its log shows why it never gets ready, however long it is given."""
    found = error.seen.explanation
    return found is not None and found.kind not in VAGUE | _BY_PACE


def _unready(rule: Blame, error: NeverReady) -> Told:
    broken = blame(error.seen)
    if broken is Blame.ENGINE:
        raise CannotTry(str(error)) from error
    if broken is not rule:
        raise CannotTry(f"the container does not get ready: see {broken}") from error
    return unready(error)


def _bind(session: Session) -> Tried:
    if not session.claims(BIND_LABEL):
        raise CannotTry("the image does not claim it (label accept-bind-to-port)")
    env = {"SAGEMAKER_BIND_TO_PORT": str(_OTHER_PORT)}
    try:
        with session.running(as_it_is=True, env=env, port=_OTHER_PORT) as ready:
            return Verdict.PASS, f"answers on {ready.address[1]} when told so"
    except NeverReady as error:
        return unready(error, seen=f"told {_OTHER_PORT}, it does not: {unready_words(error)}")


def _model_archive(session: Session) -> Tried:
    """What is refused, never gets here: ``lab.contract.check.refused`` says so."""
    subject = session.subject
    if subject.archive is None or subject.model_dir is None:
        return None
    seen = f"{subject.archive.name} is unpacked"
    top = list(Path(subject.model_dir).iterdir())
    if len(top) == 1 and top[0].is_dir():
        seen += f"; all of it is in one folder: /opt/ml/model/{top[0].name}"
    return Verdict.PASS, seen


TRIES: Tries = {
    MODEL_ARCHIVE: _model_archive,
    Blame.SERVE: _serve,
    Blame.PORT: _listen,
    Blame.TIME: _start_time,
    "bind-to-port": _bind,
}
