"""A closed sweep: 1, 2, 4, ... clients that each send again as soon as they are answered.

It shows how much a target can do, and what each further client costs the others. It proves no
objective: a closed loop sends less the slower the target gets, so it never sees a queue grow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, Literal

from lab.engine.api import EngineFacts
from lab.errors import UsageError
from lab.load.statistics import summarise
from lab.loadtest.record import ClosedRecord, TargetRecord
from lab.loadtest.runner import TIMEOUT_S, LoadPlan
from lab.loadtest.steps import KeptStep, StepFolder, SteppedRun
from lab.loadtest.summary import LoadSteps
from lab.loadtest.targets.api import LoadPayload, Target
from lab.progress import Progress
from lab.units import format_seconds

SWEEP_FILE: Final = "sweep.json"
STEP_S: Final = 10.0
WARM_S: Final = 3.0
MOST_CLIENTS: Final = 32


class SweepResult(SteppedRun):
    """``sweep.json``; the steps by their clients."""

    target: TargetRecord
    loop: Literal["closed"] = "closed"
    step_s: float
    steps: tuple[KeptStep, ...] = ()

    def summary(self) -> LoadSteps:
        """For a report."""
        return LoadSteps(
            id=self.id,
            started_at=self.started_at,
            target=self.target,
            said=f"closed sweep, {self.step_s:g} s each",
            steps=tuple(one.summarised(visits=(one,)) for one in self.steps),
        )


def doubled(most: int) -> Sequence[int]:
    """1, 2, 4, ... up to ``most``, and ``most`` itself. Raises ``UsageError`` for none."""
    if most < 1:
        raise UsageError(f"A sweep up to {most} clients has none.", remedy="Give 1 or more.")
    powers = list(takewhile(lambda many: many < most, (2**power for power in range(64))))
    return [*powers, most]


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """What to send."""

    payloads: Sequence[LoadPayload]
    clients: Sequence[int]
    step_s: float = STEP_S
    """Of each number of clients."""
    warm_s: float = WARM_S
    """Before the first step, with the most clients."""
    seed: int = 0
    timeout_s: float = TIMEOUT_S


def sweep(
    target: Target,
    plan: SweepPlan,
    *,
    progress: Progress,
    engine: EngineFacts | None = None,
) -> SweepResult:
    """Load with each number of clients; every step is kept as soon as it is over.

    Raises ``RefusedError`` when a payload is refused.
    """
    folder: StepFolder[SweepResult] = StepFolder("load-sweep", SWEEP_FILE)
    steps: list[KeptStep] = []

    def keep() -> SweepResult:
        record = {**folder.head(), "target": target.record, "step_s": plan.step_s}
        found = SweepResult.model_validate({**record, "steps": tuple(steps)})
        return folder.keep(found, found.summary())

    def load(many: int, seconds: float, name: str) -> KeptStep:
        step = LoadPlan(
            closed=ClosedRecord(clients=many, seconds=seconds),
            payloads=plan.payloads,
            seed=plan.seed,
            timeout_s=plan.timeout_s,
            name=name,
        )
        made = folder.run(target, step, progress=progress, engine=engine)
        summary = summarise(made.requests())
        return KeptStep(folder=folder.below(made), clients=many, summary=summary)

    keep()
    # With all of them: an endpoint's containers start before the first step is counted.
    load(max(plan.clients), plan.warm_s, "warm-up")
    for many in plan.clients:
        step = load(many, plan.step_s, f"{many}-clients")
        steps.append(step)
        keep()
        progress.note(f"{many} clients: {said(step)}")
    return keep()


def said(step: KeptStep) -> str:
    """A step in a line."""
    summary = step.summary
    if summary.latency is None:
        return f"none of {summary.n} requests was answered"
    quantiles = ", ".join(
        f"p{one.q * 100:g} {format_seconds(one.seconds)}" for one in summary.latency.quantiles[:4]
    )
    bad = f", {summary.error_share:.2%} failed or throttled" if summary.error_share else ""
    return f"{summary.achieved_per_s:.1f} requests/s, {quantiles}{bad}"
