"""How many times longer requests of one load took than those of another.

From the intervals of both sides, which already know that requests wait for each other: on a
logarithmic axis the distances from each value to the ends of its interval add as squares (MOVER:
Zou and Donner, *Construction of confidence limits about effect measures*, Statistics in Medicine
27, 2008; of ratios: Donner and Zou, Statistical Methods in Medical Research 21, 2012). Under the
same schedule both sides have their busy spells at the same time; what their blocks share is then
no difference, and is taken off.
"""

import math

import numpy as np

from lab.load.requests import Floats
from lab.load.statistics import CORRELATED, effect, latencies
from lab.stats.quantiles import CONFIDENCE, Interval
from lab.stats.ratios import Method, Ratio


def ratio_of_quantiles(over: Floats, under: Floats, q: float, *, paired: bool) -> Ratio | None:
    """``over`` / ``under``: latencies > 0 in the order of their instants.

    ``paired``: both had the same schedule. Without an interval where too few independent requests
    bound one of them; None where the number of one does not support the quantile at all.
    """
    sides = latencies(over), latencies(under)
    one, other = (side.at(q) if side else None for side in sides)
    if one is None or other is None:
        return None
    value = one.seconds / other.seconds
    ends = (one.low_s, one.high_s, other.low_s, other.high_s)
    if any(not end for end in ends):
        return Ratio(value=value, interval=None, method=Method.NONE)
    low, high, other_low, other_high = (math.log(end) for end in ends if end)
    middle, other_middle = math.log(one.seconds), math.log(other.seconds)
    shared = _shared(over, under, q) if paired else 0.0
    below = _together(middle - low, other_high - other_middle, shared)
    above = _together(high - middle, other_middle - other_low, shared)
    interval = Interval(
        low=value * math.exp(-below), high=value * math.exp(above), coverage=CONFIDENCE
    )
    return Ratio(value=value, interval=interval, method=Method.BLOCKS)


def _together(one: float, other: float, shared: float) -> float:
    return math.sqrt(max(one**2 + other**2 - 2 * shared * one * other, 0.0))


def _shared(over: Floats, under: Floats, q: float) -> float:
    """The correlation of the blocks of both sides, where it is more than chance has it."""
    sides = [effect(values, float(np.quantile(values, q)), q).residuals for values in (over, under)]
    if len(sides[0]) != len(sides[1]) or not all(side.any() for side in sides):
        return 0.0
    found = float(np.corrcoef(sides[0], sides[1])[0, 1])
    return found if found > CORRELATED else 0.0
