"""Intervals that hold though requests wait for each other, and figures that leave nothing out."""

from itertools import pairwise

import numpy as np
import pytest

from lab.load.job import COLUMNS
from lab.load.requests import Floats, Requests
from lab.load.statistics import latencies, summarise, upper_bound
from lab.stats.quantiles import interval

_SEEDS = 80


def queue(seed: int, *, n: int = 4000, use: float = 0.7) -> Floats:
    """Times in an M/M/1 queue of service rate 1, stationary from the first (Lindley)."""
    rng = np.random.default_rng(seed)
    gaps, service = rng.exponential(1 / use, n), rng.exponential(1.0, n)
    first = rng.exponential(1 / (1 - use)) if rng.random() < use else 0.0
    walk = first + np.concatenate([[0.0], np.cumsum(service[:-1] - gaps[1:])])
    waits = walk - np.minimum(np.minimum.accumulate(walk), 0.0)
    return np.asarray(waits + service)


def true_quantile(q: float, *, use: float = 0.7) -> float:
    """An M/M/1 queue's time in it is exponential."""
    return float(-np.log(1 - q) / (1 - use))


def table(latency_s: Floats, **more: object) -> Requests:
    """Requests ten a second, answered after ``latency_s``."""
    n = len(latency_s)
    due = np.arange(n) / 10
    columns: dict[str, object] = {
        name: np.zeros(n, dtype=np.float64 if name.endswith("_s") else np.int64) for name in COLUMNS
    }
    columns |= {
        "number": np.arange(n),
        "intended_s": due,
        "sent_s": due + 0.0001,
        "done_s": due + latency_s,
        "status": np.full(n, 200),
        "error": [""] * n,
    }
    return Requests(**(columns | more))  # type: ignore[arg-type]


def coverage(q: float, *, shuffled: bool) -> float:
    held = 0
    for seed in range(_SEEDS):
        values = queue(seed)
        if shuffled:
            values = np.random.default_rng(seed).permutation(values)
        found = latencies(values)
        assert found is not None
        figure = found.at(q)
        assert figure is not None
        above = figure.high_s is None or figure.high_s >= true_quantile(q)
        held += figure.low_s is not None and figure.low_s <= true_quantile(q) and above
    return held / _SEEDS


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_an_interval_from_blocks_holds_the_quantile_of_a_queue(q: float) -> None:
    assert coverage(q, shuffled=False) >= 0.9


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_an_interval_that_takes_requests_for_independent_does_not(q: float) -> None:
    """In a random order the same values look independent: that is what the naive one assumes."""
    assert coverage(q, shuffled=True) < 0.75


def test_of_independent_requests_the_interval_is_about_the_exact_one() -> None:
    widths = []
    for seed in range(20):
        values = np.random.default_rng(seed).exponential(1.0, 500)
        exact, found = interval(values.tolist(), 0.9), latencies(values)
        assert exact is not None
        assert found is not None
        figure = found.at(0.9)
        assert figure is not None
        assert figure.low_s is not None
        assert figure.high_s is not None
        widths.append((figure.high_s - figure.low_s) / (exact.high - exact.low))
    assert 1.0 <= np.median(widths) < 1.4


def test_one_stall_bounds_nothing_from_above_however_many_waited_for_it() -> None:
    values = np.full(6000, 0.01)
    values[3000:3200] = np.linspace(2.0, 0.01, 200)
    found = latencies(values)
    assert found is not None
    p99 = found.at(0.99)
    assert p99 is not None
    assert p99.seconds == pytest.approx(2.0 * (1 - 60 / 200), rel=0.03)
    assert p99.high_s is None
    assert p99.effective_n < 299
    assert upper_bound(table(values), 0.99) is None
    assert upper_bound(table(values), 0.5) == pytest.approx(0.01)


def test_a_load_too_short_for_its_queue_says_that_its_intervals_are_too_narrow() -> None:
    found = latencies(np.cumsum(np.random.default_rng(1).normal(size=2000)) + 200)
    assert found is not None
    assert all(one.doubtful or one.high_s is None for one in found.quantiles)
    assert found.quantiles[0].doubtful


@pytest.mark.parametrize(("n", "last"), [(1, 0.5), (58, 0.9), (59, 0.95), (2994, 0.99)])
def test_no_quantile_is_given_that_the_number_does_not_support(n: int, last: float) -> None:
    found = latencies(np.random.default_rng(n).exponential(1.0, n))
    assert found is not None
    assert found.quantiles[-1].q == last


def test_bounds_enclose_their_quantile_and_rise_with_it() -> None:
    found = latencies(queue(3))
    assert found is not None
    for one in found.quantiles:
        assert one.low_s is not None
        assert one.low_s <= one.seconds <= (one.high_s or np.inf)
    for one, other in pairwise(found.quantiles):
        assert one.seconds <= other.seconds


def test_an_upper_bound_holds_the_quantile_as_often_as_it_says() -> None:
    bounds = [upper_bound(table(queue(seed)), 0.9) for seed in range(_SEEDS)]
    held = sum(bound is None or bound >= true_quantile(0.9) for bound in bounds)
    assert held / _SEEDS >= 0.9
    assert all(bound is not None for bound in bounds)


def test_throttled_and_failed_requests_are_counted_apart_and_cold_ones_are_kept() -> None:
    status = np.full(100, 200)
    status[:5], status[5:7] = 429, 0
    cold = np.zeros(100, dtype=np.int64)
    cold[7:17] = 1
    latency = np.where(cold == 1, 3.0, 0.05)
    found = summarise(table(latency, status=status, cold=cold))
    assert (found.n, found.answered, found.throttled, found.failed) == (100, 93, 5, 2)
    assert found.error_share == pytest.approx(0.07)
    assert found.told
    assert found.cold == 10
    assert found.latency is not None
    assert found.latency.max_s == pytest.approx(3.0)
    assert found.cold_latency is not None
    assert found.warm_latency is not None
    assert (found.cold_latency.n, found.warm_latency.n) == (10, 83)
    assert found.warm_latency.max_s == pytest.approx(0.05)


def test_latency_counts_from_the_intended_instant_and_service_from_when_it_was_sent() -> None:
    found = summarise(table(np.full(40, 0.1)))
    assert found.latency is not None
    assert found.service is not None
    assert found.latency.mean_s - found.service.mean_s == pytest.approx(0.0001)
    assert found.achieved_per_s == pytest.approx(40 / (3.9 + 0.1))
    assert found.offered_per_s == pytest.approx(10)


def test_uncounted_requests_are_in_no_figure_but_their_number() -> None:
    latency = np.full(26, 0.1)
    latency[0] = 9.0
    found = summarise(table(latency), uncounted=1)
    assert (found.n, found.uncounted) == (25, 1)
    assert found.latency is not None
    assert found.latency.max_s == pytest.approx(0.1)


def test_nothing_answered_gives_no_latency() -> None:
    found = summarise(table(np.full(10, 0.1), status=np.zeros(10, dtype=np.int64)))
    assert (found.answered, found.failed, found.latency) == (0, 10, None)
    assert upper_bound(table(np.array([])), 0.5) is None
