"""Where a start turns from the interpreter to the table, on made-up leads."""

import math

import pytest

from lab.coldstart.catalogue import Binding, Median
from lab.report.catalogue.crossing import crossing, root

SIZES = (1_000, 10_000, 100_000, 1_000_000)
FIXED_S = 0.2
PER_ITEM_S = 2e-6


def lead(items: int) -> float:
    """A start of which 20 ms of the table's part do not grow, and 200 ms are of the rest."""
    return 0.02 + PER_ITEM_S * items - FIXED_S


def leads(spread: float = 0.01, coverage: float = 0.97) -> list[tuple[int, Median]]:
    return [
        (
            items,
            Median(
                s=lead(items),
                interval=(lead(items) - spread, lead(items) + spread),
                coverage=coverage,
            ),
        )
        for items in SIZES
    ]


def test_it_turns_exactly_where_an_affine_lead_is_zero() -> None:
    found = crossing(leads(), per_item_s=PER_ITEM_S)
    assert found.binding is Binding.CROSSES
    assert found.items == pytest.approx(0.18 / PER_ITEM_S)


def test_its_interval_is_where_the_ends_of_the_leads_intervals_cross() -> None:
    found = crossing(leads(spread=0.01), per_item_s=PER_ITEM_S)
    assert found.low == pytest.approx(0.17 / PER_ITEM_S)
    assert found.high == pytest.approx(0.19 / PER_ITEM_S)
    assert found.coverage == pytest.approx(0.94)  # each end may be wrong once in 33


def test_an_interval_is_open_where_the_largest_size_might_not_reach() -> None:
    found = crossing(leads(spread=1.9), per_item_s=PER_ITEM_S)
    assert found.items is not None
    assert (found.low, found.high) == (None, None)


@pytest.mark.parametrize("coverage", [0.5, 0.74])
def test_too_few_starts_give_no_interval(coverage: float) -> None:
    found = crossing(leads(coverage=coverage), per_item_s=PER_ITEM_S)
    assert found.items is not None
    assert found.coverage is None


@pytest.mark.parametrize(
    ("shift", "binding"), [(-10.0, Binding.REST), (0.2, Binding.TABLE), (0.0, Binding.CROSSES)]
)
def test_nothing_is_said_beyond_what_was_measured(shift: float, binding: Binding) -> None:
    moved = [
        (items, Median(s=one.s + shift, interval=None, coverage=None)) for items, one in leads()
    ]
    found = crossing(moved, per_item_s=PER_ITEM_S)
    assert found.binding is binding
    assert (found.items is None) is (binding is not Binding.CROSSES)


def test_of_several_crossings_the_last_counts() -> None:
    assert root([(1, 1.0), (2, -1.0), (3, 1.0), (4, -1.0), (6, 1.0), (7, 2.0)]) == 5.0
    assert root([(1, -1.0), (3, 1.0)]) == 2.0
    assert root([(1, 0.0), (3, 1.0)]) == -math.inf
    assert root([(1, 1.0), (3, -1.0)]) == math.inf
