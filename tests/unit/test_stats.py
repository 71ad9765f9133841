import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.stats.diagnostics import drift, mad, outliers, relative_spread
from lab.stats.quantiles import (
    interval,
    median,
    quantile,
    samples_for,
    supported,
    supports,
)
from lab.stats.ratios import Method, RatioVerdict, ratio_of_medians, ratio_of_pairs

SECONDS = st.lists(st.floats(min_value=0.001, max_value=1000), min_size=1, max_size=60)


def blocks(values: Sequence[float]) -> dict[int, list[float]]:
    return {place: [value] for place, value in enumerate(values)}


def test_a_quantile_lies_between_neighbours_as_numpy_has_it() -> None:
    values = [4.0, 1.0, 3.0, 2.0]
    assert quantile(values, 0.0) == 1.0
    assert quantile(values, 0.5) == 2.5
    assert quantile(values, 0.9) == pytest.approx(3.7)
    assert quantile(values, 1.0) == 4.0


@given(values=SECONDS, q=st.floats(min_value=0, max_value=1))
def test_quantiles_agree_with_numpy(values: list[float], q: float) -> None:
    assert quantile(values, q) == pytest.approx(float(np.quantile(values, q)))
    assert min(values) <= quantile(values, q) <= max(values)


def test_no_values_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="0 values"):
        quantile([], 0.5)


@pytest.mark.parametrize(("q", "n"), [(0.5, 5), (0.75, 11), (0.9, 29), (0.95, 59), (0.99, 299)])
def test_a_quantile_is_supported_from_exactly_so_many_samples(q: float, n: int) -> None:
    assert samples_for(q) == n
    assert supports(n, q)
    assert not supports(n - 1, q)


def test_only_supported_quantiles_are_offered_and_the_median_always() -> None:
    assert supported(0) == ()
    assert supported(1) == (0.5,)
    assert supported(28) == (0.5, 0.75)
    assert supported(29) == (0.5, 0.75, 0.9)
    assert supported(299) == (0.5, 0.75, 0.9, 0.95, 0.99)


@pytest.mark.parametrize(
    ("n", "low", "high", "coverage"),
    # Conover's table of order statistics for the median.
    [
        (6, 1, 6, 0.96875),
        (8, 1, 8, 0.9921875),
        (10, 2, 9, 0.978515625),
        (15, 4, 12, 0.96484375),
        (20, 6, 15, 0.9586105347),
        (25, 8, 18, 0.9567147493),
    ],
)
def test_the_medians_interval_is_the_tabulated_one(
    n: int, low: int, high: int, coverage: float
) -> None:
    values = [float(value) for value in np.random.default_rng(n).permutation(n) + 1]
    held = interval(values)
    assert held is not None
    assert (held.low, held.high) == (low, high)
    assert held.coverage == pytest.approx(coverage)
    assert held.confident


def test_five_samples_reach_94_per_cent_and_say_so() -> None:
    held = interval([5.0, 1.0, 3.0, 2.0, 4.0])
    assert held is not None
    assert (held.low, held.high, held.coverage) == (1.0, 5.0, 0.9375)
    assert not held.confident


def test_one_sample_has_no_interval() -> None:
    assert interval([1.0]) is None
    assert interval([]) is None


def test_p90_has_its_95_per_cent_from_29_samples() -> None:
    values = [float(value) for value in range(1, 30)]
    held = interval(values, 0.9)
    assert held is not None
    assert held.confident
    assert held.high == 29.0
    short = interval(values[:-1], 0.9)
    assert short is not None
    assert not short.confident


def test_the_medians_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    drawn = rng.lognormal(0.0, 0.5, size=(4000, 12))
    held = [interval(list(row)) for row in drawn]
    share = sum(one is not None and one.holds(1.0) for one in held) / len(held)
    assert 0.95 <= share <= 0.975  # by the binomial: 0.9614


@given(values=SECONDS)
def test_an_interval_is_made_of_samples_and_holds_the_median(values: list[float]) -> None:
    held = interval(values)
    if held is not None:
        assert held.low in values
        assert held.high in values
        assert held.holds(median(values))


SIX = (1.01, 1.012, 1.014, 1.016, 1.018, 1.02)


def test_a_ratio_of_identical_samples_shows_no_difference() -> None:
    values = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98]
    ratio = ratio_of_medians(blocks(values), blocks(values[::-1]), seed=1)
    assert ratio.value == 1.0
    assert ratio.verdict is RatioVerdict.SAME
    assert ratio.method is Method.PAIRED


def test_a_clear_ratio_is_shown_with_a_narrow_interval() -> None:
    rng = np.random.default_rng(5)
    under = [float(value) for value in rng.normal(1.0, 0.02, 12)]
    ratio = ratio_of_medians(blocks([6 * value for value in under]), blocks(under), seed=1)
    assert ratio.value == pytest.approx(6.0)
    assert ratio.verdict is RatioVerdict.DIFFERENT
    assert ratio.interval is not None
    # Drawn by block, numerator and denominator move together: the ratio never wavers.
    assert ratio.interval.low == pytest.approx(6.0)
    assert ratio.interval.high == pytest.approx(6.0)


def test_without_common_blocks_the_draws_are_independent() -> None:
    under = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98]
    over = {place + 100: [2 * value] for place, value in enumerate(under)}
    ratio = ratio_of_medians(over, blocks(under), seed=1)
    assert ratio.method is Method.UNPAIRED
    assert ratio.interval is not None
    assert ratio.interval.low < 2.0 < ratio.interval.high


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(8)
    over, under = (blocks([float(x) for x in rng.lognormal(0, 0.3, 9)]) for _ in range(2))
    assert ratio_of_medians(over, under, seed=4) == ratio_of_medians(over, under, seed=4)


def test_blocks_of_unequal_size_are_drawn_whole() -> None:
    over = {block: [2.0] * (1 + block % 2) for block in range(6)}
    under = {block: [1.0] for block in range(6)}
    ratio = ratio_of_medians(over, under, seed=2)
    assert ratio.method is Method.PAIRED
    assert ratio.interval is not None
    assert (ratio.interval.low, ratio.interval.high) == (2.0, 2.0)


def test_what_two_of_a_pair_share_cancels_in_their_ratio() -> None:
    pairs = [(moment * change, moment) for moment, change in zip(range(1, 7), SIX, strict=True)]
    ratio = ratio_of_pairs(pairs)
    assert ratio.value == pytest.approx(1.015)
    assert ratio.interval is not None
    assert ratio.interval.low == pytest.approx(1.01)
    assert ratio.interval.high == pytest.approx(1.02)
    assert ratio.verdict is RatioVerdict.DIFFERENT
    assert ratio_of_pairs([(1.0, 1.01), *pairs]).verdict is RatioVerdict.SAME


def test_a_few_pairs_show_nothing() -> None:
    assert ratio_of_pairs([(2.0, 1.0)]).verdict is RatioVerdict.UNKNOWN
    assert ratio_of_pairs([(2.0, 1.0)] * 3).verdict is RatioVerdict.LIKELY


def test_four_samples_a_side_give_the_extremes_and_call_it_likely() -> None:
    ratio = ratio_of_medians(blocks([8.0, 9.0, 10.0, 11.0]), blocks([1.0, 2.0, 1.5, 1.2]), seed=1)
    assert ratio.method is Method.EXTREMES
    assert ratio.interval is not None
    assert (ratio.interval.low, ratio.interval.high) == (8 / 2, 11 / 1)
    assert ratio.interval.coverage == 0.75
    assert ratio.verdict is RatioVerdict.LIKELY


def test_two_samples_a_side_tell_nothing() -> None:
    ratio = ratio_of_medians(blocks([8.0, 9.0]), blocks([1.0, 2.0]), seed=1)
    assert ratio.interval is None
    assert ratio.verdict is RatioVerdict.UNKNOWN


def test_the_bootstrap_covers_nearly_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    hits = 0
    for draw in range(200):
        over = {block: [float(rng.lognormal(math.log(3), 0.1))] for block in range(10)}
        under = {block: [float(rng.lognormal(0.0, 0.1))] for block in range(10)}
        held = ratio_of_medians(over, under, seed=draw).interval
        hits += held is not None and held.holds(3.0)
    assert hits >= 180


@given(
    over=st.lists(st.floats(min_value=0.01, max_value=100), min_size=1, max_size=15),
    under=st.lists(st.floats(min_value=0.01, max_value=100), min_size=1, max_size=15),
)
def test_a_ratios_interval_holds_the_ratio(over: list[float], under: list[float]) -> None:
    ratio = ratio_of_medians(blocks(over), blocks(under), seed=1)
    assert ratio.value == pytest.approx(median(over) / median(under))
    assert ratio.interval is None or ratio.interval.holds(ratio.value)


def test_an_outlier_is_found_by_its_modified_z() -> None:
    assert outliers([1.0, 1.1, 0.9, 1.0, 1.05, 3.0]) == (5,)
    assert outliers([1.0, 1.1, 0.9, 1.0, 1.05, 1.2]) == ()


def test_an_outlier_among_equal_values_is_found_too() -> None:
    assert outliers([1.0] * 9 + [9.0]) == (9,)
    assert outliers([1.0] * 10) == ()


def test_four_values_are_too_few_to_call_one_an_outlier() -> None:
    assert outliers([1.0, 1.0, 1.0, 50.0]) == ()


def test_spread_is_comparable_to_the_coefficient_of_variation() -> None:
    assert mad([1.0, 2.0, 3.0, 4.0, 100.0]) == 1.0
    rng = np.random.default_rng(2)
    assert relative_spread(list(rng.normal(10.0, 1.0, 4000))) == pytest.approx(0.1, rel=0.05)


def test_a_series_that_only_rises_drifts() -> None:
    moved = drift([1.0 + 0.01 * place for place in range(30)], seed=1)
    assert moved is not None
    assert moved.rho == pytest.approx(1.0)
    assert moved.p <= 0.001
    assert moved.change == pytest.approx(1.245 / 1.045 - 1)


def test_spearman_handles_ties_as_the_textbook_does() -> None:
    # Ranks 1.5 1.5 3 4 5.5 5.5 7 8 against 1..8: Pearson's correlation of the ranks.
    moved = drift([1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0, 6.0], seed=1)
    assert moved is not None
    assert moved.rho == pytest.approx(
        float(np.corrcoef(range(8), [1.5, 1.5, 3, 4, 5.5, 5.5, 7, 8])[0, 1])
    )


def test_noise_does_not_drift() -> None:
    rng = np.random.default_rng(6)
    moved = drift([float(value) for value in rng.normal(1.0, 0.05, 60)], seed=1)
    assert moved is not None
    assert moved.p > 0.05


def test_a_short_or_constant_series_cannot_drift() -> None:
    assert drift([1.0, 2.0, 3.0], seed=1) is None
    assert drift([1.0] * 20, seed=1) is None
