"""What is known of each size, made of the samples alone: the same samples give the same figures."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lab.coldstart.record import FailureKind, Outcome, Sample
from lab.load.statistics import latencies
from lab.loadtest.record import Objective
from lab.report.words import ratio_pair, times
from lab.spec import Phase, StartKind
from lab.stats.quantiles import interval, median
from lab.stats.ratios import Ratio, RatioVerdict, ratio_of_pairs
from lab.tune.choice import quantile_of
from lab.tune.order import PILOT
from lab.tune.record import Part, TunedSize, TuneSample, WarmBlock
from lab.tune.result import (
    ColdFigures,
    MemoryFigures,
    RatioFigure,
    SizeOutcome,
    SizeResult,
    WarmSource,
)

_FULL: Final = 0.99
"""Of the limit: a peak that is higher is one of files' pages, for the container lived."""


def counted(samples: Sequence[TuneSample]) -> Sequence[TuneSample]:
    """All but the pilot, in the order in which they were measured."""
    return sorted((one for one in samples if one.round != PILOT), key=lambda one: one.step)


def size_results(
    sizes: Sequence[TunedSize], samples: Sequence[TuneSample], objective: Objective | None
) -> Sequence[SizeResult]:
    """All sizes of which there are samples, in their order, without prices."""
    by_size: dict[str, list[TuneSample]] = defaultdict(list)
    for sample in counted(samples):
        by_size[sample.size].append(sample)
    found = [_result(size, by_size[size.name], objective) for size in sizes if by_size[size.name]]
    lived = [one for one in found if one.outcome is SizeOutcome.SERVES and one.memory is not None]
    if not lived:
        return found
    least = min(lived, key=lambda one: one.size.given_memory_bytes)
    return [_with_missed(one, least) for one in found]


def resized_ratio(samples: Sequence[TuneSample]) -> RatioFigure | None:
    """Over all sizes: mean latencies of resized over new containers of one round and size."""
    counts = counted(samples)
    sizes = sorted({one.size for one in counts})
    pairs = [pair for size in sizes for pair in _pairs(counts, size)]
    return RatioFigure.of(ratio_of_pairs(pairs), len(pairs)) if pairs else None


def _result(
    size: TunedSize, samples: Sequence[TuneSample], objective: Objective | None
) -> SizeResult:
    new = [one for one in samples if one.part is Part.NEW]
    starts = [one.cold for one in new if one.cold is not None]
    lived = any(one.outcome is Outcome.OK for one in starts)
    if not lived or all(one.warm is None for one in new):
        return _failed(size, new, starts)
    warm = _warm(samples, size.name)
    found = latencies(np.asarray([value for block in warm.blocks for value in block.latencies_s]))
    q = quantile_of(objective)
    figure = None if found is None else found.at(q)
    capacity = next((one.capacity for one in samples if one.capacity is not None), None)
    if size.serverless:
        per_s, how = 1 / found.mean_s if found else None, "one at a time"
    elif capacity is not None:
        per_s, how = capacity.per_s or None, capacity.how
    else:
        per_s, how = None, _why_no_capacity(samples)
    keeps = None
    if objective is not None and objective.seconds is not None and figure is not None:
        keeps = figure.seconds <= objective.seconds
        if not size.serverless and keeps and not per_s:
            keeps = False if capacity is not None else None
    return SizeResult(
        size=size,
        outcome=SizeOutcome.SERVES,
        cold=_cold(samples),
        warm=found,
        source=warm.source,
        source_why=warm.why,
        resized=warm.ratio,
        memory=_memory(size, [one.warm for one in new if one.warm is not None]),
        throughput_per_s=per_s,
        throughput_how=how,
        keeps_objective=keeps,
    )


def _failed(size: TunedSize, new: Sequence[TuneSample], starts: Sequence[Sample]) -> SizeResult:
    """Of a size at which no container started and answered a block."""
    failures = [one.failure for one in starts if one.failure is not None]
    said = [one.failure for one in new if one.failure]
    killed = any(one.kind is FailureKind.OOM for one in failures) or any(one.killed for one in new)
    return SizeResult(
        size=size,
        outcome=SizeOutcome.KILLED if killed else SizeOutcome.FAILS,
        failure=failures[-1].message if failures else said[-1] if said else "",
        cold=_cold(new),
    )


def _with_missed(one: SizeResult, least: SizeResult) -> SizeResult:
    """By how much a killed one missed, seen on the smallest that lived."""
    if one.outcome is not SizeOutcome.KILLED or least.memory is None:
        return one
    missed = least.memory.limit - least.memory.room - one.size.given_memory_bytes
    return one.model_copy(update={"missed_by": missed if missed > 0 else None})


def _why_no_capacity(samples: Sequence[TuneSample]) -> str:
    said = [one.failure for one in samples if one.part is Part.CAPACITY and one.failure]
    return said[-1] if said else "not measured"


# --- cold ----------------------------------------------------------------------------------------


def _cold(samples: Sequence[TuneSample]) -> ColdFigures | None:
    """On-demand starts where some were measured, for serverless meets those; else new ones."""
    for part, kind in ((Part.ONDEMAND, StartKind.ONDEMAND), (Part.NEW, StartKind.FRESH)):
        starts = [one.cold for one in samples if one.part is part and one.cold is not None]
        good = [one for one in starts if one.outcome is Outcome.OK and one.total_s is not None]
        if not good:
            continue
        totals = [one.total_s for one in good if one.total_s is not None]
        held = interval(totals)
        return ColdFigures(
            kind=kind,
            n=len(good),
            failed=sum(one.outcome is Outcome.FAILED for one in starts),
            total_s=median(totals),
            total_ci95=(held.low, held.high) if held is not None and held.confident else None,
            first_prediction_s=median([one.phases_s[Phase.FIRST_PREDICTION] for one in good]),
            disturbed=sum(one.disturbed for one in good),
        )
    return None


# --- warm ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Warm:
    """The blocks that count, and why."""

    blocks: Sequence[WarmBlock]
    source: WarmSource
    why: str
    ratio: RatioFigure | None


def _pairs(samples: Sequence[TuneSample], size: str) -> Sequence[tuple[float, float]]:
    """Mean latency of the resized and of the new container, of each round that has both."""
    blocks = {
        (one.part, one.round): one.warm.mean_s
        for one in samples
        if one.size == size and one.warm is not None
    }
    rounds = sorted({number for _, number in blocks})
    return [
        (blocks[Part.RESIZED, number], blocks[Part.NEW, number])
        for number in rounds
        if (Part.RESIZED, number) in blocks and (Part.NEW, number) in blocks
    ]


def _warm(samples: Sequence[TuneSample], size: str) -> _Warm:
    """Resized containers count where no difference to new ones is shown."""
    new = [one.warm for one in samples if one.part is Part.NEW and one.warm is not None]
    pairs = _pairs(samples, size)
    if not pairs:
        said = [one.failure for one in samples if one.part is Part.RESIZED and one.failure]
        why = said[-1] if said else "no running container was resized"
        return _Warm(blocks=new, source=WarmSource.NEW, why=why, ratio=None)
    found: Ratio = ratio_of_pairs(pairs)
    figure = RatioFigure.of(found, len(pairs))
    if found.verdict is RatioVerdict.DIFFERENT:
        why = f"resized ones took {times(found.value)} as long ({ratio_pair(figure.interval)})"
        return _Warm(blocks=new, source=WarmSource.NEW, why=why, ratio=figure)
    parts = {Part.NEW, Part.RESIZED}
    both = [one.warm for one in samples if one.part in parts and one.warm is not None]
    return _Warm(blocks=both, source=WarmSource.BOTH, why="", ratio=figure)


# --- memory --------------------------------------------------------------------------------------


def _memory(size: TunedSize, blocks: Sequence[WarmBlock]) -> MemoryFigures | None:
    limit = size.given_memory_bytes
    peaks = [one.peak_memory_bytes for one in blocks if one.peak_memory_bytes is not None]
    used = [one.used_memory_bytes for one in blocks if one.used_memory_bytes is not None]
    if not peaks:
        return None
    peak = int(median(peaks))
    most = max(used, default=None)
    full = peak > _FULL * limit and most is not None
    return MemoryFigures(
        limit=limit, peak=peak, used=most, room=limit - (most if full and most else peak)
    )
