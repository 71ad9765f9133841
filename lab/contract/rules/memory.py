"""The rules about memory: in which serverless tier it runs, and whether it stays there."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from lab.contract.model import Judged, Tried, Verdict
from lab.contract.rules.start import SERVERLESS_START_S, unready_words
from lab.contract.running.container import CannotTry, CheckPayload, Running, died
from lab.contract.running.readiness import NeverReady
from lab.contract.running.session import Session, Tries, once
from lab.spec import SERVERLESS_TIERS, Tier
from lab.units import format_bytes, format_seconds

_INVOCATIONS: Final = 60
_ENOUGH_S: Final = 15.0
_FEWEST: Final = 20
_SEGMENTS: Final = 3
_LEAK: Final = 1_000_000
_SUSPECT: Final = 200_000
_FULL: Final = 0.9


@dataclass(frozen=True, kw_only=True)
class TierTrial:
    """What was seen in one tier."""

    tier: Tier
    failure: str = ""
    """Why it does not run there; empty if it does."""
    ready_s: float = 0.0
    first_s: float | None = None
    used: Sequence[int] = ()
    """Bytes in use when ready, and after each invocation."""
    peak: int | None = None
    """As the kernel counted it, files' pages included."""

    @property
    def words(self) -> str:
        """``1024 MB and 0.58 CPUs: ready after 2.1 s, ...``."""
        said = f"{self.tier.name} MB and {self.tier.cpus or 0:.2f} CPUs"
        if self.failure:
            return f"{said}: {self.failure}"
        said += f": ready after {format_seconds(self.ready_s)}"
        if self.first_s is not None:
            said += f", first invocation {format_seconds(self.first_s)}"
        if self.used:
            said += f", {format_bytes(max(self.used))} in use at most"
        return said


def judge_tiers(trials: Sequence[TierTrial]) -> Judged:
    """The smallest tier in which it runs; those below it were tried, those above were not."""
    fits = [one for one in trials if not one.failure]
    if not fits:
        return Verdict.FAIL, f"in none of {len(trials)}; {trials[-1].words}"
    last = fits[0]
    if last is not trials[0]:
        return Verdict.WARN, f"not in {trials[0].words}. It runs in {last.words}"
    room = (last.tier.memory_bytes or 0) * _FULL
    if last.used and max(last.used) > room:
        return Verdict.WARN, f"{last.words}: next to no room left"
    return Verdict.PASS, last.words


def judge_growth(used: Sequence[int]) -> Judged:
    """Bytes in use after each invocation: growth that goes on, once warm, is a leak."""
    count = len(used) - 1
    if count < _FEWEST:
        return Verdict.SKIP, f"{max(count, 0)} invocations in {format_seconds(_ENOUGH_S)}: too few"
    warm = used[count // 4 :]
    marks = [warm[round(at * (len(warm) - 1) / _SEGMENTS)] for at in range(_SEGMENTS + 1)]
    length = (len(warm) - 1) / _SEGMENTS
    growth = [(after - before) / length for before, after in pairwise(marks)]
    mean = (warm[-1] - warm[0]) / (len(warm) - 1)
    said = f"{'+' if mean > 0 else '-'}{format_bytes(abs(mean))} an invocation over {count}"
    if min(growth) >= _LEAK:
        return Verdict.FAIL, f"{said}, without an end"
    if min(growth) >= _SUSPECT:
        return Verdict.WARN, said
    return Verdict.PASS, said


@once
def trials(session: Session) -> Sequence[TierTrial]:
    """The tiers that were tried, the smallest first; the last is the first in which it runs."""
    facts = session.where.engine.facts()
    session.base()
    made: list[TierTrial] = []
    for tier in SERVERLESS_TIERS:
        if (tier.memory_bytes or 0) > facts.memory_bytes:
            break
        made.append(_trial(session, tier, most_cpus=facts.cpus))
        if not made[-1].failure:
            break
    if not made:
        raise CannotTry("this machine has less memory than the smallest tier")
    return made


def _trial(session: Session, tier: Tier, *, most_cpus: int) -> TierTrial:
    limits: dict[str, Any] = {
        "memory_bytes": tier.memory_bytes,
        "cpus": min(tier.cpus or 1.0, most_cpus),
    }
    sample = session.sample_if_any()
    try:
        within_s = SERVERLESS_START_S * session.patience
        with session.running(within_s=within_s, **limits) as ready:
            return _used(ready, sample, tier)
    except NeverReady as error:
        return TierTrial(tier=tier, failure=unready_words(error))


def _used(ready: Running, sample: CheckPayload | None, tier: Tier) -> TierTrial:
    used = _memory(ready)
    first_s = None
    begin = time.monotonic()
    for number in range(_INVOCATIONS if sample is not None else 0):
        if sample is None or time.monotonic() - begin > _ENOUGH_S:
            break
        answer = ready.predict(sample)
        killed = "" if answer.good else died(ready.container)
        if not answer.good:
            said = killed or answer.words_and_body
            return TierTrial(
                tier=tier, failure=f"at invocation {number + 1}: {said}", used=tuple(used)
            )
        first_s = answer.seconds if first_s is None else first_s
        used += _memory(ready)
    # A worker may have been killed and replaced without an answer being lost.
    return TierTrial(
        tier=tier,
        failure=died(ready.container),
        ready_s=ready.ready_s,
        first_s=first_s,
        used=tuple(used),
        peak=ready.container.usage().peak_memory_bytes,
    )


def _memory(ready: Running) -> list[int]:
    load = ready.container.load()
    return [] if load is None else [load.memory_bytes]


def _tiers(session: Session) -> Tried:
    made = trials(session)
    verdict, seen = _lenient(session, *judge_tiers(made))
    fits = [one for one in made if not one.failure]
    data = {
        "runs_from_mb": fits[0].tier.memory_mb if fits else None,
        "tiers": [
            {
                "memory_mb": one.tier.memory_mb,
                "cpus": one.tier.cpus,
                "failure": one.failure or None,
                "ready_s": one.ready_s or None,
                "first_invocation_s": one.first_s,
                "in_use_bytes": max(one.used, default=None),
                "peak_bytes": one.peak,
            }
            for one in made
        ],
    }
    return verdict, seen, data


def _steady(session: Session) -> Tried:
    last = max(trials(session), key=lambda one: len(one.used))
    if len(last.used) < _FEWEST:
        session.sample()  # says why there is nothing to ask it with
    verdict, seen = _lenient(session, *judge_growth(last.used))
    return verdict, f"{seen} in {last.tier.name} MB", {"used": list(last.used)}


def _lenient(session: Session, verdict: Verdict, seen: str) -> Judged:
    """What is kept under emulation is kept; what is not may be for QEMU's own memory and pace."""
    if not session.emulated:
        return verdict, seen
    kept = verdict is Verdict.PASS
    return Verdict.PASS if kept else Verdict.SKIP, f"{seen} (emulated: QEMU's memory included)"


TRIES: Tries = {"memory-tiers": _tiers, "memory-steady": _steady}
