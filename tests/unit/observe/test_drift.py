"""The population stability index: what its definition promises, and the same from Prometheus."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests import drift
from tests.drift import FLOOR, expected_by_chance, measured, psi
from tests.unit.observe.series import RECORDED

COUNTS = st.lists(st.floats(0, 1e6), min_size=2, max_size=10).filter(lambda counts: sum(counts) > 1)


@st.composite
def two(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    size = draw(st.integers(2, 10))
    counts = st.lists(st.floats(0, 1e6), min_size=size, max_size=size)
    first, second = draw(counts), draw(counts)
    assume(sum(first) > 1)
    assume(sum(second) > 1)
    return first, second


def test_by_hand() -> None:
    # (0.5 - 0.25) ln 2 + (0.5 - 0.75) ln (2 / 3) = 0.25 ln 3
    assert psi([1, 1], [1, 3]) == pytest.approx(0.25 * math.log(3))


def test_an_empty_bin_counts_as_a_ten_thousandth() -> None:
    # Bins 1 and 0 against 0.5 and 0.5.
    wanted = 0.5 * math.log(2) + (FLOOR - 0.5) * math.log(FLOOR / 0.5)
    assert psi([7, 0], [1, 1]) == pytest.approx(wanted)


def test_all_in_another_bin_is_the_most_there_is() -> None:
    most = 2 * (1 - FLOOR) * math.log(1 / FLOOR)
    assert psi([1, 0], [0, 1]) == pytest.approx(most)


@given(COUNTS)
def test_what_is_alike_has_none(counts: list[float]) -> None:
    assert psi(counts, counts) == 0


@given(two())
def test_it_is_never_negative_and_never_beyond_the_most(
    both: tuple[list[float], list[float]],
) -> None:
    assert 0 <= psi(*both) <= 2 * math.log(1 / FLOOR)


@given(two())
def test_it_is_the_same_whichever_is_the_reference(both: tuple[list[float], list[float]]) -> None:
    assert psi(*both) == pytest.approx(psi(both[1], both[0]))


@given(two(), st.floats(0.001, 1000))
def test_counts_and_shares_give_the_same(
    both: tuple[list[float], list[float]], factor: float
) -> None:
    scaled = [count * factor for count in both[0]]
    assert psi(scaled, both[1]) == pytest.approx(psi(*both), abs=1e-9)


@given(two(), st.randoms())
def test_the_order_of_the_bins_does_not_matter(
    both: tuple[list[float], list[float]],
    random: object,
) -> None:
    pairs = list(zip(*both, strict=True))
    random.shuffle(pairs)  # type: ignore[attr-defined]
    assert psi([p for p, _ in pairs], [q for _, q in pairs]) == pytest.approx(psi(*both))


@given(COUNTS, st.floats(0.05, 0.9), st.floats(0.01, 0.05))
def test_the_further_it_moves_the_more_it_is(
    counts: list[float], moved: float, more: float
) -> None:
    """Mixing in more of another distribution never looks like less."""
    total = sum(counts)
    reference = [count / total for count in counts]
    other = [0.0] * (len(counts) - 1) + [1.0]

    def mixed(part: float) -> list[float]:
        return [q + part * (o - q) for q, o in zip(reference, other, strict=True)]

    assert psi(mixed(moved), reference) <= psi(mixed(moved + more), reference) + 1e-12


@pytest.mark.parametrize(
    ("seen", "reference"), [([1], [1, 2]), ([0, 0], [1, 2]), ([1, 2], [0, 0]), ([-1, 3], [1, 2])]
)
def test_what_cannot_be_compared_is_refused(seen: list[float], reference: list[float]) -> None:
    with pytest.raises(ValueError, match="bin"):
        psi(seen, reference)


@pytest.mark.parametrize(("inputs", "reference_inputs"), [(30, 200), (100, 200), (1000, 200)])
def test_chance_alone_gives_what_is_expected_of_it(inputs: int, reference_inputs: int) -> None:
    random, bins = np.random.default_rng(1), 5
    figures = [
        psi(
            random.multinomial(inputs, [1 / bins] * bins).tolist(),
            random.multinomial(reference_inputs, [1 / bins] * bins).tolist(),
        )
        for _ in range(400)
    ]
    expected = expected_by_chance(bins, inputs=inputs, reference_inputs=reference_inputs)
    assert np.mean(figures) == pytest.approx(expected, rel=0.25)


def test_thirty_inputs_without_any_change_stay_below_the_alarm_on_average() -> None:
    assert expected_by_chance(5, inputs=30, reference_inputs=200) < drift.LARGE
    assert expected_by_chance(5, inputs=100, reference_inputs=200) < drift.SMALL


def test_the_records_are_those_that_the_boards_show() -> None:
    recorded = {drift.psi_record(window) for window in drift.WINDOWS}
    assert recorded | {drift.inputs_record("5m")} <= set(RECORDED)


Series = Sequence[tuple[Mapping[str, str], float]]


class Told:
    """A Prometheus that knows two answers."""

    def __init__(self, seen: Series, reference: Series) -> None:
        self.seen, self.reference = seen, reference

    def __call__(self, expression: str) -> Series:
        return self.seen if drift.BIN in expression else self.reference


def bins(values: Sequence[float], *, endpoint: str = "eyes", model: str = "m") -> Series:
    return [
        ({"endpoint": endpoint, "model": model, "feature": "grade", "bin": str(name)}, value)
        for name, value in enumerate(values)
    ]


def test_measured_compares_each_model_with_its_own_reference_and_takes_the_worst() -> None:
    told = Told(
        [*bins([40, 10]), *bins([10, 30], model="n"), *bins([25, 25], endpoint="more")],
        [*bins([0.5, 0.5]), *bins([0.25, 0.75], model="n"), *bins([0.5, 0.5], endpoint="more")],
    )
    assert measured(told, "5m") == {
        ("eyes", "grade"): pytest.approx(psi([40, 10], [1, 1])),
        ("more", "grade"): 0,
    }


def test_fewer_than_thirty_inputs_say_nothing() -> None:
    assert measured(Told(bins([29, 0]), bins([0.5, 0.5])), "5m") == {}
    assert measured(Told(bins([30, 0]), bins([0.5, 0.5])), "5m") != {}


def test_a_model_without_a_reference_has_no_figure() -> None:
    assert measured(Told(bins([50, 50]), []), "5m") == {}


@pytest.mark.parametrize(("inputs", "least", "most"), [(30, 0.1, 0.3), (100, 0, 0.01)])
def test_chance_alone_hardly_ever_sounds_the_alarm_once_there_are_enough_inputs(
    inputs: int, least: float, most: float
) -> None:
    random = np.random.default_rng(2)
    alarms = [
        psi(
            random.multinomial(inputs, [0.2] * 5).tolist(),
            random.multinomial(200, [0.2] * 5).tolist(),
        )
        > drift.LARGE
        for _ in range(1000)
    ]
    assert least <= np.mean(alarms) <= most
