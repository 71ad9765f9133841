"""What a recommender has to beat: the most popular items, and neighbours of the last click."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.recommender_niser.sessions import Sessions, clicks

NEVER = 1 << 40
"""The place of an item that a list does not hold."""


def popularity(learn: Sessions, items: int, targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place, from 1, of each target among all items by clicks."""
    places = np.zeros(items + 1, np.int64)
    places[by_clicks(learn, items)] = np.arange(1, items + 1)
    ranks: NDArray[np.int64] = places[targets]
    return ranks


def by_clicks(learn: Sessions, items: int) -> NDArray[np.int64]:
    """All items, the most clicked first."""
    order: NDArray[np.int64] = np.argsort(-clicks(learn, items)[1:], kind="stable") + 1
    return order


def item_knn(
    learn: Sessions, items: int, prefixes: NDArray[np.int64], targets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The place of each target among the last click's neighbours: the items of most sessions with
    it, by cosine (as in Hidasi et al. 2016).
    """
    neighbours = _neighbours(learn, items)
    last = prefixes[np.arange(len(prefixes)), (prefixes > 0).sum(axis=1) - 1]
    ranks = np.full(len(targets), NEVER)
    for at, (item, target) in enumerate(zip(last.tolist(), targets.tolist(), strict=True)):
        found = np.flatnonzero(neighbours[item] == target)
        if len(found):
            ranks[at] = found[0] + 1
    return ranks


def _neighbours(learn: Sessions, items: int) -> Sequence[NDArray[np.int64]]:
    """Of each item, from 0, which is none: the others, the most alike first."""
    session = np.repeat(np.arange(len(learn)), learn.lengths())
    seen = np.unique(session * (items + 1) + learn.items)  # an item counts once a session
    session, item = np.divmod(seen, items + 1)
    in_sessions = np.bincount(item, minlength=items + 1)
    starts = np.searchsorted(session, np.arange(len(learn) + 1))
    pairs = np.concatenate(
        [
            (row[:, None] * (items + 1) + row)[~np.eye(len(row), dtype=bool)]
            for row in np.split(item, starts[1:-1])
        ]
    )
    codes, together = np.unique(pairs, return_counts=True)
    one, other = np.divmod(codes, items + 1)
    likeness = together / np.sqrt(in_sessions[one] * in_sessions[other])
    order = np.lexsort((-likeness, one))
    return np.split(other[order], np.searchsorted(one[order], np.arange(1, items + 1)))
