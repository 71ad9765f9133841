"""The rules about ``/ping`` and about connections: when idle, under load, and at the first 200."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from lab.contract.model import Judged, Told, Tried, Verdict
from lab.contract.rules.start import Blame, blame, unready
from lab.contract.running import procfs
from lab.contract.running.asking import Warming
from lab.contract.running.calls import HttpCall
from lab.contract.running.container import CannotTry
from lab.contract.running.load import CLIENTS, PingLoad, loaded, together
from lab.contract.running.readiness import NeverReady
from lab.contract.running.session import Session, Tries, once
from lab.start.firstrequest import FirstRequest, judge_first_request
from lab.units import format_seconds

PING_LIMIT_S: Final = 2.0
ACCEPT_LIMIT_S: Final = 0.25

_PINGS: Final = 20
_STEADY: Final = 5
_WARM_UP: Final = "Run one inference after loading the model, before /ping answers 200."
_WAVE: Final = 3
"""Requests of each client, to find every worker."""
_SLOW_S: Final = 0.25
"""From here on one request of each is enough."""

_CLOSE_CALL: Final = 0.5
"""Of a limit: beyond this it is kept here, and may not be on a smaller instance."""


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


def judge_loaded_pings(load: PingLoad, *, limit_s: float = PING_LIMIT_S) -> Judged:
    """The same under load, of the pings whose connection was accepted: of the others another rule
    tells, with another cure.
    """
    heard = [one for one in load.pings if _accepted(one)]
    if len(heard) < len(load.pings) / 2:
        missed = len(load.pings) - len(heard)
        return Verdict.SKIP, (
            f"{missed} of {len(load.pings)} pings were not accepted in time: see accept"
        )
    verdict, seen = judge_pings(heard, limit_s=limit_s)
    return verdict, f"{seen} (with {load.clients} clients)"


def _accepted(one: HttpCall) -> bool:
    return one.connect_s is not None and one.connect_s <= ACCEPT_LIMIT_S


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
    if failed and all(one.connect_s is None for one in failed):
        return Verdict.SKIP, (f"{len(failed)} of {total} connections were not accepted: see accept")
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
    went = judge_first_request(first.seconds, usual)
    verdict = {FirstRequest.WAITED: Verdict.FAIL, FirstRequest.SLOW: Verdict.WARN}
    if went not in verdict:
        return Verdict.PASS, said
    return verdict[went], f"{said}: {went}"


def judge_workers(
    early: Sequence[HttpCall],
    later: Sequence[HttpCall],
    *,
    processes: int | None,
    emulated: bool = False,
) -> Judged:
    """Requests to all workers right after the start, beside as many when all have answered."""
    several = "several processes" if processes is None else f"{processes} processes"
    failed = [one for one in early if not one.good]
    if failed and all(one.good for one in later):
        return Verdict.FAIL, (
            f"{len(failed)} of the first {len(early)} requests failed, between others that did not "
            f"({failed[0].words_and_body}): of its {several} some had not loaded the model yet"
        )
    usual = median(one.seconds for one in later)
    waited = [
        one for one in early if judge_first_request(one.seconds, usual) is FirstRequest.WAITED
    ]
    if waited and not emulated:
        return Verdict.FAIL, (
            f"{len(waited)} of the first {len(early)} requests took up to "
            f"{format_seconds(max(one.seconds for one in waited))}, later ones "
            f"{format_seconds(usual)}: of its {several} some load the model at their first request"
        )
    return Verdict.PASS, f"{len(early)} requests to its {several}, all alike"


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


@dataclass(frozen=True, kw_only=True)
class _Beginning:
    """The first requests to a container, from the first 200 of /ping on."""

    first: Sequence[HttpCall]
    """Up to the first good answer."""
    warming: Warming
    steady: Sequence[HttpCall]
    wave: Sequence[HttpCall]
    """From several clients at once; none where there is one process only."""
    later: Sequence[HttpCall]
    """The same once more."""
    processes: int | None


def _ping_loaded(session: Session) -> Tried:
    sample = session.sample()
    unsettled = session.endurance().unsettled
    if unsettled and procfs.processes(session.base().container) != 1:
        raise CannotTry("some requests are answered and others not: see workers-loaded")
    if unsettled or sample.warming.bad:
        bad = [*sample.warming.bad, *unsettled]
        return _not_loaded(session, replace(sample.warming, bad=bad))
    seen = _beginning(session)
    if seen.warming.bad:
        return _not_loaded(session, seen.warming)
    verdict, said = judge_first(seen.first[0], seen.steady, emulated=session.emulated)
    if verdict is Verdict.FAIL and _several_wait(seen, emulated=session.emulated):
        raise CannotTry("several workers load at their first request: see workers-loaded")
    return Told(
        verdict=verdict,
        seen=session.timed(said),
        data={"first_s": seen.first[0].seconds, "later_s": [one.seconds for one in seen.steady]},
        change=_WARM_UP if verdict is Verdict.WARN else "",
    )


def _several_wait(seen: _Beginning, *, emulated: bool) -> bool:
    """Whether others than the first waited, too: each worker loads for itself."""
    rest = [*seen.steady, *seen.wave]
    return bool(seen.later) and (
        judge_workers(rest, seen.later, processes=seen.processes, emulated=emulated)[0]
        is Verdict.FAIL
    )


def _not_loaded(session: Session, warming: Warming) -> Tried:
    answer = session.sample().answer
    seen = f"{warming.words}; then {answer.words}"
    data = {"not_loaded_s": warming.seconds, "answers": len(warming.bad)}
    return Verdict.FAIL, session.timed(seen), data


def _workers_loaded(session: Session) -> Tried:
    sample, asked = session.sample(), session.endurance()
    if session.verdict("ping-loaded") is Verdict.FAIL:
        raise CannotTry("the first request waits or fails already: see ping-loaded")
    processes = procfs.processes(session.base().container)
    if asked.unsettled:
        answers, rest = asked.answers, len(asked.answers) - asked.in_a_row
        early = [*sample.warming.bad, sample.answer, *answers[:rest]]
        return judge_workers(early, answers[rest:], processes=processes)
    if processes == 1:
        return Verdict.PASS, "one process"
    # A stall of the machine looks like one worker that waits: twice the same decides.
    tries: list[Judged] = []
    for begin in (_beginning, _begin):
        seen = begin(session)
        early = [*seen.first, *seen.steady, *seen.wave]
        tries.append(
            judge_workers(early, seen.later, processes=seen.processes, emulated=session.emulated)
        )
        if tries[-1][0] is Verdict.PASS:
            break
    verdict, said = tries[-1]
    return verdict, session.timed(said), {"processes": processes}


@once
def _beginning(session: Session) -> _Beginning:
    return _begin(session)


def _begin(session: Session) -> _Beginning:
    sample = session.sample()
    with session.running(as_it_is=True) as fresh:
        first = fresh.until_good(sample.body, sample.content_type, session.asking)
        steady = [fresh.predict(sample) for _ in range(_STEADY)]
        processes = procfs.processes(fresh.container)
        slow = median(one.seconds for one in steady) > _SLOW_S
        requests = 0 if processes == 1 else CLIENTS if slow else CLIENTS * _WAVE
        wave, later = (
            together(fresh, sample, requests=requests) if requests else () for _ in range(2)
        )
    warming = Warming(ready_at=fresh.ready_at, bad=first[:-1] if first[-1].good else first)
    session.loads_late = session.loads_late or bool(warming.bad)
    return _Beginning(
        first=first, warming=warming, steady=steady, wave=wave, later=later, processes=processes
    )


def _ping_load(session: Session) -> Tried:
    verdict, seen = judge_loaded_pings(_load(session), limit_s=session.limit(PING_LIMIT_S))
    return verdict, session.timed(seen)


def _accept(session: Session) -> Tried:
    made, aside = list(_idle_pings(session)), session.unasked
    if not aside:
        made, aside = [*made, *_load(session).connections], f" ({CLIENTS} clients)"
    verdict, seen = judge_accepts(made, limit_s=session.limit(ACCEPT_LIMIT_S))
    return verdict, session.timed(seen + aside)


def _concurrent(session: Session) -> Tried:
    verdict, seen = judge_concurrent(_load(session), emulated=session.emulated)
    return verdict, session.timed(seen)


def _load(session: Session) -> PingLoad:
    seen = loaded(session)
    if seen.death is not None:
        raise CannotTry("it does not outlive the load: see keeps-running")
    return seen


@once
def _idle_pings(session: Session) -> Sequence[HttpCall]:
    base = session.base()
    pings = []
    for _ in range(_PINGS):
        pings.append(base.ping())
        time.sleep(0.02)
    return pings


TRIES: Tries = {
    Blame.PING: _ping,
    "ping-empty": _ping_empty,
    "ping-loaded": _ping_loaded,
    "workers-loaded": _workers_loaded,
    "ping-load": _ping_load,
    "accept": _accept,
    "concurrent": _concurrent,
}
