"""Containers, one after another: each a cold start, and a share of the requests."""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lab import busy
from lab.advice.measure import executor_of, run_trials
from lab.budget.budgetfile import Measure
from lab.budget.record import Warm
from lab.coldstart import schedule
from lab.coldstart.executor import OtherTrials
from lab.coldstart.plan import MAX_READY_TIMEOUT_S, Plan, variant_name
from lab.coldstart.record import Cell, FailureKind, Sample
from lab.coldstart.trial import Subject
from lab.engine.api import Container
from lab.engine.docker.engine import DockerEngine
from lab.errors import ContainerFailedError, UsageError
from lab.load.clients import LoadTarget, run_block
from lab.loadtest.targets.sizes import Size, machine_of
from lab.lock import bench_lock
from lab.progress import Progress
from lab.spec import Platform, StartKind

_MACHINES_FAULT: Final = frozenset(
    {FailureKind.ENGINE, FailureKind.NOT_COLD, FailureKind.INCONSISTENT}
)
"""Failures of a start that say nothing of the image."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """What the containers did."""

    samples: Sequence[Sample]
    warm: Sequence[Warm]
    """Of each that started well, if it was sent requests."""
    doubt: str
    """Why seconds say little, as a clause."""
    notes: Sequence[str]


def started(
    name: str,
    subject: Subject,
    *,
    size: Size,
    platform: Platform,
    many: Measure,
    ask: bool,
    engine: DockerEngine,
    progress: Progress,
) -> Started:
    """Start ``name``'s containers at a size; with ``ask`` send each its share of the requests.

    One more comes first and is not counted: it fills the page cache. Raises
    ``ContainerFailedError`` where a start fails by the image's fault, for then it keeps no budget
    however quick the others were; ``UsageError`` for a size that the machine has not.
    """
    facts = engine.facts()
    if size.platform not in {None, platform}:
        raise UsageError(
            f"{size.name} runs images for {size.platform}, and {name} is for {platform}.",
            remedy="Choose another size, or build the image for it.",
        )
    given = size.given(machine_of(facts))
    for note in given.notes:
        progress.note(note)
    share = math.ceil(many.warm / many.cold)
    warm: list[Warm] = []

    def after(trial: schedule.Trial, container: Container) -> None:
        if not ask or trial.block == 0:
            return
        target = LoadTarget(
            address=container.address(),
            payload=subject.payload,
            content_type=subject.content_type,
            accept="*/*",
        )
        before = busy.read() if facts.here else None
        block = run_block(target, requests=share, clients=1)
        used = busy.between(before, busy.read(), ours=[container.id])
        loud = busy.disturbed(used, quota_cpus=given.compute.cpus)
        warm.append(
            Warm(
                trial=trial.index,
                latencies_s=block.latencies_s,
                answer_bytes=block.answer_bytes,
                peak_memory_bytes=container.usage().peak_memory_bytes,
                disturbed=busy.told(used) if used is not None and loud else "",
            )
        )

    cell = Cell(
        variant=variant_name(name),
        model="own",
        platform=platform,
        tier=size.name,
        start_kind=StartKind.FRESH,
    )
    plan = Plan(
        name="check",
        variants=(cell.variant,),
        models=(cell.model,),
        platforms=(platform,),
        repeats={StartKind.FRESH: many.cold},
        warm_up=(StartKind.FRESH,),
        ready_timeout=MAX_READY_TIMEOUT_S,
    )
    trials = schedule.trials([(block, cell) for block in range(many.cold + 1)])
    owner = f"check-{secrets.token_hex(4)}"
    with (
        bench_lock(f"The check of {name}"),
        executor_of(plan, {cell.variant: subject}, engine, facts, owner, progress) as executor,
    ):
        executor.others = OtherTrials(
            limits_of=lambda _: (given.compute.memory_bytes, given.compute.cpus), after=after
        )
        kept = run_trials(trials, executor.run, progress)
    samples = [one for those in kept.values() for one in those]
    notes = [*given.notes, *_tolerated(name, samples)]
    return Started(samples=samples, warm=warm, doubt=doubt(samples, warm), notes=notes)


def doubt(samples: Sequence[Sample], warm: Sequence[Warm]) -> str:
    """Why seconds say little, as a clause: most of them were disturbed, or emulated."""
    if any(one.emulated for one in samples):
        return "the image ran under emulation, whose seconds predict nothing"
    loud = [one.disturbed for one in warm if one.disturbed]
    loud += [busy.told(one.machine) for one in samples if one.disturbed and one.machine]
    if 2 * len(loud) <= len(warm) + len(samples):
        return ""
    return f"the machine was busy: {loud[-1]}"


def _tolerated(name: str, samples: Sequence[Sample]) -> Sequence[str]:
    """A note of each failure that is the machine's; the others, and nothing but failures, raise."""
    failed = [one.failure for one in samples if one.failure is not None]
    for one in failed:
        if one.kind not in _MACHINES_FAULT or len(failed) == len(samples):
            raise ContainerFailedError(
                f"{name}: {one.message}\n{one.log_tail}".rstrip(),
                remedy=one.cure or f"Try it: `lab try {name}`.",
            )
    return [f"A start is not counted: {one.message}" for one in failed]
