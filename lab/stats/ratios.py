"""How many times longer one thing takes than another, and whether that is shown at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.stats.quantiles import CONFIDENCE, Interval, interval, median

RESAMPLES: Final = 4000
ENOUGH: Final = 6
"""From so many samples a side a median has a 95 % interval of its own, and a bootstrap is used."""

_SMALLEST_COVERAGE = 0.5

Blocks = Mapping[int, Sequence[float]]
"""Values by the block of the run in which they were measured."""


@unique
class RatioVerdict(StrEnum):
    """What a ratio shows."""

    DIFFERENT = "difference shown"
    SAME = "no difference shown"
    LIKELY = "difference likely, from few samples"
    """The interval excludes 1 but covers less than 95 %."""
    UNKNOWN = "too few samples to tell"


@unique
class Method(StrEnum):
    """Where a ratio's interval comes from."""

    PAIRED = "bootstrap of blocks"
    UNPAIRED = "bootstrap"
    EXTREMES = "extremes"
    BLOCKS = "both sides' intervals"
    PAIRS = "order statistics of pairs"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio of medians; ``interval`` is None when there are too few samples for any."""

    value: float
    interval: Interval | None
    method: Method

    @property
    def verdict(self) -> RatioVerdict:
        """Different only if an interval of 95 % excludes 1."""
        if self.interval is None:
            return RatioVerdict.UNKNOWN
        if self.interval.holds(1.0):
            return RatioVerdict.SAME if self.interval.confident else RatioVerdict.UNKNOWN
        return RatioVerdict.DIFFERENT if self.interval.confident else RatioVerdict.LIKELY


def ratio_of_medians(numerator: Blocks, denominator: Blocks, *, seed: int) -> Ratio:
    """median(numerator) / median(denominator), all values > 0.

    With six or more samples a side: the percentile bootstrap (Efron and Tibshirani, *An
    Introduction to the Bootstrap*, 1993, chapter 13), seeded. When every block holds both sides,
    whole blocks are drawn, so that what both shared at the time cancels.

    With fewer: [min/max, max/min], which needs no assumption. The true ratio can only lie above
    if all of the numerator lie below their median or all of the denominator above theirs, so the
    interval misses with at most 2 (2^-n + 2^-m). Given from one half (three samples a side).
    """
    over = [value for values in numerator.values() for value in values]
    under = [value for values in denominator.values() for value in values]
    value = median(over) / median(under)
    if min(len(over), len(under)) < ENOUGH:
        return _from_extremes(value, over, under)
    rng = np.random.default_rng(seed)
    paired = set(numerator) == set(denominator) and len(numerator) >= ENOUGH
    if paired:
        ratios = _draw_blocks(numerator, denominator, rng)
    else:
        ratios = _draw_medians(over, rng) / _draw_medians(under, rng)
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(x) for x in np.quantile(ratios, [tail, 1 - tail]))
    # The point estimate belongs inside, whatever a discrete bootstrap distribution does.
    found = Interval(low=min(low, value), high=max(high, value), coverage=CONFIDENCE)
    return Ratio(value=value, interval=found, method=Method.PAIRED if paired else Method.UNPAIRED)


def ratio_of_pairs(pairs: Sequence[tuple[float, float]]) -> Ratio:
    """The median of numerator / denominator over pairs that were measured side by side.

    Its interval needs no assumption and no bootstrap (``lab.stats.quantiles.interval``): from six
    pairs it is one of 95 %, from two there is any. Raises ``ValueError`` for no pairs.
    """
    ratios = [over / under for over, under in pairs]
    return Ratio(value=median(ratios), interval=interval(ratios), method=Method.PAIRS)


def _from_extremes(value: float, over: Sequence[float], under: Sequence[float]) -> Ratio:
    coverage = 1 - 2 * (0.5 ** len(over) + 0.5 ** len(under))
    if coverage < _SMALLEST_COVERAGE:
        return Ratio(value=value, interval=None, method=Method.NONE)
    low, high = min(over) / max(under), max(over) / min(under)
    found = Interval(low=low, high=high, coverage=min(coverage, CONFIDENCE))
    return Ratio(value=value, interval=found, method=Method.EXTREMES)


def _draw_medians(values: Sequence[float], rng: np.random.Generator) -> NDArray[np.float64]:
    drawn = rng.choice(np.asarray(values, dtype=np.float64), size=(RESAMPLES, len(values)))
    return np.asarray(np.median(drawn, axis=1), dtype=np.float64)


def _draw_blocks(
    numerator: Blocks, denominator: Blocks, rng: np.random.Generator
) -> NDArray[np.float64]:
    blocks = sorted(numerator)
    picks = rng.integers(len(blocks), size=(RESAMPLES, len(blocks)))
    return _block_medians(numerator, blocks, picks) / _block_medians(denominator, blocks, picks)


def _block_medians(
    values: Blocks, blocks: Sequence[int], picks: NDArray[np.int64]
) -> NDArray[np.float64]:
    if len({len(values[block]) for block in blocks}) == 1:
        table = np.asarray([values[block] for block in blocks], dtype=np.float64)
        return np.asarray(np.median(table[picks].reshape(len(picks), -1), axis=1))
    return np.asarray(
        [np.median([x for i in pick for x in values[blocks[i]]]) for pick in picks],
        dtype=np.float64,
    )
