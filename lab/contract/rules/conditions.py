"""The rules about where it runs: not as root, on a read-only root, with nobody to call."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from lab.contract.model import Judged, Told, Tried, Verdict
from lab.contract.rules.start import dead, own_cure, unready
from lab.contract.running.calls import HttpCall
from lab.contract.running.container import CannotTry, cause_of_death
from lab.contract.running.readiness import NeverReady
from lab.contract.running.session import Session, Tries
from lab.spec import SERVERLESS_USER
from lab.start.cause import errors_of
from lab.units import format_seconds


def judge_condition(
    ready_s: float,
    usual_s: float,
    answer: HttpCall | None,
    *,
    unasked: str = " (not invoked)",
    emulated: bool = False,
) -> Judged:
    """A container that got ready under a condition, and what it answered (None: ``unasked``).

    ``emulated``: how long either took says nothing.
    """
    said = f"ready after {format_seconds(ready_s)}"
    if answer is None:
        return Verdict.PASS, f"{said}{unasked}"
    if not answer.good:
        verdict = Verdict.SKIP if emulated and answer.late else Verdict.FAIL
        return verdict, f"{said}, but an invocation: {answer.words_and_body}"
    if ready_s > 2 * usual_s + 1 and not emulated:
        return Verdict.WARN, f"{said} instead of {format_seconds(usual_s)}: what does it wait for?"
    return Verdict.PASS, f"{said}, invocation {answer.words}"


def _under(session: Session, changes: Callable[[Session], dict[str, Any]]) -> Tried:
    base = session.base()
    try:
        with session.running(**changes(session)) as ready:
            sample = session.sample_if_any()
            answer = None if sample is None else ready.predict(sample)
            if answer is not None and not answer.good:
                cause = cause_of_death(ready.container, "at the first invocation")
                if cause is not None:
                    return own_cure(dead(cause))
            verdict, seen = judge_condition(
                ready.ready_s,
                base.ready_s,
                answer,
                unasked=session.unasked,
                emulated=session.emulated,
            )
            told = Told(verdict=verdict, seen=session.timed(seen), data={"ready_s": ready.ready_s})
            if verdict is not Verdict.FAIL:
                return told
            shown, log = errors_of(ready.container)
            if shown is None:
                return replace(told, log=log)
            seen = f"{told.seen}; its log shows: {shown.words}"
            data = {"ready_s": ready.ready_s, "cause": shown.kind}
            return own_cure(replace(told, seen=seen, data=data, change=shown.cure, log=log))
    except NeverReady as error:
        return own_cure(unready(error))


def _read_only_model(session: Session) -> dict[str, Any]:
    if session.subject.model_dir is None:
        raise CannotTry("there is no model to mount: give one with --model-data")
    return {"model_dir": session.subject.model_dir}


def _no_network(session: Session) -> dict[str, Any]:
    return {"network": session.isolated_network(), "publish": None}


TRIES: Tries = {
    "model-read-only": partial(_under, changes=_read_only_model),
    "non-root": partial(_under, changes=lambda _: {"user": SERVERLESS_USER}),
    "read-only-root": partial(_under, changes=lambda _: {"read_only_root": True}),
    "no-network": partial(_under, changes=_no_network),
}
