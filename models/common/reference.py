"""What a model's inputs and answers are usually like, for telling when others come.

Stored in ``model.json``; the inference service counts what comes in the same bins. The features are
noted by the service's own code, so that no difference between two programs looks like drift.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from app.reference import share
from app.tasks import Feature

SCHEMA: Final = 1
PARTS: Final = 5
"""Bins of equal share. Ten are usual for credit scores by the thousand; of few inputs each bin then
holds so few that chance alone looks like drift: see ``services/prometheus/rules/drift.yml``."""
DIGITS: Final = 4


def reference(
    features: Sequence[Feature], noted: Sequence[Mapping[str, float]], *, labels: int
) -> Mapping[str, Any]:
    """Of inputs that the model has not learnt from; ``labels``: how many classes it tells, or 0."""
    bins = {}
    for feature in features:
        if feature.drifts:
            values = [one[feature.name] for one in noted]
            cuts = _cuts(feature, values, labels)
            bins[feature.name] = {"edges": list(cuts), "share": share(cuts, values)}
    return {"schema": SCHEMA, "inputs": len(noted), "features": bins}


def _cuts(feature: Feature, values: Sequence[float], labels: int) -> Sequence[float]:
    if not feature.buckets:
        return range(1, max(labels, int(max(values)) + 1, 2))
    # What is the same of all inputs has no parts.
    return feature.buckets if len(set(values)) == 1 else edges(values)


def edges(values: Sequence[float]) -> Sequence[float]:
    """Where to cut into parts of equal share; fewer parts where many values are the same.

    A cut at the least value has nothing below it. Where most values are the least one, as shares of
    what hardly ever comes are 0, the rest are a part of their own: else more of them were no drift.
    Rounded: the last digits of an answer depend on the machine, and the edges name the bins.
    """
    least = min(values)
    cuts = _rounded(np.quantile(values, np.linspace(0, 1, PARTS + 1)[1:-1]))
    next_to_it = _rounded([min((value for value in values if value > least), default=least)])
    for found in (cuts, next_to_it):
        if above := [cut for cut in found if cut > least]:
            return above
    return cuts


def _rounded(cuts: Iterable[float]) -> Sequence[float]:
    return sorted({float(f"{cut:.{DIGITS}g}") for cut in cuts})
