"""Quantiles with distribution-free confidence intervals from order statistics.

Start-up times are skewed and come in few: nothing here assumes a shape. Sources: Hahn and Meeker,
*Statistical Intervals* (1991), section 5.2; Conover, *Practical Nonparametric Statistics* (1999),
section 3.2. Both rest on one fact: the number of samples below the true q-quantile is
Binomial(n, q).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

CONFIDENCE: Final = 0.95
LADDER: Final = (0.5, 0.75, 0.9, 0.95, 0.99)
"""The quantiles that are ever printed."""

_ROUNDING = 1e-12
_SMALLEST_COVERAGE = 0.5


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Holds the true value with at least probability ``coverage``."""

    low: float
    high: float
    coverage: float

    @property
    def confident(self) -> bool:
        """Whether the coverage reaches 95 %."""
        return self.coverage >= CONFIDENCE - _ROUNDING

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies inside, ends included."""
        return self.low <= value <= self.high


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile, linear between order statistics (Hyndman and Fan's type 7, NumPy's own).

    Raises ``ValueError`` for no values or a q outside 0..1.
    """
    if not values or not 0 <= q <= 1:
        raise ValueError(f"no {q}-quantile of {len(values)} values")
    ordered = sorted(values)
    place = (len(ordered) - 1) * q
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    step = ordered[above] - ordered[below]
    # Clamped: the product's rounding must not lead out of the two neighbours.
    return min(ordered[below] + (place - below) * step, ordered[above])


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the middle two."""
    return quantile(values, 0.5)


def supports(n: int, q: float) -> bool:
    """Whether the largest of n samples bounds the q-quantile from above with 95 % confidence.

    That is 1 - q^n >= 0.95: n >= 5, 11, 29, 59, 299 for p50, p75, p90, p95, p99.
    """
    return n > 0 and 1 - q**n >= CONFIDENCE - _ROUNDING


def samples_for(q: float) -> int:
    """The smallest n that supports the q-quantile."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(q) - _ROUNDING)


def supported(n: int) -> tuple[float, ...]:
    """The quantiles of the ladder that n samples support; the median always (if n > 0)."""
    return tuple(q for q in LADDER if n > 0 and (q == LADDER[0] or supports(n, q)))


def interval(values: Sequence[float], q: float = 0.5) -> Interval | None:
    """The tightest interval between two order statistics that holds the q-quantile at 95 %.

    Equal tails where n allows (for the median from n = 6). Above the median, where the upper
    tail alone may cost more than 2.5 %, the error goes where it must (p90 from n = 29). Smaller n
    get the widest interval there is, smallest to largest, with the coverage that it reaches, or
    None when that is below one half.
    """
    n = len(values)
    ordered = sorted(values)
    ranks = _equal_tails(n, q) or _shortest(n, q)
    if ranks is None:
        coverage = 1 - q**n - (1 - q) ** n
        if n == 0 or coverage < _SMALLEST_COVERAGE:
            return None
        return Interval(low=ordered[0], high=ordered[-1], coverage=coverage)
    low, high, coverage = ranks
    return Interval(low=ordered[low - 1], high=ordered[high - 1], coverage=coverage)


def _at_most(n: int, q: float) -> list[float]:
    """P(B <= k) for k = 0..n, where B is Binomial(n, q)."""
    return list(accumulate(math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(n + 1)))


def _equal_tails(n: int, q: float) -> tuple[int, int, float] | None:
    """Ranks (from 1) whose tails are each at most 2.5 %, and their coverage."""
    tail = (1 - CONFIDENCE) / 2 + _ROUNDING
    below = _at_most(n, q)
    lows = [r for r in range(1, n + 1) if below[r - 1] <= tail]
    highs = [s for s in range(1, n + 1) if 1 - below[s - 1] <= tail]
    if not lows or not highs:
        return None
    low, high = max(lows), min(highs)
    return low, high, below[high - 1] - below[low - 1]


def _shortest(n: int, q: float) -> tuple[int, int, float] | None:
    """Ranks with the fewest samples between them that reach 95 % together, tails unequal."""
    below = _at_most(n, q)
    best: tuple[int, int, float] | None = None
    for low in range(1, n + 1):
        for high in range(low + 1, n + 1):
            coverage = below[high - 1] - below[low - 1]
            if coverage >= CONFIDENCE - _ROUNDING:
                if best is None or high - low < best[1] - best[0]:
                    best = (low, high, coverage)
                break
    return best
