"""What a search keeps, how a step is judged, and which rate comes next: no load is made here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique

import numpy as np

from lab.load.requests import Requests
from lab.load.statistics import upper_bound
from lab.loadtest import runner
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import Objective, TargetRecord
from lab.loadtest.steps import KeptStep, SteppedRun, rounded
from lab.loadtest.summary import LoadSteps
from lab.units import format_seconds


@unique
class StepVerdict(StrEnum):
    """What a step says of its rate."""

    KEPT = "kept"
    VIOLATED = "violated"
    COLD = "cold starts"
    """Containers were started: a warm-up."""
    FEW = "too few requests"
    """That are independent enough for the quantile: run again, longer."""
    INVALID = "generator late"
    """The generator did not keep to the schedule."""


class SearchStep(KeptStep):
    """One rate, tried once."""

    verdict: StepVerdict
    seconds: float | None
    """The objective's quantile."""
    bound_s: float | None
    """Its upper confidence bound, which decides."""
    why: str
    """The verdict's reason, as a clause."""

    @property
    def rate(self) -> float:
        return self.rate_per_s or 0.0


@unique
class SearchEnd(StrEnum):
    """Why a search was over."""

    FOUND = "found"
    MOST = "kept at the highest rate that was asked for"
    LEAST = "violated at the lowest rate that can be judged"
    GENERATOR = "the generator was the limit"
    UNSETTLED = "runs of a rate kept disagreeing"
    STOPPED = "stopped"


class SearchResult(SteppedRun):
    """``search.json``."""

    target: TargetRecord
    objective: Objective
    arrivals: str
    resolution: float
    seed: int
    steps: tuple[SearchStep, ...] = ()
    ended: SearchEnd = SearchEnd.STOPPED

    @property
    def knee(self) -> SearchStep | None:
        """The highest rate that keeps the objective, as it was last run."""
        return self._last(bracket(self.steps)[0], StepVerdict.KEPT)

    @property
    def above(self) -> SearchStep | None:
        """The lowest rate that violates it."""
        return self._last(bracket(self.steps)[1], StepVerdict.VIOLATED)

    def summary(self) -> LoadSteps:
        """For a report: a step a rate, upwards, as most of its visits went."""
        steps = []
        for rate in sorted({one.rate for one in self.steps}):
            visits = [one for one in self.steps if one.rate == rate]
            good = kept(visits, rate)
            wanted = {True: StepVerdict.KEPT, False: StepVerdict.VIOLATED, None: None}[good]
            shown = [one for one in visits if one.verdict is wanted] or visits
            why = "" if good else shown[-1].why
            steps.append(shown[-1].summarised(visits=visits, passed=good, why=why))
        below, _ = bracket(self.steps)
        rates = [one.offered_per_s for one in steps]
        return LoadSteps(
            id=self.id,
            started_at=self.started_at,
            target=self.target,
            objective=self.objective,
            said=f"search for the highest rate, {self.arrivals} arrivals",
            steps=tuple(steps),
            knee=None if below is None else rates.index(below),
        )

    def _last(self, rate: float | None, verdict: StepVerdict) -> SearchStep | None:
        fit = [one for one in self.steps if one.rate == rate and one.verdict is verdict]
        return fit[-1] if fit else None

    def sentence(self) -> str:
        """The answer in words."""
        knee, above = self.knee, self.above
        said = []
        if knee is None:
            said.append(f"{self.target} kept {self.objective} at no rate that was tried")
        else:
            reach = " at least" if above is None else ""
            said.append(f"{self.target} keeps {self.objective} up to{reach} {knee.rate:g}/s")
            said.append(f"there {knee.why}")
        if above is not None:
            said.append(f"at {above.rate:g}/s {above.why}")
            limit_s = self.objective.seconds
            if limit_s is not None and above.bound_s and (above.seconds or 0.0) <= limit_s:
                said.append("there only the bound is above, which longer steps bring nearer")
        return "; ".join(said) + ("." if self.ended is SearchEnd.FOUND else f" ({self.ended}).")


# --- which rates ---------------------------------------------------------------------------------


def kept(steps: Sequence[SearchStep], rate: float) -> bool | None:
    """Whether a rate keeps the objective, by most of its runs; None where they disagree."""
    runs = [one.verdict for one in steps if one.rate == rate]
    good, bad = runs.count(StepVerdict.KEPT), runs.count(StepVerdict.VIOLATED)
    return None if good == bad else good > bad


def bracket(steps: Sequence[SearchStep]) -> tuple[float | None, float | None]:
    """The highest rate that keeps the objective below the lowest that does not, and that one."""
    verdicts = {one.rate: kept(steps, one.rate) for one in steps}
    above = min((rate for rate, good in verdicts.items() if good is False), default=None)
    fit = [rate for rate, good in verdicts.items() if good and (above is None or rate < above)]
    return max(fit, default=None), above


def next_rates(
    steps: Sequence[SearchStep], *, start: float, least: float, most: float, resolution: float
) -> Sequence[float]:
    """What to run next, in any order; nothing when the knee is found or cannot be."""
    judged = [one for one in steps if one.verdict in {StepVerdict.KEPT, StepVerdict.VIOLATED}]
    if not judged:
        return [start]
    if tied := [one.rate for one in judged if kept(judged, one.rate) is None]:
        return tied[:1]
    below, above = bracket(judged)
    if below is not None and above is None and below < most:
        return [rounded(min(2 * below, most))]
    if below is None and above is not None and above > least:
        return [rounded(max(above / 2, least))]
    if below is not None and above is not None and above > below * (1 + resolution):
        middle = rounded(math.sqrt(below * above))
        if below < middle < above:
            return [middle]
    decisive = [rate for rate in (below, above) if rate is not None]
    return [rate for rate in decisive if sum(one.rate == rate for one in judged) < 2]


# --- one step ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a load says of an objective."""

    verdict: StepVerdict
    why: str
    seconds: float | None = None
    """The objective's quantile."""
    bound_s: float | None = None
    """Its upper confidence bound."""


def judge(folder: LoadFolder, objective: Objective) -> Judgement:
    """By errors first, then by what was slow whatever the generator did, then by the bound."""
    requests = folder.requests()
    good = requests.where(requests.answered)
    health = runner.verdict(folder)
    failed = (len(requests) - len(good)) / max(len(requests), 1)
    if health is not None and health.behind:
        return Judgement(verdict=StepVerdict.INVALID, why=health.why_not)
    if not len(good) or failed > (objective.errors or 0.0):
        return Judgement(verdict=StepVerdict.VIOLATED, why=f"{failed:.2%} failed or were throttled")
    quantile = float(np.quantile(good.latency_s, objective.q))
    late = health is not None and not health.valid
    sent_s = float(np.quantile(good.done_s - good.sent_s, objective.q))
    if late and (objective.seconds is None or sent_s <= objective.seconds):
        # Had it been in time, the target might have been slower, or quicker.
        why = "" if health is None else health.why_not
        return Judgement(verdict=StepVerdict.INVALID, why=why, seconds=quantile)
    return _by_latency(requests, objective, quantile)


def _by_latency(requests: Requests, objective: Objective, quantile: float) -> Judgement:
    name, limit_s = f"p{objective.q * 100:g}", objective.seconds
    bound_s = upper_bound(requests, objective.q)
    said = f"{name} is {format_seconds(quantile)}"
    if bound_s is not None:
        said += f", and may be {format_seconds(bound_s)}"
    if limit_s is None or (bound_s is not None and bound_s <= limit_s):
        verdict = StepVerdict.KEPT
    elif bound_s is None and quantile <= limit_s:
        verdict, said = StepVerdict.FEW, f"{said}, but the requests are too few to be sure"
    else:
        verdict = StepVerdict.VIOLATED
    return Judgement(verdict=verdict, why=said, seconds=quantile, bound_s=bound_s)
