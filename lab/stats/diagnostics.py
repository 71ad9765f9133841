"""Reasons to distrust a series: values far out, a drift, a wide spread. Nothing is ever dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.stats.quantiles import median

OUTLYING: Final = 3.5
"""Modified z from which Iglewicz and Hoaglin call a value an outlier."""

MIN_FOR_OUTLIERS: Final = 5
MIN_FOR_DRIFT: Final = 8

_NORMAL_MAD = 0.6745
_NORMAL_MEAN_DEVIATION = 0.7979
_AT_ONCE = 200
_TIMES = 20


def mad(values: Sequence[float]) -> float:
    """The median absolute deviation from the median."""
    middle = median(values)
    return median([abs(value - middle) for value in values])


def relative_spread(values: Sequence[float]) -> float:
    """A robust coefficient of variation: MAD / 0.6745 / median, comparable to s.d. / mean."""
    return mad(values) / _NORMAL_MAD / median(values)


def outliers(values: Sequence[float]) -> tuple[int, ...]:
    """The places of values with a modified z above 3.5; none for fewer than five values.

    Iglewicz and Hoaglin, *How to Detect and Handle Outliers* (1993): 0.6745 (x - median) / MAD.
    With a MAD of zero (more than half are equal) the mean absolute deviation takes its place.
    """
    if len(values) < MIN_FOR_OUTLIERS:
        return ()
    middle = median(values)
    away = [abs(value - middle) for value in values]
    scale = median(away) / _NORMAL_MAD or sum(away) / len(away) / _NORMAL_MEAN_DEVIATION
    return tuple(i for i, far in enumerate(away) if scale > 0 and far / scale > OUTLYING)


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How a series moves with its order."""

    rho: float
    """Spearman's rank correlation with the order, -1 to 1."""
    p: float
    """How often a random order correlates as strongly."""
    change: float
    """Median of the last third over that of the first third, minus 1."""


def drift(values: Sequence[float], *, seed: int) -> Drift | None:
    """Spearman's correlation of the values with their order, and a seeded permutation test.

    None for fewer than eight values or when all are equal. Ties get their mean rank.
    """
    n = len(values)
    if n < MIN_FOR_DRIFT or len(set(values)) == 1:
        return None
    order = _standardised(np.arange(n, dtype=np.float64))
    ranks = _standardised(_ranks(values))
    rho = float(order @ ranks)
    rng = np.random.default_rng(seed)
    # In portions, so that a run of ten thousand trials needs no gigabyte.
    shuffled = [rng.permuted(np.tile(ranks, (_AT_ONCE, 1)), axis=1) @ order for _ in range(_TIMES)]
    as_strong = int(np.count_nonzero(np.abs(shuffled) >= abs(rho) - 1e-12))
    third = n // 3
    return Drift(
        rho=rho,
        p=(as_strong + 1) / (_AT_ONCE * _TIMES + 1),
        change=median(values[-third:]) / median(values[:third]) - 1,
    )


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    below = (array[None, :] < array[:, None]).sum(axis=1)
    equal = (array[None, :] == array[:, None]).sum(axis=1)
    return np.asarray(below + (equal + 1) / 2, dtype=np.float64)


def _standardised(array: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = array - array.mean()
    return np.asarray(centred / np.linalg.norm(centred), dtype=np.float64)
