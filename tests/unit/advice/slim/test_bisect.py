"""The fewest things that are enough, in few tries."""

from collections.abc import Callable, Sequence

import pytest

from lab.advice.slim.bisect import Budget, TriesUsedUp, needed


def wants(*which: int) -> Callable[[Sequence[int]], bool]:
    return lambda some: set(which) <= set(some)


@pytest.mark.parametrize("which", [(0,), (999,), (500,), (0, 999), (3, 4, 5), (7, 300, 301, 998)])
def test_exactly_what_is_needed_is_found(which: tuple[int, ...]) -> None:
    budget = Budget(200)
    found = needed(range(1000), wants(*which), budget)
    assert found is not None
    assert sorted(found) == list(which)


def test_one_of_a_thousand_takes_two_logarithms_of_tries_and_a_suspect_two() -> None:
    budget = Budget(100)
    needed(range(1000), wants(700), budget)
    assert budget.used <= 2 + 2 * 10
    budget = Budget(100)
    needed(range(1000), wants(0), budget)
    assert budget.used == 2


def test_what_all_together_do_not_mend_is_none() -> None:
    assert needed(range(10), lambda _: False, Budget(9)) is None
    assert needed([], lambda _: True, Budget(9)) is None


def test_either_of_two_is_enough() -> None:
    found = needed(range(50), lambda some: 10 in some or 40 in some, Budget(50))
    assert found == [10]


def test_the_bound_on_tries_is_kept_over_several_searches() -> None:
    budget = Budget(10)
    needed(range(4), wants(1), budget)
    with pytest.raises(TriesUsedUp):
        needed(range(10_000), wants(9_000), budget)
    assert budget.used == 10
