"""Sessions of clicks: how they are kept, and a generator of some to learn from.

The generator's shop has clusters of items on rings. A visitor has a cluster and an intent: how far
along the ring, and in which direction, the next click lies from the last one. So the next item
depends on the last one (a directed Markov graph), and on what the clicks before tell of the intent.
Popularity follows Zipf's law, lengths are geometric, and some items appear only in the last days:
popularity bias is what NISER is about.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MOST: Final = 20
"""Clicks of a session that count: the last."""

ITEMS: Final = 3000
SESSIONS: Final = 24_000
DAYS: Final = 14
CLUSTER: Final = 60
"""Items on a ring."""
STEPS: Final = np.array([3, 9, -6])
"""How far each intent goes on."""
REACH: Final = 2.0
"""Standard deviation of a step, in items."""
MORE: Final = 5.0
"""Clicks after the first, in the mean."""
ZIPF: Final = 0.8
"""Exponent of popularity, of clusters and of items."""
ASTRAY: Final = 0.1
"""Share of clicks on whatever is popular; as many go back to an item of the session."""
LATE: Final = 0.05
"""Share of items that appear in the last three days."""


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Clicks one after the other: session ``s`` is ``items[starts[s]:starts[s + 1]]``."""

    items: NDArray[np.int64]
    """The graph's ids, from 1."""
    starts: NDArray[np.int64]
    days: NDArray[np.int64]
    """Of each session."""

    def __len__(self) -> int:
        return len(self.days)

    def lengths(self) -> NDArray[np.int64]:
        """Clicks of each session."""
        return np.diff(self.starts)

    def where(self, chosen: NDArray[np.bool_]) -> "Sessions":
        """Some of the sessions."""
        return of(
            self.items[np.repeat(chosen, self.lengths())],
            self.lengths()[chosen],
            self.days[chosen],
        )


def of(items: NDArray[np.int64], lengths: NDArray[np.int64], days: NDArray[np.int64]) -> Sessions:
    """Sessions of these lengths."""
    return Sessions(items=items, starts=np.concatenate([[0], np.cumsum(lengths)]), days=days)


def split(sessions: Sessions, days: int) -> tuple[Sessions, Sessions]:
    """Those to learn from, and those of the last ``days`` days."""
    late = sessions.days > sessions.days.max() - days
    return sessions.where(~late), sessions.where(late)


def examples(
    sessions: Sessions,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every prefix, [n, 20], right-padded with 0; the item that follows it; its session."""
    session = np.repeat(np.arange(len(sessions)), sessions.lengths())
    first = sessions.starts[session]
    place = np.arange(len(sessions.items))
    follows = place > first
    place, first, session = place[follows], first[follows], session[follows]
    column = np.maximum(first, place - MOST)[:, None] + np.arange(MOST)
    inside = column < place[:, None]
    prefixes = np.where(inside, sessions.items[np.where(inside, column, 0)], 0)
    return prefixes, sessions.items[place], session


def clicks(sessions: Sessions, items: int) -> NDArray[np.int64]:
    """How often each item was clicked, [items + 1]; 0 is no item."""
    return np.bincount(sessions.items, minlength=items + 1)


def generate(seed: int, *, count: int = SESSIONS, items: int = ITEMS) -> Sessions:
    """The shop's sessions, in the order of their days; the same for the same seed."""
    rng = np.random.default_rng(seed)
    rings = items // CLUSTER
    weight = 1.0 / np.arange(1, items + 1) ** ZIPF
    weight = rng.permutation(weight)[: rings * CLUSTER].reshape(rings, CLUSTER)
    born = np.where(rng.random(weight.shape) < LATE, DAYS - rng.integers(2, 4, weight.shape), 0)
    crowd = 1.0 / np.arange(1, rings + 1) ** ZIPF
    days = np.sort(rng.integers(0, DAYS, count))
    ring = rng.choice(rings, count, p=crowd / crowd.sum())
    intent = rng.integers(len(STEPS), size=count)
    lengths = 1 + rng.geometric(1 / MORE, count)
    drawn = np.zeros((count, lengths.max()), np.int64)
    place = _choose(rng, weight[ring] * (born[ring] <= days[:, None]))
    drawn[:, 0] = place
    for step in range(1, drawn.shape[1]):
        going = np.flatnonzero(lengths > step)
        there = weight[ring[going]] * (born[ring[going]] <= days[going, None])
        ahead = np.arange(CLUSTER) - (place[going] + STEPS[intent[going]])[:, None]
        ahead = (ahead + CLUSTER // 2) % CLUSTER - CLUSTER // 2
        near = np.exp(-0.5 * (ahead / REACH) ** 2) * np.sqrt(there)
        chosen = _choose(rng, near)
        kind = rng.random(len(going))
        chosen = np.where(kind < ASTRAY, _choose(rng, there), chosen)
        back = drawn[going, (rng.random(len(going)) * step).astype(np.int64)]
        place[going] = np.where(kind > 1 - ASTRAY, back, chosen)
        drawn[going, step] = place[going]
    inside = np.arange(drawn.shape[1]) < lengths[:, None]
    return of((ring[:, None] * CLUSTER + drawn + 1)[inside], lengths, days)


def _choose(rng: np.random.Generator, weights: NDArray[Any]) -> NDArray[np.int64]:
    """A column of every row, by its weights."""
    upto = weights.cumsum(axis=1)
    at: NDArray[np.int64] = (upto < rng.random((len(upto), 1)) * upto[:, -1:]).sum(axis=1)
    return at
