"""Arrivals are as bursty as was asked, and the measure of it says so or says nothing."""

import math

import numpy as np
import pytest

from lab.errors import UsageError
from lab.load.arrivals.dispersion import measure
from lab.load.arrivals.models import Mmpp
from lab.load.arrivals.parse import parse

SEEDS = range(10)
PARAMETERS = [
    {"rate": 20, "idc": 30},
    {"rate": 20, "idc": 30, "ratio": 3},
    {"rate": 20, "idc": 30, "ratio": math.inf},
    {"rate": 20, "idc": 30, "switch_s": 2},
    {"rate": 20, "idc": 30, "switch_s": 5, "ratio": math.inf},
    {"rate": 20, "idc": 30, "switch_s": 5, "ratio": 8},
    {"rate": 0.5, "idc": 1.2},
    {"rate": 500, "idc": 4000, "ratio": 2},
    {"rate": 20, "idc": 1},
]


@pytest.mark.parametrize("asked", PARAMETERS)
def test_a_modulated_process_has_the_rate_and_the_index_by_the_formula(
    asked: dict[str, float],
) -> None:
    found = Mmpp.of(**asked)
    assert found.rate == pytest.approx(asked["rate"])
    assert found.idc == pytest.approx(asked["idc"])
    if "switch_s" in asked:
        assert (1 / found.s1 + 1 / found.s2) / 2 == pytest.approx(asked["switch_s"])
    if "ratio" in asked:
        assert found.l2 * asked["ratio"] == pytest.approx(found.l1) or found.l2 == 0
    if "switch_s" not in asked or "ratio" not in asked:
        assert found.s1 == found.s2


def test_with_both_given_equal_sojourns_are_taken_where_they_fit() -> None:
    alone = Mmpp.of(rate=20, idc=30, ratio=10)
    both = Mmpp.of(rate=20, idc=30, ratio=10, switch_s=1 / alone.s1)
    assert (both.l1, both.s1, both.s2) == pytest.approx((alone.l1, alone.s1, alone.s2))


@pytest.mark.parametrize("ratio", [None, 10.0, math.inf])
def test_the_shortest_sojourn_that_a_refusal_names_is_one_that_fits(ratio: float | None) -> None:
    with pytest.raises(UsageError) as refused:
        Mmpp.of(rate=20, idc=30, ratio=ratio, switch_s=0.01)
    named = float(refused.value.remedy.split("switch=")[1].split("s")[0])
    assert Mmpp.of(rate=20, idc=30, ratio=ratio, switch_s=named * 1.01).idc == pytest.approx(30)
    with pytest.raises(UsageError):
        Mmpp.of(rate=20, idc=30, ratio=ratio, switch_s=named * 0.98)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("mmpp:rate=20,idc=30,for=2h", 30),
        ("mmpp:rate=50,idc=100,ratio=inf,for=4h", 100),
        ("mmpp:rate=20,idc=30,ratio=3,switch=6s,for=12h", 30),
        ("mmpp:rate=20,idc=3,for=20m", 3),
        ("gamma:rate=20,cv=3,for=30m", 9),
        ("gamma:rate=20,cv=0.5,for=30m", 0.25),
        ("poisson:rate=20,for=30m", 1),
    ],
)
def test_the_index_measured_over_ten_seeds_is_within_5_percent_of_what_was_asked(
    text: str, asked: float
) -> None:
    drawn = [parse(text, seed=seed) for seed in SEEDS]
    measured = [one.idc for one in drawn]
    assert all(one.asked_idc == pytest.approx(asked) for one in drawn)
    assert np.mean(np.asarray(measured, dtype=float)) == pytest.approx(asked, rel=0.05)
    assert np.mean([one.rate_per_s for one in drawn]) == pytest.approx(drawn[0].rate_per_s, rel=0.1)


def test_the_index_agrees_with_windows_so_long_that_no_rule_is_needed() -> None:
    process = Mmpp.of(rate=20, idc=30)
    drawn = process.draw(horizon_s=200_000, rng=np.random.default_rng(3))
    counts = np.histogram(drawn, bins=np.arange(0, 200_001, 100))[0]
    plain = counts.var() / counts.mean()
    found = measure(drawn, 200_000)
    assert found is not None
    assert found.idc == pytest.approx(plain, rel=0.08)
    assert found.windows * found.window_s == pytest.approx(200_000)


def test_bursts_come_from_two_rates_that_last_as_long_as_was_asked() -> None:
    process = Mmpp.of(rate=20, idc=200, ratio=math.inf, switch_s=20)
    drawn = process.draw(horizon_s=40_000, rng=np.random.default_rng(1))
    silent = np.diff(drawn)[np.diff(drawn) > 2]  # At the higher rate there is none such.
    pairs = 40_000 / (1 / process.s1 + 1 / process.s2)
    assert len(silent) == pytest.approx(pairs * math.exp(-2 * process.s2), rel=0.1)
    assert silent.mean() == pytest.approx(1 / process.s2 + 2, rel=0.1)


def test_gaps_of_a_gamma_process_vary_as_was_asked() -> None:
    gaps = np.diff(parse("gamma:rate=20,cv=3,for=1h").instants)
    assert gaps.mean() == pytest.approx(1 / 20, rel=0.02)
    assert gaps.std() / gaps.mean() == pytest.approx(3, rel=0.05)


def test_a_process_of_long_gaps_keeps_its_rate_from_the_first_second() -> None:
    firsts = [
        np.count_nonzero(parse("gamma:rate=20,cv=5,for=60s", seed=seed).instants < 1)
        for seed in range(400)
    ]
    assert np.mean(firsts) == pytest.approx(20, rel=0.25)


def test_an_even_pace_has_no_dispersion() -> None:
    assert parse("constant:rate=20,for=60s").idc == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "poisson:rate=1,for=60s",
        "steps:10/30s,20/30s",
        "ramp:1-50,for=60s",
        "ramp:1-50,for=60s,arrivals=poisson",
        "mmpp:rate=20,idc=2000,switch=5m,for=10m",
    ],
)
def test_too_few_instants_or_a_rate_that_drifts_have_no_index(text: str) -> None:
    assert parse(text).idc is None
