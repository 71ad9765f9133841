"""What the inputs were like that the model was tested on: ``reference`` in ``model.json``.

    {"schema": 1, "inputs": 200, "features": {"confidence": {"edges": [...], "share": [...]}}}

``edges`` cut the numbers into bins, one more than there are edges: a bin begins with its lower edge
and ends before its upper one, the outer two are open. ``share`` is each bin's share of the inputs.
The edges are the model's, not this service's, so both are always cut alike. How many inputs there
were is for people: older archives call it otherwise, and are read all the same.
"""

import math
from bisect import bisect_right
from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SCHEMA = 1
_MOST_BINS = 50
"""Each is a series in Prometheus."""
_ROUNDING = 0.01
_HUGE = 10**15
"""Beyond it a float is not exact, and an integer can be longer than any."""


class Bins:
    """One feature's bins and the reference's share of each."""

    __slots__ = ("edges", "labels", "share")

    def __init__(self, edges: "Sequence[float]", share: "Sequence[float]") -> None:
        self.edges = edges
        self.share = share
        self.labels = labels(edges)

    def place(self, value: float) -> int:
        """The bin that ``value`` falls into."""
        return bisect_right(self.edges, value)


def labels(edges: "Sequence[float]") -> list[str]:
    """The bins' names; those of whole numbers from 0 on are the numbers."""
    if list(edges) == list(range(1, len(edges) + 1)):
        return [str(number) for number in range(len(edges) + 1)]
    ends = [f"{edge:.10g}" for edge in edges]
    between = [f"{ends[at]}-{ends[at + 1]}" for at in range(len(ends) - 1)]
    return [f"<{ends[0]}", *between, f">={ends[-1]}"]


def share(edges: "Sequence[float]", values: "Iterable[float]") -> list[float]:
    """Which part of ``values`` falls into each bin."""
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[bisect_right(edges, value)] += 1
    total = sum(counts)
    return [round(count / total, 6) for count in counts]


def read(value: object, known: "Sequence[str]") -> dict[str, Bins]:
    """The bins of those ``known`` features that the reference has; raises ``ValueError``."""
    if not isinstance(value, dict) or value.get("schema") != _SCHEMA:
        raise ValueError(f"it is not of schema {_SCHEMA}")
    features = value.get("features")
    if not isinstance(features, dict):
        raise ValueError("features must be an object")  # noqa: TRY004
    return {name: _bins(name, features[name]) for name in known if name in features}


def _bins(name: str, value: object) -> Bins:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object")  # noqa: TRY004
    edges, parts = _numbers(name, value, "edges"), _numbers(name, value, "share")
    if not 1 <= len(edges) < _MOST_BINS or len(parts) != len(edges) + 1:
        raise ValueError(f"{name} must have 1 to {_MOST_BINS - 1} edges, and a share more")
    if any(later <= edge for edge, later in pairwise(edges)):
        raise ValueError(f"{name}'s edges must rise")
    if min(parts) < 0 or abs(sum(parts) - 1) > _ROUNDING:
        raise ValueError(f"{name}'s shares must add up to 1")
    bins = Bins(edges, parts)
    if len(set(bins.labels)) < len(bins.labels):
        raise ValueError(f"{name}'s edges are too near each other")
    return bins


def _numbers(name: str, value: "dict[str, object]", key: str) -> list[float]:
    given = value.get(key)
    if not isinstance(given, list):
        raise ValueError(f"{name}'s {key} must be an array")  # noqa: TRY004
    for number in given:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{name}'s {key} must be numbers")  # noqa: TRY004
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(f"{name}'s {key} must be finite")
        if abs(number) > _HUGE:
            raise ValueError(f"{name}'s {key} must be smaller")
    return given
