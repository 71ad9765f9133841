"""The rules about going on: after many requests, after a crash, beside another of its like."""

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final

from lab.contract.model import Judged, Told, Tried, Verdict
from lab.contract.rules.start import own_cure, unready, unready_words
from lab.contract.running.asking import Endurance
from lab.contract.running.container import CannotTry, Running, cause_of_death
from lab.contract.running.load import PingLoad, loaded
from lab.contract.running.readiness import NeverReady
from lab.contract.running.session import Session, Tries
from lab.start.cause import CauseKind, errors_of
from lab.units import format_seconds

_END_S: Final = 10.0
_POLL_S: Final = 0.05

_WORKER: Final = (
    "Find in the container's log what ends the process that answers, and mend it: what it keeps of "
    "each request, a native library, a limit of requests after which it is to be replaced."
)


def judge_endurance(seen: Endurance, *, emulated: bool = False) -> Judged:
    """Whether the same request is answered again and again."""
    count = len(seen.answers)
    if not seen.broken:
        return Verdict.PASS, f"{seen.in_a_row} identical invocations in a row"
    last = seen.answers[-1]
    if seen.death is not None:
        number = seen.before + count
        return Verdict.FAIL, f"at invocation {number} of this container: {seen.death.message}"
    if last.late:
        verdict = Verdict.SKIP if emulated else Verdict.FAIL
        return verdict, f"identical invocation {count}: {last.words}"
    if last.status is None:
        return Verdict.FAIL, (
            f"identical invocation {count}: {last.words}, while the container lives on: the "
            "process that was to answer has died"
        )
    return Verdict.FAIL, (
        f"{len(seen.bad)} of {count} identical invocations failed: {last.words_and_body}"
    )


def judge_under_load(seen: PingLoad) -> Judged:
    """Whether it outlived several clients at once."""
    answered = sum(one.good for one in seen.invocations)
    if seen.death is not None:
        return Verdict.FAIL, (
            f"{seen.death.message} {answered} invocations from {seen.clients} clients were answered"
        )
    return Verdict.PASS, f"{answered} from {seen.clients} clients"


def _keeps_running(session: Session) -> Tried:
    session.answered()
    asked = session.endurance()
    verdict, seen = judge_endurance(asked, emulated=session.emulated)
    death = asked.death
    if verdict is Verdict.PASS:
        load = loaded(session)
        verdict, said = judge_under_load(load)
        seen, death = f"{seen}, {said}", load.death
    told = Told(verdict=verdict, seen=session.timed(seen), data={"invocations": len(asked.answers)})
    if verdict is not Verdict.FAIL:
        return told
    if death is not None:
        shown, log = death.explanation, death.log
    else:
        shown, log = errors_of(session.base().container)
    return replace(told, change=_WORKER if shown is None or not shown.cure else shown.cure, log=log)


def _second_start(session: Session) -> Tried:
    within_s = session.another_s()
    with session.created() as container:
        first = session.started(container, within_s=within_s)
        session.wait_for_model(first)
        container.kill()
        _wait_for_end(first)
        try:
            second = session.started(container, within_s=within_s)
        except NeverReady as error:
            return _not_again(session, error)
    said = f"ready again {format_seconds(second.ready_s)} after it was killed"
    return Verdict.PASS, session.timed(f"{said} (first start {format_seconds(first.ready_s)})")


def _not_again(session: Session, error: NeverReady) -> Tried:
    seen = f"killed and started again: {unready_words(error)}"
    if error.seen.kind is CauseKind.ENGINE:
        raise CannotTry(session.timed(seen)) from error
    # One that ended says it for sure; one that takes long may be the machine's doing.
    ended = error.seen.kind is not CauseKind.NEVER_READY
    told = unready(error, seen=session.timed(seen))
    return replace(own_cure(told), verdict=Verdict.FAIL if ended else Verdict.WARN)


def _wait_for_end(running: Running) -> None:
    give_up_at = time.monotonic() + _END_S
    while running.alive() and time.monotonic() < give_up_at:
        time.sleep(_POLL_S)


def _side_by_side(session: Session) -> Tried:
    if session.subject.model_dir is None:
        raise CannotTry("there is no folder to share: give a model with --model-data")
    within_s = session.another_s()
    with ExitStack() as stack:
        shared: dict[str, Any] = {
            "model_dir": None,
            "mounts": stack.enter_context(session.model_copy()),
        }
        pair = [stack.enter_context(session.created(**shared)) for _ in range(2)]
        begin = time.monotonic()
        for container in pair:
            container.start()
        try:
            both = [
                session.started(container, within_s=within_s * 2, begin=begin) for container in pair
            ]
        except NeverReady as error:
            seen = (
                f"two at once on one model folder, and one does not start: {unready_words(error)}"
            )
            return replace(own_cure(unready(error, seen=session.timed(seen))), verdict=Verdict.WARN)
        sample = session.sample_if_any()
        for one in both:
            if sample is None:
                break
            session.wait_for_model(one)
            answer = one.predict(sample)
            if not answer.good:
                cause = cause_of_death(one.container, "at an invocation")
                why = answer.words_and_body if cause is None else cause.message
                log = cause.log if cause is not None else errors_of(one.container)[1]
                seen = f"two at once on one model folder, and one does not answer: {why}"
                return Told(verdict=Verdict.WARN, seen=session.timed(seen), log=log)
    return (
        Verdict.PASS,
        f"two at once on one model folder get ready{session.unasked or ', and answer'}",
    )


TRIES: Tries = {
    "keeps-running": _keeps_running,
    "second-start": _second_start,
    "side-by-side": _side_by_side,
}
