"""Where a start turns from waiting for the interpreter to waiting for the table.

Of every start the lead is taken: seconds of what grows with the table, less seconds of all the
rest. Between two neighbouring sizes its median is taken to be affine in the number of items, for
bytes read, copied and multiplied are in proportion to them: with leads y0 < 0 <= y1 at x0 and x1
items the start turns at ``x0 - y0 (x1 - x0) / (y1 - y0)``. Nothing is said beyond the smallest and
the largest size.

An interval comes from the intervals of the leads' medians: its low end is where their upper ends
cross zero, its high end where their lower ends do. If the lead grows from size to size, each end is
wrong only if one of the two intervals that it rests on is wrong on one side; with every interval's
coverage at least c that is 1 - c for each end, so that the whole holds with at least 2 c - 1.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from lab.coldstart.catalogue import Binding, Crossing, Median

_LEAST: Final = 0.5
"""What an interval must cover to be worth a word."""


def root(points: Sequence[tuple[float, float]]) -> float:
    """From where on a piecewise affine curve is not below 0, given by points in the order of x.

    Infinity where it ends below 0, minus infinity where it never is. Of several crossings the last.
    """
    if not points or points[-1][1] < 0:
        return math.inf
    for (x0, y0), (x1, y1) in reversed([*pairwise(points)]):
        if y0 < 0:
            return x0 - y0 * (x1 - x0) / (y1 - y0)
    return -math.inf


def crossing(leads: Sequence[tuple[int, Median]], *, per_item_s: float) -> Crossing:
    """Where it turns, by the leads at two sizes or more, the smallest first."""
    at = root([(items, one.s) for items, one in leads])
    if math.isinf(at):
        binding = Binding.REST if at > 0 else Binding.TABLE
        return Crossing(binding=binding, items=None, per_item_s=per_item_s)
    held = [(items, one.interval) for items, one in leads if one.interval is not None]
    coverage = 2 * min(one.coverage or 0.0 for _, one in leads) - 1
    if len(held) < len(leads) or coverage < _LEAST:
        return Crossing(binding=Binding.CROSSES, items=at, per_item_s=per_item_s)
    low = root([(items, high) for items, (_, high) in held])
    high = root([(items, low) for items, (low, _) in held])
    return Crossing(
        binding=Binding.CROSSES,
        items=at,
        low=None if math.isinf(low) else low,
        high=None if math.isinf(high) else high,
        coverage=coverage,
        per_item_s=per_item_s,
    )
