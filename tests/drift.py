"""The population stability index computed in Python, which Prometheus's rules are held against."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from lab.observe.drift import FLOOR, LEAST_IMAGES, reference_expression, seen_expression

Shares = Mapping[str, float]
"""By the bin's name."""
Ask = Callable[[str], Sequence[tuple[Mapping[str, str], float]]]
"""Has Prometheus evaluate an expression: labels and value of each series of the answer."""


def psi(seen: Sequence[float], reference: Sequence[float]) -> float:
    """The index of counts or shares by bin, in the same order; both are scaled to add up to 1.

    Raises ``ValueError`` when they have not the same bins, or when one of them has nothing in any.
    """
    if len(seen) != len(reference):
        raise ValueError(f"{len(seen)} bins cannot be compared with {len(reference)}")
    return math.fsum(
        (p - q) * math.log(p / q) for p, q in zip(_shares(seen), _shares(reference), strict=True)
    )


def _shares(counts: Sequence[float]) -> Sequence[float]:
    total = math.fsum(counts)
    if not total > 0 or min(counts) < 0:
        raise ValueError("there must be something in some bin, and less than nothing in none")
    return [max(count / total, FLOOR) for count in counts]


def expected_by_chance(bins: int, *, images: float, reference_images: float) -> float:
    """The index's mean when nothing has changed: a figure of that size says nothing."""
    return (bins - 1) * (1 / images + 1 / reference_images)


def measured(ask: Ask, window: str) -> Mapping[tuple[str, str], float]:
    """What ``rule_expression`` says, computed here from what the service counted.

    By endpoint and feature.
    """
    seen, reference = (
        _by_model(ask(seen_expression(window))),
        _by_model(ask(reference_expression(window))),
    )
    found: dict[tuple[str, str], float] = {}
    for (endpoint, model, feature), counts in seen.items():
        wanted = reference.get((endpoint, model, feature), {})
        common = sorted(counts.keys() & wanted.keys())
        if not common or math.fsum(counts.values()) < LEAST_IMAGES:
            continue
        value = psi([counts[name] for name in common], [wanted[name] for name in common])
        found[endpoint, feature] = max(value, found.get((endpoint, feature), 0.0))
    return found


def _by_model(
    series: Sequence[tuple[Mapping[str, str], float]],
) -> Mapping[tuple[str, str, str], Shares]:
    bins: defaultdict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for labels, value in series:
        key = labels.get("endpoint", ""), labels.get("model", ""), labels.get("feature", "")
        bins[key][labels.get("bin", "")] = value
    return bins
