"""A figure of a bench: a median with its interval."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from lab.stats.quantiles import Interval, interval


@dataclass(frozen=True, kw_only=True)
class Figure:
    """The median over the rounds, and where the true median lies with 95 % confidence."""

    value: float
    interval: Interval | None


def figure_of(values: Sequence[float]) -> Figure:
    """The median and its interval."""
    return Figure(value=statistics.median(values), interval=interval(values))
