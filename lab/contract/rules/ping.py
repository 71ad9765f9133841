"""The rules about ``/ping`` and about connections: when idle, under load, and at the first 200."""

import math
import time
from collections.abc import Sequence
from statistics import median
from typing import Final

from lab.contract.model import Judged, Tried, Verdict
from lab.contract.rules.start import Blame, blame, unready
from lab.contract.running import calls
from lab.contract.running.calls import HttpCall
from lab.contract.running.load import CLIENTS, PingLoad, under_load
from lab.contract.running.session import CannotTry, NeverReady, Session, Tries, once
from lab.units import format_seconds

PING_LIMIT_S: Final = 2.0
ACCEPT_LIMIT_S: Final = 0.25

_PINGS: Final = 20
_LOAD_S: Final = 5.0
_QUICK_LOAD_S: Final = 2.0
_STEADY: Final = 5

_CLOSE_CALL: Final = 0.5
"""Of a limit: beyond this it is kept here, and may not be on a smaller instance."""

_LAZY_S, _LAZY_TIMES = 2.0, 5.0
_COOL_S, _COOL_TIMES = 0.25, 3.0


def judge_pings(pings: Sequence[HttpCall], *, limit_s: float = PING_LIMIT_S) -> Judged:
    """Whether all were answered 200 in time."""
    wrong = [one for one in pings if one.status != 200]
    slowest = max(pings, key=lambda one: one.seconds)
    late = sum(one.seconds > limit_s for one in pings)
    if wrong:
        untimed = limit_s == math.inf and all(one.late for one in wrong)
        verdict = Verdict.SKIP if untimed else Verdict.FAIL
        return verdict, f"{len(wrong)} of {len(pings)} pings failed: {wrong[0].words}"
    said = f"slowest of {len(pings)}: {format_seconds(slowest.seconds)}"
    if late:
        return Verdict.FAIL, f"{late} of {len(pings)} pings took more than 2 s; {said}"
    if slowest.seconds > limit_s * _CLOSE_CALL:
        return Verdict.WARN, f"{said}, more than half of what is allowed"
    return Verdict.PASS, said


def judge_accepts(made: Sequence[HttpCall], *, limit_s: float = ACCEPT_LIMIT_S) -> Judged:
    """Whether every connection was accepted in time."""
    times = [one.connect_s for one in made if one.connect_s is not None]
    refused = [one for one in made if one.connect_s is None]
    if refused:
        untimed = limit_s == math.inf and all(one.late for one in refused)
        verdict = Verdict.SKIP if untimed else Verdict.FAIL
        return verdict, f"{len(refused)} of {len(made)} were not accepted: {refused[0].error}"
    said = f"slowest of {len(made)}: {format_seconds(max(times))}"
    late = sum(one > limit_s for one in times)
    if late:
        return Verdict.FAIL, f"{late} of {len(made)} took more than 250 ms; {said}"
    return Verdict.PASS, said


def judge_concurrent(load: PingLoad, *, emulated: bool = False) -> Judged:
    """Whether every invocation under load was answered with 2xx.

    ``emulated``: that nobody waited for some of the answers any longer says nothing.
    """
    total = len(load.invocations)
    failed = [one for one in load.invocations if not one.good]
    if failed:
        slow = emulated and all(one.late for one in failed)
        return Verdict.SKIP if slow else Verdict.FAIL, (
            f"{len(failed)} of {total} requests from {load.clients} clients failed: "
            f"{failed[0].words}"
        )
    middle = format_seconds(median(one.seconds for one in load.invocations))
    return Verdict.PASS, (
        f"{load.clients} clients, {total / load.seconds:.0f} requests/s, median {middle}"
    )


def judge_first(first: HttpCall, steady: Sequence[HttpCall], *, emulated: bool = False) -> Judged:
    """Whether the first invocation, right after the first 200, went as later ones do.

    ``emulated``: QEMU translates on the first way through, so only that it was answered counts.
    """
    usual = median(one.seconds for one in steady)
    said = f"first invocation {format_seconds(first.seconds)}, later ones {format_seconds(usual)}"
    if first.status is None or first.status >= 500:
        return Verdict.FAIL, f"the first invocation after the first 200 failed: {first.words}"
    if emulated:
        return Verdict.PASS, said
    more, times = first.seconds - usual, first.seconds / max(usual, 1e-6)
    if more >= _LAZY_S and times >= _LAZY_TIMES:
        return Verdict.FAIL, f"{said}: it waited for the model"
    if more >= _COOL_S and times >= _COOL_TIMES:
        return Verdict.WARN, f"{said}: the model was loaded, but not warm"
    return Verdict.PASS, said


def _ping(session: Session) -> Tried:
    try:
        session.start_base()
    except NeverReady as error:
        if blame(error.seen) is Blame.PING:
            return unready(error)
        raise CannotTry(f"the container does not get ready: see {blame(error.seen)}") from error
    pings = _idle_pings(session)
    verdict, seen = judge_pings(pings, limit_s=session.limit(PING_LIMIT_S))
    return verdict, session.timed(seen), {"seconds": [one.seconds for one in pings]}


def _ping_empty(session: Session) -> Tried:
    body = _idle_pings(session)[0].body
    if body:
        excerpt = " ".join(body[:60].decode(errors="replace").split())
        return Verdict.WARN, f"{len(body)} bytes: {excerpt}"
    return Verdict.PASS, "no body"


def _ping_loaded(session: Session) -> Tried:
    sample = session.sample()
    with session.running() as fresh:
        first = fresh.predict(sample)
        steady = [fresh.predict(sample) for _ in range(_STEADY)]
    verdict, seen = judge_first(first, steady, emulated=session.emulated)
    data = {"first_s": first.seconds, "later_s": [one.seconds for one in steady]}
    return verdict, session.timed(seen), data


def _ping_load(session: Session) -> Tried:
    verdict, seen = judge_pings(_load(session).pings, limit_s=session.limit(PING_LIMIT_S))
    return verdict, session.timed(f"{seen} (with {CLIENTS} clients)")


def _accept(session: Session) -> Tried:
    try:
        made = [*_idle_pings(session), *_load(session).connections]
        aside = f" ({CLIENTS} clients)"
    except CannotTry:
        made, aside = list(_idle_pings(session)), " (idle: no payload to load it with)"
    verdict, seen = judge_accepts(made, limit_s=session.limit(ACCEPT_LIMIT_S))
    return verdict, session.timed(seen + aside)


def _concurrent(session: Session) -> Tried:
    verdict, seen = judge_concurrent(_load(session), emulated=session.emulated)
    return verdict, session.timed(seen)


@once
def _idle_pings(session: Session) -> Sequence[HttpCall]:
    base = session.base()
    pings = []
    for _ in range(_PINGS):
        pings.append(base.ping())
        time.sleep(0.02)
    return pings


@once
def _load(session: Session) -> PingLoad:
    sample = session.sample()
    prepared = calls.post(sample.body, sample.content_type)
    seconds = _QUICK_LOAD_S if session.quick else _LOAD_S
    return under_load(session.base(), prepared, seconds=seconds)


TRIES: Tries = {
    Blame.PING: _ping,
    "ping-empty": _ping_empty,
    "ping-loaded": _ping_loaded,
    "ping-load": _ping_load,
    "accept": _accept,
    "concurrent": _concurrent,
}
