import numpy as np
import pytest

from models.retinopathy.metrics import accuracy, confusion, quadratic_weighted_kappa


def test_confusion_counts_truth_by_row_and_answer_by_column() -> None:
    table = confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)

    assert table.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert accuracy(table) == 0.5


def test_kappa_is_one_for_agreement_and_zero_for_one_answer_to_all() -> None:
    assert quadratic_weighted_kappa(np.diag([3, 4, 5])) == 1
    assert quadratic_weighted_kappa(np.array([[5, 0], [5, 0]])) == 0


def test_kappa_is_minus_one_for_perfect_opposites() -> None:
    assert quadratic_weighted_kappa(np.array([[0, 5], [5, 0]])) == -1


def test_a_far_miss_costs_more_than_a_near_one() -> None:
    near = confusion(np.array([0, 1, 2, 3]), np.array([1, 1, 2, 3]), 4)
    far = confusion(np.array([0, 1, 2, 3]), np.array([3, 1, 2, 3]), 4)

    assert quadratic_weighted_kappa(near) > quadratic_weighted_kappa(far)


def test_kappa_by_hand() -> None:
    # Costs 0, 1, 4. Seen: one miss by 1 -> 1. By chance: rows (2, 1, 1), columns (1, 2, 1) of 4
    # -> (2*2 + 2*1*4 + 1*1 + 1*1 + 1*1*4 + 1*2) / 4 = 20 / 4 = 5.
    table = confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]), 3)

    assert quadratic_weighted_kappa(table) == pytest.approx(1 - 1 / 5)
