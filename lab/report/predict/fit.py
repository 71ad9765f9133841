"""Least squares of relative errors, with no constant below zero."""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.report.predict.constants import Vector

_PULL: Final = 0.1
"""How much a constant that measurements do not determine is held where the study has it: a tenth of
the weight of a measured figure."""

_ROUNDING: Final = 1e-9

Matrix = NDArray[np.float64]


def fit(
    factors: Sequence[Vector], seconds: Sequence[float], *, held_at: Vector | None = None
) -> Vector:
    """The constants whose predictions have the least sum of squared relative errors.

    ``held_at``: constants to stay near, as far as the figures leave them free (Tikhonov's
    regularisation, by the relative distance).
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
    values = np.zeros(rows.shape[1])
    values[used] = _not_below_zero(scaled, wanted) / sizes[used]
    return values


def _not_below_zero(rows: Matrix, wanted: Vector) -> Vector:
    """Non-negative least squares of few columns: the subset that meets the conditions of Karush,
    Kuhn and Tucker, which are sufficient since the problem is convex.
    """
    count = rows.shape[1]
    for size in range(count, -1, -1):
        for chosen in combinations(range(count), size):
            columns = list(chosen)
            found = np.zeros(count)
            found[columns] = np.linalg.lstsq(rows[:, columns], wanted, rcond=None)[0]
            slope = rows.T @ (rows @ found - wanted)
            if (found >= 0).all() and (slope >= -_ROUNDING).all():
                return found
    raise ArithmeticError("no subset meets the conditions, which one always does")
