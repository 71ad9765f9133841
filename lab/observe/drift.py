"""Whether what comes still looks like what the model was tested on: the population stability index.

    PSI = sum over the bins of (p - q) ln(p / q)

with p a bin's share of what came within the window and q its share of the reference, both floored
at 0.0001, for an empty bin would make it infinite. It is 0 when both are alike, never negative, and
the same whichever is called the reference (it is Kullback and Leibler's divergence, both ways
added up; Jeffreys 1946).

Source of the formula and of the thresholds: Naeem Siddiqi, *Credit Risk Scorecards: Developing and
Implementing Intelligent Credit Scoring*, Wiley 2006: below 0.1 no significant change, from 0.1 on a
small change that needs investigation, above 0.25 a significant shift. These are rules of thumb,
made for scores by the thousand in ten bins. Of few images, chance alone moves it: if nothing has
changed, PSI / (1 / images + 1 / reference images) is spread as chi squared with bins - 1 degrees of
freedom (Bilal Yurdakul and Joshua Naranjo, "Statistical properties of the population stability
index", *Journal of Risk Model Validation*, 2020). So references have five bins, which keeps its
mean without any change at 0.15 for 30 images and below 0.06 for 100; fewer than 30 say nothing.

The service counts images by bin and tells the reference's shares (``lab_inference_drift_*``);
Prometheus does the sum by ``rule_expression``. Counts are added up over an endpoint's containers of
one model; of several models (two variants, an update) the one that drifts most is the endpoint's.
"""

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
LEAST_IMAGES: Final = 30
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


def expected_by_chance(bins: int, *, images: float, reference_images: float) -> float:
    """The index's mean when nothing has changed: a figure of that size says nothing."""
    return (bins - 1) * (1 / images + 1 / reference_images)


def psi_record(window: str) -> str:
    """The recording rule's name."""
    return f"endpoint_feature:drift_psi:{window}"


def images_record(window: str) -> str:
    """The name of the rule that tells of how many images it is made."""
    return f"endpoint_feature:drift_images:{window}"


def rule_expression(window: str) -> str:
    """PSI by endpoint and feature, in PromQL; no series where fewer than 30 images came.

    The reference is taken as of any time within the window, like the images: a serverless endpoint
    may have no container now.
    """
    p = f"clamp_min({_seen(window)} / on ({_OF_MODEL}) group_left () {_images(window)}, {FLOOR:g})"
    q = f"clamp_min({_reference(window)}, {FLOOR:g})"
    return (
        "max by (endpoint, feature) (\n"
        f"  sum by ({_OF_MODEL}) (\n"
        f"    ({p} - {q})\n"
        f"    * ln({p} / {q})\n"
        "  )\n"
        f"  and on ({_OF_MODEL}) {_images(window)} >= {LEAST_IMAGES}\n"
        ")"
    )


def images_expression(window: str) -> str:
    """How many images of an endpoint came within the window, by feature, in PromQL."""
    return f"sum by (endpoint, feature) (increase({BIN}[{window}]))"


def _seen(window: str) -> str:
    return f"sum by ({_OF_MODEL}, bin) (increase({BIN}[{window}]))"


def _images(window: str) -> str:
    return f"sum by ({_OF_MODEL}) (increase({BIN}[{window}]))"


def _reference(window: str) -> str:
    # All containers of a model tell the same; the mean would be of as many as there were.
    return f"max by ({_OF_MODEL}, bin) (last_over_time({REFERENCE}[{window}]))"


def measured(ask: Ask, window: str) -> Mapping[tuple[str, str], float]:
    """What ``rule_expression`` says, computed here from what the service counted.

    By endpoint and feature. For checking the rules, and for where no rules are.
    """
    seen, reference = _by_model(ask(_seen(window))), _by_model(ask(_reference(window)))
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
