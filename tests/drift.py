"""Drift as services/prometheus/rules/drift.yml defines it: as expressions, and in Python."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

SMALL: Final = 0.1
"""From here on: look into it."""
LARGE: Final = 0.25
"""Above: what comes is something else."""
FLOOR: Final = 1e-4
"""Of each share."""
LEAST_INPUTS: Final = 30
"""Within the window; with fewer there is no figure."""
WINDOWS: Final = ("5m", "1h")
"""Sliding: the short one for a demonstration, the long one for judging."""

BIN: Final = "lab_inference_drift_bin_total"
REFERENCE: Final = "lab_inference_drift_reference_ratio"
_OF_MODEL: Final = "endpoint, model, feature"

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


def expected_by_chance(bins: int, *, inputs: float, reference_inputs: float) -> float:
    """The index's mean when nothing has changed: a figure of that size says nothing."""
    return (bins - 1) * (1 / inputs + 1 / reference_inputs)


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
        if not common or math.fsum(counts.values()) < LEAST_INPUTS:
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


def psi_record(window: str) -> str:
    """The recording rule's name."""
    return f"endpoint_feature:drift_psi:{window}"


def inputs_record(window: str) -> str:
    """The name of the rule that tells of how many inputs it is made."""
    return f"endpoint_feature:drift_inputs:{window}"


def rule_expression(window: str) -> str:
    """PSI by endpoint and feature, in PromQL; no series where fewer than 30 inputs came.

    The reference is taken as of any time within the window, like the inputs: a serverless endpoint
    may have no container now.
    """
    seen, inputs = seen_expression(window), _inputs(window)
    p = f"clamp_min({seen} / on ({_OF_MODEL}) group_left () {inputs}, {FLOOR:g})"
    q = f"clamp_min({reference_expression(window)}, {FLOOR:g})"
    return (
        "max by (endpoint, feature) (\n"
        f"  sum by ({_OF_MODEL}) (\n"
        f"    ({p} - {q})\n"
        f"    * ln({p} / {q})\n"
        "  )\n"
        f"  and on ({_OF_MODEL}) {inputs} >= {LEAST_INPUTS}\n"
        ")"
    )


def inputs_expression(window: str) -> str:
    """How many inputs of an endpoint came within the window, by feature, in PromQL."""
    return f"sum by (endpoint, feature) (increase({BIN}[{window}]))"


def seen_expression(window: str) -> str:
    """How many inputs of a model came within the window, by bin, in PromQL."""
    return f"sum by ({_OF_MODEL}, bin) (increase({BIN}[{window}]))"


def _inputs(window: str) -> str:
    return f"sum by ({_OF_MODEL}) (increase({BIN}[{window}]))"


def reference_expression(window: str) -> str:
    """The shares that a model's reference has, by bin, in PromQL."""
    # All containers of a model tell the same; the mean would be of as many as there were.
    return f"max by ({_OF_MODEL}, bin) (last_over_time({REFERENCE}[{window}]))"
