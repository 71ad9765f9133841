"""Recall@20 and MRR@20: of prefixes of sessions, each with one item that came next."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

K: Final = 20
RESAMPLES: Final = 1000
LEVEL: Final = 0.95
TAIL: Final = 0.2
"""Items beyond this most clicked share are the long tail."""


def ranks(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place, from 1, of each target among all items; equals count as better."""
    own = logits[np.arange(len(targets)), targets - 1]
    places: NDArray[np.int64] = (logits >= own[:, None]).sum(axis=1)
    return places


def long_tail(clicks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which items, [items + 1], are not among the most clicked fifth; ``clicks[0]`` is none's."""
    order = np.argsort(-clicks[1:], kind="stable") + 1
    rare = np.ones(len(clicks), bool)
    rare[order[: round(TAIL * len(order))]] = False
    return rare


def measured(
    places: NDArray[np.int64], session: NDArray[np.int64], *, seed: int
) -> Mapping[str, Mapping[str, Any]]:
    """Both figures with intervals: sessions, not prefixes, are drawn again and again."""
    hit = places <= K
    return {
        "recall@20": _with_interval(hit.astype(float), session, seed),
        "mrr@20": _with_interval(np.where(hit, 1 / places, 0.0), session, seed),
    }


def _with_interval(
    values: NDArray[np.float64], session: NDArray[np.int64], seed: int
) -> Mapping[str, Any]:
    rng = np.random.default_rng(seed)
    _, group = np.unique(session, return_inverse=True)
    total, count = np.bincount(group, values), np.bincount(group)
    means = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(len(count), size=len(count))
        means.append(total[drawn].sum() / count[drawn].sum())
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {
        "value": round(float(values.mean()), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }
