"""Arrivals drawn by a model: sorted instants from 0 up to a horizon, in seconds.

Every process begins in its stationary state, so that the mean rate holds from the first second.
Rates are a second's. Nothing is checked here but what only the drawing shows: see ``parse``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lab.errors import UsageError
from lab.units import format_seconds

Instants = NDArray[np.float64]

RATIO: Final = 10.0
"""Of the two rates of an MMPP, where nothing else was asked."""
MOST_SWITCHES: Final = 20_000_000
_AT_ONCE: Final = 1_000


def constant(*, rate: float, horizon_s: float) -> Instants:
    """Evenly spaced, the first at 0."""
    return np.arange(math.ceil(rate * horizon_s - 1e-9)) / rate


def poisson(*, rate: float, horizon_s: float, rng: Generator) -> Instants:
    """A Poisson process: given how many there are, they lie independently and uniformly."""
    return np.sort(rng.uniform(0, horizon_s, rng.poisson(rate * horizon_s)))


def gamma(*, rate: float, cv: float, horizon_s: float, rng: Generator) -> Instants:
    """A renewal process: the gaps are Gamma with a coefficient of variation ``cv``.

    Its counts have the index of dispersion cv^2 in the limit (Cox and Lewis, *The Statistical
    Analysis of Series of Events*, 1966). The first gap is the rest of one that is
    under way: of a gap drawn in proportion to its length, a uniform part.
    """
    shape, scale = 1 / cv**2, cv**2 / rate
    last = rng.gamma(shape + 1, scale) * rng.uniform()
    parts: list[Instants] = [np.asarray([last])]
    while last < horizon_s:
        more = int(rate * (horizon_s - last) * 1.1) + _AT_ONCE
        parts.append(last + np.cumsum(rng.gamma(shape, scale, more)))
        last = float(parts[-1][-1])
    instants = np.concatenate(parts)
    return instants[: np.searchsorted(instants, horizon_s)]


def at_rates(
    rates: Sequence[tuple[float, float, float]], *, rng: Generator | None = None
) -> Instants:
    """Along parts of ``(rate at its begin, rate at its end, seconds)``, linear in each.

    Even instants, one wherever the integral of the rate has grown by one; with ``rng`` a Poisson
    process of that rate (both by inverting the integral: Cinlar, *Introduction to Stochastic
    Processes*, 1975).
    """
    begins, ends, lengths = np.asarray(rates, dtype=np.float64).T
    grown = np.concatenate([[0.0], np.cumsum((begins + ends) / 2 * lengths)])
    total = float(grown[-1])
    units = (
        np.arange(math.ceil(total - 1e-9), dtype=np.float64)
        if rng is None
        else np.sort(rng.uniform(0, total, rng.poisson(total)))
    )
    part = np.clip(np.searchsorted(grown, units, side="right") - 1, 0, len(lengths) - 1)
    left = units - grown[part]
    begin, slope = begins[part], ((ends - begins) / lengths)[part]
    # The root of begin t + slope t^2 / 2 = left, in the form that does not cancel where slope is 0.
    within = 2 * left / (begin + np.sqrt(np.maximum(begin**2 + 2 * slope * left, 0)))
    return np.asarray((np.cumsum(lengths) - lengths)[part] + within)


@dataclass(frozen=True, kw_only=True)
class Mmpp:
    """A two-state Markov-modulated Poisson process: rates l1, l2, left at the rates s1, s2.

    Source of its moments: Fischer and Meier-Hellstern, *The Markov-modulated Poisson process (MMPP)
    cookbook*, Performance Evaluation 18 (1993).
    """

    l1: float
    l2: float
    s1: float
    s2: float

    def __str__(self) -> str:
        sojourns = (format_seconds(1 / self.s1), format_seconds(1 / self.s2))
        return f"{self.l1:.3g}/s for {sojourns[0]}, {self.l2:.3g}/s for {sojourns[1]} on average"

    @property
    def rate(self) -> float:
        return (self.l1 * self.s2 + self.l2 * self.s1) / (self.s1 + self.s2)

    @property
    def idc(self) -> float:
        """The limit of variance over mean of the counts in longer and longer windows."""
        s1, s2, l1, l2 = self.s1, self.s2, self.l1, self.l2
        return 1 + 2 * s1 * s2 * (l1 - l2) ** 2 / ((s1 + s2) ** 2 * (l1 * s2 + l2 * s1))

    @classmethod
    def of(
        cls, *, rate: float, idc: float, ratio: float | None = None, switch_s: float | None = None
    ) -> Self:
        """The process with that mean rate and that index of dispersion; two parameters are left.

        - Neither given: ``ratio`` = l1 / l2 is 10.
        - ``ratio`` (``inf`` for a silent second state) or ``switch_s`` (mean sojourn) alone: both
          states last equally long, s1 = s2 = s. With m the mean rate and c = (ratio - 1) /
          (ratio + 1) it is l1 = m (1 + c), l2 = m (1 - c), s = m c^2 / (idc - 1).
        - Both: the share p of the time that is spent in the state of l1 gives way. ``switch_s`` is
          then the mean of the two sojourns, and of the two p that fit, the greater is taken, which
          is 1/2 where equal sojourns fit.

        Raises ``UsageError`` where no process is like that.
        """
        if idc == 1:
            return cls(l1=rate, l2=rate, s1=1.0, s2=1.0)
        share = 0.5
        if switch_s is None:
            low = 1 / (RATIO if ratio is None else ratio)
            s = rate * ((1 - low) / (1 + low)) ** 2 / (idc - 1)
            return cls(l1=2 * rate / (1 + low), l2=2 * rate * low / (1 + low), s1=s, s2=s)
        # idc - 1 = 4 switch m k^2, where k = p (1-p) (1-low) / (low + p (1-low)).
        k = math.sqrt((idc - 1) / (4 * rate * switch_s))
        low = max(0.0, (1 - 2 * k) / (1 + 2 * k)) if ratio is None else 1 / ratio
        root = math.sqrt(low)
        most = 0.5 if ratio is None else (1 - root) / (1 + root)
        if k > most:
            least = (idc - 1) / (4 * rate * most**2)
            raise UsageError(
                f"No MMPP of {rate:g}/s with idc={idc:g} changes its rate every "
                f"{format_seconds(switch_s)}.",
                remedy=f"Give switch={least:.3g}s or longer, or a smaller idc.",
            )
        if ratio is not None:
            share = (1 - k + math.sqrt(max((1 - k) ** 2 - 4 * k * low / (1 - low), 0.0))) / 2
        total = 1 / (2 * switch_s * share * (1 - share))
        high = rate / (low + share * (1 - low))
        return cls(l1=high, l2=low * high, s1=total * (1 - share), s2=total * share)

    def draw(self, *, horizon_s: float, rng: Generator) -> Instants:
        """Instants. How near a single schedule comes to ``idc`` is said in ``dispersion``.

        Raises ``UsageError`` where the rate would change more than ``MOST_SWITCHES`` times.
        """
        pairs = horizon_s / (1 / self.s1 + 1 / self.s2)
        if pairs * 2 > MOST_SWITCHES:
            raise UsageError(
                f"The rate would change {pairs * 2:.2g} times, and {MOST_SWITCHES:g} is the most.",
                remedy="An idc this near to 1 is a Poisson process: use poisson:.",
            )
        first = rng.uniform() * (self.s1 + self.s2) >= self.s2  # Whether it begins with l2.
        means = np.asarray([1 / self.s1, 1 / self.s2])
        lengths: Instants = np.empty(0)
        while (total := float(lengths.sum())) < horizon_s:
            more = int(pairs * (1 - total / horizon_s) * 1.1) + _AT_ONCE
            states = (np.arange(2 * more) + first) % 2
            lengths = np.concatenate([lengths, rng.exponential(means[states])])
        ends = np.minimum(np.cumsum(lengths), horizon_s)
        begins = np.concatenate([[0.0], ends[:-1]])
        rates = np.asarray([self.l1, self.l2])[(np.arange(len(ends)) + first) % 2]
        counts = rng.poisson(rates * (ends - begins))
        where = np.repeat(begins, counts) + rng.uniform(size=int(counts.sum())) * np.repeat(
            ends - begins, counts
        )
        return np.sort(where)
