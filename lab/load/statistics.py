"""How long requests took, and how sure that is, though each waited for those before it.

Requests of one load are not independent: in a queue, all behind a slow one are slow. An interval
that takes them for independent is far too narrow. So the rows are cut into 20 consecutive blocks,
each long beside what one slow request does to its neighbours, and the variance of the share of
requests below a quantile is taken between blocks (batch means: Seila, *A batching approach to
quantile estimation in regenerative simulations*, Management Science 28, 1982; what neighbouring
blocks still share is added). It tells how many independent requests would say as much, and of so
many the interval is the exact one between order statistics that ``lab.stats.quantiles`` takes
(Korn and Graubard, Survey Methodology 24, 1998; for quantiles Woodruff, JASA 47, 1952).

Where the blocks are correlated beyond ``CORRELATED`` they are too short for that, the interval is
too narrow, and ``QuantileFigure.doubtful`` says so: the load was too short for its queue.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from lab.load.requests import Floats, Requests
from lab.schema import Frozen
from lab.stats.quantiles import CONFIDENCE, supports

QUANTILES: Final = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
BLOCKS: Final = 20
CORRELATED: Final = 0.5
"""Of each block with the next: more than two standard errors of 20 independent ones, so that six
quantiles together seldom give a false alarm."""
_T_SHARE: Final = (1.960 / 2.093) ** 2
"""Of the effective number that is left, since the variance comes from 20 blocks (Student's t)."""


class QuantileFigure(Frozen):
    """A quantile and what bounds it with 95 % confidence."""

    q: float
    seconds: float
    low_s: float | None
    high_s: float | None
    """None where too few independent requests lie above: one stall, however many waited for it."""
    effective_n: int
    """How many independent requests would say as much."""
    correlation: float
    """Of each block with the next."""

    @property
    def doubtful(self) -> bool:
        """Whether the interval is too narrow: the load was too short for its queue."""
        return self.correlation > CORRELATED


class Latencies(Frozen):
    """How long some requests took. The quantiles are those that their number supports."""

    n: int
    mean_s: float
    max_s: float
    quantiles: tuple[QuantileFigure, ...]

    def at(self, q: float) -> QuantileFigure | None:
        """None where the number does not support it."""
        return next((one for one in self.quantiles if one.q == q), None)


class LatencySummary(Frozen):
    """A load, or a part of one, in figures."""

    n: int
    """Sent, and counted."""
    answered: int
    throttled: int
    failed: int
    cold: int
    """Answered, after they had waited for a container that had to be started."""
    told: bool
    """Whether the answers tell which were cold."""
    uncounted: int
    """The first ones, which are in none of these figures."""
    seconds: float
    """From the first intended instant to the last answer."""
    offered_per_s: float
    """Sent, between the first and the last intended instant."""
    achieved_per_s: float
    """Answered well."""
    latency: Latencies | None
    """From the intended instant to the end of the answer; of those answered, cold ones among
    them. None when none was."""
    cold_latency: Latencies | None
    warm_latency: Latencies | None
    """The rest: of a target that does not tell cold from warm that is all."""
    service: Latencies | None
    """From when it was sent: what the generator's own lateness and queue leave out."""

    @property
    def error_share(self) -> float:
        """Failed or throttled, of those sent."""
        return (self.failed + self.throttled) / self.n if self.n else 0.0

    @property
    def cold_share(self) -> float:
        """Of those answered."""
        return self.cold / self.answered if self.answered else 0.0


def summarise(requests: Requests, *, uncounted: int = 0) -> LatencySummary:
    """All figures of a load; ``uncounted`` leaves the first ones out."""
    left_out = int((requests.number < uncounted).sum())
    counted = in_order(requests.where(requests.number >= uncounted))
    good = counted.where(counted.answered)
    n = len(counted)
    span_s = float(counted.done_s.max() - counted.intended_s[0]) if n else 0.0
    sending_s = float(counted.intended_s[-1] - counted.intended_s[0]) if n else 0.0
    return LatencySummary(
        n=n,
        answered=len(good),
        throttled=int(counted.throttled.sum()),
        failed=int(counted.failed.sum()),
        cold=int((good.cold == 1).sum()),
        told=bool((good.cold >= 0).any()),
        uncounted=left_out,
        seconds=span_s,
        offered_per_s=(n - 1) / sending_s if sending_s else 0.0,
        achieved_per_s=len(good) / span_s if span_s else 0.0,
        latency=latencies(good.latency_s),
        cold_latency=latencies(good.latency_s[good.cold == 1]),
        warm_latency=latencies(good.latency_s[good.cold != 1]),
        service=latencies(good.done_s - good.sent_s),
    )


def in_order(requests: Requests) -> Requests:
    """By when they were to be sent: what lies side by side shared a queue."""
    order = np.argsort(requests.intended_s, kind="stable")
    if bool((np.diff(order) == 1).all()):
        return requests
    return requests.take(order)


def latencies(values: Floats) -> Latencies | None:
    """Of requests in the order of their instants; None of none."""
    if not len(values):
        return None
    ordered = np.sort(values)
    supported = [q for q in QUANTILES if q == QUANTILES[0] or supports(len(values), q)]
    return Latencies(
        n=len(values),
        mean_s=float(values.mean()),
        max_s=float(ordered[-1]),
        quantiles=tuple(_figure(values, ordered, q) for q in supported),
    )


def upper_bound(requests: Requests, q: float, confidence: float = CONFIDENCE) -> float | None:
    """What the q-quantile of the latency is below, with one-sided confidence.

    Of all answered requests, cold ones among them; None where they are too few to say.
    """
    good = in_order(requests.where(requests.answered))
    values = good.latency_s
    if not len(values):
        return None
    ordered = np.sort(values)
    weight = effect(values, float(np.quantile(ordered, q)), q)
    above = _ranks(weight.effective_n, q, low_tail=0.0, high_tail=1 - confidence)[1]
    return None if above is None else _high(ordered, above, weight.effective_n)


# --- intervals -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What the blocks say of a quantile."""

    effective_n: int
    correlation: float
    residuals: Floats
    """Of each block: requests below the quantile, over what was expected."""


def effect(values: Floats, at: float, q: float) -> Effect:
    """How much ``values``, in order, say of their q-quantile, which is ``at``."""
    n = len(values)
    blocks = min(BLOCKS, n)
    starts = np.linspace(0, n, blocks, endpoint=False).astype(np.int64)
    below = np.add.reduceat((values <= at).astype(np.float64), starts)
    sizes = np.diff(np.append(starts, n))
    residuals = below - sizes * below.sum() / n
    squares = float(residuals @ residuals)
    if not squares or blocks < 3:
        return Effect(effective_n=n, correlation=0.0, residuals=residuals)
    correlation = float(residuals[1:] @ residuals[:-1]) / squares
    variance = blocks / (blocks - 1) * squares * (1 + 2 * max(correlation, 0.0))
    design = variance / (n * q * (1 - q))
    return Effect(
        effective_n=max(min(n, int(n / design * _T_SHARE)), 1),
        correlation=correlation,
        residuals=residuals,
    )


def _figure(values: Floats, ordered: Floats, q: float) -> QuantileFigure:
    at = float(np.quantile(ordered, q))
    found = effect(values, at, q)
    size = found.effective_n
    tail = (1 - CONFIDENCE) / 2
    low, high = _ranks(size, q, low_tail=tail, high_tail=tail)
    if high is None and supports(size, q):
        # Above, the largest may cost more than half of the error: the other side gets the rest.
        high = size
        low, _ = _ranks(size, q, low_tail=1 - CONFIDENCE - q**size, high_tail=0.0)
    return QuantileFigure(
        q=q,
        seconds=at,
        low_s=None if low is None else min(float(ordered[(low - 1) * len(ordered) // size]), at),
        high_s=None if high is None else max(_high(ordered, high, size), at),
        effective_n=size,
        correlation=found.correlation,
    )


def _high(ordered: Floats, rank: int, size: int) -> float:
    """The order statistic of all that takes the place of ``rank`` among ``size``."""
    return float(ordered[-(-rank * len(ordered) // size) - 1])


def _ranks(n: int, q: float, *, low_tail: float, high_tail: float) -> tuple[int | None, int | None]:
    """Of n independent samples, the ranks (from 1) beyond which the q-quantile lies so rarely."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    k = np.arange(n + 1)
    mass = np.exp(logs[n] - logs - logs[::-1] + k * np.log(q) + (n - k) * np.log1p(-q))
    below = np.cumsum(mass)
    lows = int(np.searchsorted(below, low_tail, side="right"))
    highs = int(np.searchsorted(below, 1 - high_tail, side="left")) + 1
    return lows or None, highs if highs <= n else None
