"""How well grades are told: with NumPy alone, so that every number of a card can be checked."""

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.integer]


def confusion(truth: IntArray, said: IntArray, grades: int) -> NDArray[np.int64]:
    """How often grade ``row`` was called grade ``column``."""
    table = np.zeros((grades, grades), np.int64)
    np.add.at(table, (truth, said), 1)
    return table


def accuracy(table: NDArray[np.int64]) -> float:
    """The share on the diagonal."""
    return float(np.trace(table) / table.sum())


def quadratic_weighted_kappa(table: NDArray[np.int64]) -> float:
    """Cohen's kappa with quadratic weights (Cohen 1968), the measure of the APTOS competition.

    1 is full agreement, 0 is what chance gives; a miss costs the square of its distance.
    """
    count = table.sum()
    index = np.arange(table.shape[0])
    cost = (index[:, None] - index[None, :]) ** 2
    by_chance = np.outer(table.sum(axis=1), table.sum(axis=0)) / count
    expected = (cost * by_chance).sum()
    return float(1 - (cost * table).sum() / expected) if expected else 0.0
