"""The highest rate at which a target keeps an objective.

The rate is doubled until the objective is violated, then the two rates between which the answer
lies are brought nearer by bisection. A step is kept only if the *upper* confidence bound of the
quantile is within the objective, so that luck is not taken for speed. The two rates that decide are
run once more, in an order drawn by lot, since a machine's speed drifts; where two runs of a rate
disagree, a third decides.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np

from lab.engine.api import EngineFacts
from lab.errors import EndpointError, UsageError
from lab.load.arrivals.parse import parse
from lab.load.arrivals.schedule import Schedule
from lab.load.statistics import summarise
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import ClosedRecord, Objective
from lab.loadtest.runner import TIMEOUT_S, InvalidLoadError, LoadPlan
from lab.loadtest.search_steps import (
    SearchEnd,
    SearchResult,
    SearchStep,
    StepVerdict,
    bracket,
    judge,
    next_rates,
)
from lab.loadtest.steps import StepFolder, rounded
from lab.loadtest.targets.api import LoadPayload, Target
from lab.progress import Progress
from lab.stats.quantiles import samples_for

SEARCH_FILE: Final = "search.json"
RESOLUTION: Final = 0.05
STEP_S: Final = 10.0
ARRIVALS: Final = ("poisson", "constant", "gamma", "mmpp")
"""Models that draw at any rate."""
LONGEST_S: Final = 600.0
"""No step lasts longer: of a rate that needs more, nothing is said."""
MOST_STEPS: Final = 60
WARM_S: Final = 3.0
_LEAST_S: Final = 1e-4
_ALONE: Final = 0.05
"""Of the rate that one client reaches: so seldom do requests meet that fewer are no quicker."""
_TRIES: Final = 3
"""Of a step that tells nothing yet: containers started, or there was too little of it."""
_SPARE: Final = 2
"""Times the requests that a quantile needs: neighbours in a queue say less than strangers."""


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """What to look for. Rates are requests a second."""

    payloads: Sequence[LoadPayload]
    objective: Objective
    """Without a bound for errors none may fail."""
    arrivals: str = "poisson"
    """A model of ``lab.load.arrivals.parse``, with options but for rate and length."""
    step_s: float = STEP_S
    """A step is longer where the quantile needs more requests."""
    warm_s: float = WARM_S
    """Of one client before the first step, again and again until nothing is cold."""
    start_per_s: float | None = None
    """None is half of what one client reaches."""
    most_per_s: float | None = None
    resolution: float = RESOLUTION
    """How near to each other the two neighbours of the knee must come, as a share."""
    seed: int = 0
    timeout_s: float = TIMEOUT_S

    @property
    def wanted(self) -> int:
        """Requests of a step."""
        return _SPARE * samples_for(self.objective.q)

    @property
    def least_per_s(self) -> float:
        """Below it a step would take too long."""
        return self.wanted / LONGEST_S

    def sending(self, payloads: Sequence[LoadPayload]) -> Self:
        """The same with what is sent, which may be known only once the target is."""
        return replace(self, payloads=payloads)

    def check(self) -> None:
        """Raises ``UsageError``."""
        if self.objective.seconds is None and self.objective.errors is None:
            raise UsageError("There is nothing to keep.", remedy="Add --p95 200ms, say.")
        if self.most_per_s is not None and self.most_per_s < (self.start_per_s or 0.0):
            raise UsageError(
                f"The highest rate, {self.most_per_s:g}/s, is below the first, "
                f"{self.start_per_s:g}/s.",
                remedy="Give a lower --start or a higher --most.",
            )
        self.schedule(self.start_per_s or 100.0, LONGEST_S / 10, self.seed)

    def schedule(self, rate: float, seconds: float, seed: int) -> Schedule:
        """Of one step. Raises ``UsageError`` for arrivals that are none."""
        model, _, options = self.arrivals.partition(":")
        if model not in ARRIVALS:
            raise UsageError(
                f"A search has no {model!r} arrivals.",
                remedy=f"Choose from {', '.join(ARRIVALS)}; options as in gamma:cv=3.",
            )
        asked = f"{model}:rate={rate!r},for={seconds:.3f}s"
        return parse(f"{asked},{options}" if options else asked, seed=seed)


def search(
    target: Target,
    plan: SearchPlan,
    *,
    progress: Progress,
    engine: EngineFacts | None = None,
    root: Path | None = None,
) -> SearchResult:
    """Find the rate; every step is kept as soon as it is over, whatever ends the search.

    Raises ``InvalidLoadError`` when the generator cannot make the rates that it would take,
    ``RefusedError`` when a payload is refused, ``EndpointError`` when the target never answers.
    """
    plan.check()
    return _Search(target, plan, progress, engine, root).run()


class _Search:
    """One search under way."""

    def __init__(
        self,
        target: Target,
        plan: SearchPlan,
        progress: Progress,
        engine: EngineFacts | None,
        root: Path | None,
    ) -> None:
        self._target = target
        self._plan = plan
        self._progress = progress
        self._engine = engine
        self._folder: StepFolder[SearchResult] = StepFolder("load-search", SEARCH_FILE, root=root)
        self._steps: list[SearchStep] = []

    def run(self) -> SearchResult:
        plan = self._plan
        self._keep(SearchEnd.STOPPED)
        alone_per_s = self._warm_up()
        most = plan.most_per_s or math.inf
        start = rounded(min(max(plan.start_per_s or alone_per_s / 2, plan.least_per_s), most))
        least = rounded(min(max(_ALONE * alone_per_s, plan.least_per_s), start))
        lots = random.Random(plan.seed)
        while len(self._steps) < MOST_STEPS:
            rates = list(
                next_rates(
                    self._steps, start=start, least=least, most=most, resolution=plan.resolution
                )
            )
            if not rates:
                return self._keep(self._end())
            lots.shuffle(rates)
            for rate in rates:
                self._try(rate)
        return self._keep(SearchEnd.UNSETTLED)

    def _end(self) -> SearchEnd:
        below, above = bracket(self._steps)
        if above is None:
            return SearchEnd.MOST
        return SearchEnd.LEAST if below is None else SearchEnd.FOUND

    def _keep(self, ended: SearchEnd) -> SearchResult:
        plan = self._plan
        found = SearchResult.model_validate(
            {
                **self._folder.head(),
                "target": self._target.record,
                "objective": plan.objective,
                "arrivals": plan.arrivals,
                "resolution": plan.resolution,
                "seed": plan.seed,
                "steps": tuple(self._steps),
                "ended": ended,
            }
        )
        return self._folder.keep(found, found.summary())

    def _load(self, plan: LoadPlan) -> LoadFolder:
        return self._folder.run(self._target, plan, progress=self._progress, engine=self._engine)

    def _warm_up(self) -> float:
        """One client until nothing is cold; the rate that it reaches."""
        plan = self._plan
        closed = ClosedRecord(clients=1, seconds=plan.warm_s)
        warm = LoadPlan(
            closed=closed, payloads=plan.payloads, timeout_s=plan.timeout_s, name="warm-up"
        )
        middle_s = 0.0
        for _ in range(_TRIES):
            requests = self._load(warm).requests()
            if not len(requests):  # a machine that stalled all the while
                continue
            good = requests.where(requests.answered)
            if not len(good):
                why = self._target.cause() or ", ".join(sorted(set(requests.error)))
                raise EndpointError(
                    f"{self._target.record} answered none of {len(requests)} requests: {why}.",
                    remedy="Look at its logs.",
                )
            middle_s = float(np.median(good.latency_s))
            if not (good.cold == 1).any():
                break
        return 1 / max(middle_s or plan.warm_s, _LEAST_S)

    def _try(self, rate: float) -> None:
        """Run a rate until it tells something; what told nothing is kept beside it."""
        plan = self._plan
        seconds = max(plan.step_s, plan.wanted / rate)
        why = ""
        for attempt in range(_TRIES):
            step = self._once(rate, min(seconds, 2 * LONGEST_S), last=attempt == _TRIES - 1)
            if step.verdict in {StepVerdict.KEPT, StepVerdict.VIOLATED}:
                return
            why = step.why
            seconds *= 2 if step.verdict is StepVerdict.FEW else 1
        self._keep(SearchEnd.GENERATOR)
        below, _ = bracket(self._steps)
        could = "" if below is None else f" {self._target.record} keeps it at {below:g}/s at least."
        raise InvalidLoadError(
            f"The search needs {rate:g}/s, which the generator did not make: {why}.{could}",
            remedy=f"Give --most below {rate:g}, or leave the generator a processor of its own.",
        )

    def _once(self, rate: float, seconds: float, *, last: bool) -> SearchStep:
        plan = self._plan
        seed = plan.seed + len(self._steps) + 1
        folder = self._load(
            LoadPlan(
                schedule=plan.schedule(rate, seconds, seed),
                payloads=plan.payloads,
                objective=plan.objective,
                seed=seed,
                timeout_s=plan.timeout_s,
                name=f"{rate:g}",
            )
        )
        summary = summarise(folder.requests())
        found = judge(folder, plan.objective)
        verdict, why = found.verdict, found.why
        if summary.cold and not last:
            verdict, why = StepVerdict.COLD, f"{summary.cold} cold starts: run again, warm"
        elif verdict is StepVerdict.FEW and last:
            verdict = StepVerdict.VIOLATED
        step = SearchStep(
            folder=self._folder.below(folder),
            rate_per_s=rate,
            summary=summary,
            verdict=verdict,
            seconds=found.seconds,
            bound_s=found.bound_s,
            why=why,
        )
        self._steps.append(step)
        self._keep(SearchEnd.STOPPED)
        self._progress.note(f"{rate:g}/s: {verdict}: {why}")
        return step
