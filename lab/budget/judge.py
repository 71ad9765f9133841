"""What figures show: of their ceilings, and beside earlier ones. Chance breaks nothing."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from lab.budget.budgetfile import EXACT, Ceiling
from lab.budget.record import Change, Figure, Finding, Trend, Verdict
from lab.load.statistics import latencies
from lab.stats.quantiles import interval, median, quantile
from lab.stats.ratios import RatioVerdict, ratio_of_medians

WARM_Q: Final = 0.95
LEAST: Final = 0.01
"""Of a ratio from 1: below, a difference is told of nobody. An image that is built again differs by
some bytes of time stamps."""
_SEED: Final = 1
_TIMED: Final = frozenset({Ceiling.COLD_START, Ceiling.WARM_P95, Ceiling.USD_PER_MILLION})


def figure_of_medians(values: Sequence[float]) -> Figure:
    """The median over containers, with its interval from order statistics."""
    found = interval(values)
    sure = found is not None and found.confident
    return Figure(
        value=median(values),
        low=found.low if found is not None and sure else None,
        high=found.high if found is not None and sure else None,
        values=tuple(values),
    )


def figure_of_p95(blocks: Sequence[Sequence[float]]) -> Figure:
    """The p95 of all requests, and each container's own to compare by.

    Its interval comes from consecutive blocks of the containers' requests, so that what differs
    from container to container is in it.
    """
    every = np.concatenate([np.asarray(one, dtype=np.float64) for one in blocks])
    found = latencies(every)
    sure = None if found is None else found.at(WARM_Q)
    values = tuple(quantile(one, WARM_Q) for one in blocks)
    if sure is None:
        return Figure(value=quantile(every.tolist(), WARM_Q), values=values)
    return Figure(value=sure.seconds, low=sure.low_s, high=sure.high_s, values=values)


def judged(
    ceiling: Ceiling, line: int, limit: float, figure: Figure | None, why_not: str, doubt: str
) -> Finding:
    """Broken only if the whole interval lies above. ``doubt``: why seconds say little."""
    verdict, why = _verdict(ceiling, limit, figure, why_not, doubt)
    return Finding(ceiling=ceiling, line=line, limit=limit, verdict=verdict, figure=figure, why=why)


def _verdict(
    ceiling: Ceiling, limit: float, figure: Figure | None, why_not: str, doubt: str
) -> tuple[Verdict, str]:
    if figure is None:
        return Verdict.UNMEASURED, why_not
    if figure.value <= limit:
        return Verdict.OK, ""
    why = doubt if ceiling in _TIMED else ""
    low = figure.value if ceiling in EXACT else figure.low
    if low is None and not why:
        why = f"{len(figure.values)} containers are too few"
    if low is None or low <= limit or why:
        return Verdict.OVER, why
    return Verdict.BROKEN, ""


def changed(ceiling: Ceiling, now: Figure, before: Figure, doubt: str) -> Change:
    """How much more it is than the last time; a difference only where the interval excludes 1."""
    if ceiling in EXACT:
        ratio = now.value / before.value
        return Change(before=before.value, ratio=ratio, trend=_trend(ratio))
    found = ratio_of_medians({0: now.values}, {0: before.values}, seed=_SEED)
    shown = found.verdict is RatioVerdict.DIFFERENT and not (doubt and ceiling in _TIMED)
    return Change(
        before=before.value,
        ratio=found.value,
        low=None if found.interval is None else found.interval.low,
        high=None if found.interval is None else found.interval.high,
        trend=_trend(found.value) if shown else Trend.SAME,
    )


def _trend(ratio: float) -> Trend:
    if abs(ratio - 1) < LEAST:
        return Trend.SAME
    return Trend.WORSE if ratio > 1 else Trend.BETTER
