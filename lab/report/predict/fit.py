"""Least squares of relative errors, with no constant below zero."""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np

from lab.report.predict.constants import Vector

_PULL: Final = 0.1
"""How much a constant that measurements do not determine is held where the study has it: a tenth of
the weight of a measured figure."""


def fit(
    factors: Sequence[Vector], seconds: Sequence[float], *, held_at: Vector | None = None
) -> Vector:
    """The constants whose predictions have the least sum of squared relative errors.

    ``held_at``: constants to stay near, as far as the figures leave them free (Tikhonov's
    regularisation, by the relative distance). The best of all subsets of constants that are above
    zero is taken, which for so few is exact and needs no iteration.
    """
    rows = np.array([one / value for one, value in zip(factors, seconds, strict=True)])
    wanted = np.ones(len(rows))
    if held_at is not None:
        known = np.flatnonzero(held_at)
        ties = np.zeros((len(known), rows.shape[1]))
        ties[np.arange(len(known)), known] = _PULL / held_at[known]
        rows = np.vstack([rows, ties])
        wanted = np.concatenate([wanted, np.full(len(known), _PULL)])
    # Columns of like size, so that a constant of milliseconds is as well determined as any.
    sizes = np.linalg.norm(rows, axis=0)
    used = np.flatnonzero(sizes)
    scaled = rows[:, used] / sizes[used]
    best, least = np.zeros(len(used)), float("inf")
    for count in range(len(used), 0, -1):
        for chosen in combinations(range(len(used)), count):
            columns = list(chosen)
            found = np.linalg.lstsq(scaled[:, columns], wanted, rcond=None)[0]
            left = float(np.sum((scaled[:, columns] @ found - wanted) ** 2))
            if (found >= 0).all() and left < least - 1e-12:
                least = left
                best = np.zeros(len(used))
                best[columns] = found
        if count == len(used) and np.isfinite(least):
            break  # Free of constraints, and so the best there is.
    values = np.zeros(rows.shape[1])
    values[used] = best / sizes[used]
    return values
