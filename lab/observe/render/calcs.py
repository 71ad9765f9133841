"""A series as one number: Grafana's calculations by their ids."""

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Final

_Points = Sequence[float | None]


def reduced(values: _Points, how: str) -> float | None:
    """One number for all values; None when there is none. Raises ``KeyError`` if unknown."""
    if how in ("last", "first"):
        return (values[-1] if how == "last" else values[0]) if values else None
    present = [value for value in values if value is not None]
    if how == "count":
        return float(len(values))
    return _CALCS[how](present) if present else None


def title(how: str) -> str:
    """As Grafana heads a column of a legend."""
    return _TITLES.get(how, how)


def _steps(values: Sequence[float]) -> float:
    """What a counter that may restart rose by."""
    return sum(b - a if b >= a else b for a, b in itertools.pairwise(values))


_CALCS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "lastNotNull": lambda values: values[-1],
    "firstNotNull": lambda values: values[0],
    "min": min,
    "max": max,
    "mean": statistics.fmean,
    "sum": sum,
    "median": statistics.median,
    "range": lambda values: max(values) - min(values),
    "diff": lambda values: values[-1] - values[0],
    "diffperc": lambda values: (values[-1] - values[0]) / values[0] if values[0] else 0.0,
    "delta": _steps,
    "stdDev": statistics.pstdev,
    "variance": statistics.pvariance,
    "step": lambda values: min((b - a for a, b in itertools.pairwise(values)), default=0.0),
    "distinctCount": lambda values: float(len(set(values))),
    "changeCount": lambda values: float(sum(a != b for a, b in itertools.pairwise(values))),
    "logmin": lambda values: min((value for value in values if value > 0), default=0.0),
    "allIsZero": lambda values: float(not any(values)),
}
_TITLES: Final = {
    "lastNotNull": "Last *",
    "firstNotNull": "First *",
    "last": "Last",
    "first": "First",
    "min": "Min",
    "max": "Max",
    "mean": "Mean",
    "sum": "Total",
    "count": "Count",
    "median": "Median",
    "range": "Range",
    "diff": "Difference",
    "delta": "Delta",
    "stdDev": "StdDev",
}
