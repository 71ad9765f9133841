"""Ratios of quantiles of two queues, whose true value is known."""

import numpy as np
import pytest

from lab.load.ratios import ratio_of_quantiles
from lab.load.requests import Floats
from lab.stats.ratios import RatioVerdict

_SEEDS = 80


def queue(gaps: Floats, service: Floats) -> Floats:
    walk = np.concatenate([[0.0], np.cumsum(service[:-1] - gaps[1:])])
    return np.asarray(walk - np.minimum.accumulate(walk) + service)


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("use", [0.6, 0.7])
def test_the_interval_holds_the_true_ratio(*, same: bool, use: float) -> None:
    """Of M/M/1 queues the quantiles go by (1 / service - 1) alone."""
    true = (use / (1 - use)) / (0.6 / 0.4)
    held = 0
    for seed in range(_SEEDS):
        rng = np.random.default_rng(seed)
        gaps = rng.exponential(1.0, 3000)
        others = gaps if same else rng.exponential(1.0, 3000)
        first = queue(gaps, rng.exponential(0.6, 3000))
        second = queue(others, rng.exponential(use, 3000))
        found = ratio_of_quantiles(second, first, 0.75, paired=same)
        assert found is not None
        held += found.interval is None or found.interval.holds(true)
    assert held / _SEEDS >= 0.9


def test_busy_spells_of_the_same_schedule_are_no_difference() -> None:
    narrower = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pace = np.repeat(rng.choice([0.5, 3.0], 50), 100)
        gaps = rng.exponential(1.0, 5000) * pace
        first = queue(gaps, rng.exponential(0.4, 5000))
        second = queue(gaps, rng.exponential(0.4, 5000))
        paired, alone = (
            ratio_of_quantiles(second, first, 0.5, paired=one) for one in (True, False)
        )
        assert paired is not None
        assert alone is not None
        assert paired.interval is not None
        assert alone.interval is not None
        widths = [one.high / one.low for one in (paired.interval, alone.interval)]
        narrower.append(np.log(widths[0]) / np.log(widths[1]))
    assert np.median(narrower) < 0.6


def test_twice_as_slow_is_shown_and_the_same_is_not() -> None:
    rng = np.random.default_rng(5)
    one, other = rng.exponential(1.0, 2000), rng.exponential(1.0, 2000)
    slow = ratio_of_quantiles(2 * one, other, 0.95, paired=False)
    same = ratio_of_quantiles(one, other, 0.95, paired=False)
    assert slow is not None
    assert same is not None
    assert slow.verdict is RatioVerdict.DIFFERENT
    assert same.verdict is RatioVerdict.SAME


def test_what_the_number_of_one_side_does_not_support_has_no_ratio() -> None:
    rng = np.random.default_rng(5)
    many, few = rng.exponential(1.0, 2000), rng.exponential(1.0, 50)
    assert ratio_of_quantiles(many, few, 0.99, paired=False) is None
    assert ratio_of_quantiles(many, np.array([]), 0.5, paired=False) is None
