"""What is typed for a model becomes its instants, or is refused with what would do."""

import numpy as np
import pytest

from lab.errors import UsageError
from lab.load.arrivals.parse import parse


def test_a_constant_rate_is_evenly_spaced_from_the_beginning() -> None:
    found = parse("constant:rate=4/s,for=2s")
    assert found.instants.tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]
    assert (found.horizon_s, found.rate_per_s, found.peak_per_s) == (2, 4, 4)
    assert (found.said, found.seed) == ("constant:rate=4/s,for=2s", None)


def test_a_poisson_process_has_the_rate_and_exponential_gaps() -> None:
    found = parse("poisson:rate=600/min,for=1h")
    assert found.rate_per_s == pytest.approx(10, rel=0.02)
    gaps = np.diff(found.instants)
    assert gaps.std() / gaps.mean() == pytest.approx(1, rel=0.02)
    assert found.asked_idc == 1


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    drawn = [parse(f"poisson:rate=20,for=60s,seed={seed}").sha256 for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_seed_of_the_text_goes_before_that_of_the_command() -> None:
    assert parse("poisson:rate=2,for=60s,seed=5", seed=6).seed == 5
    assert parse("poisson:rate=2,for=60s", seed=6).seed == 6
    assert parse("poisson:rate=2,for=60s").seed == 0


def test_steps_keep_each_rate_for_its_time() -> None:
    found = parse("steps:10/30s,90/min/1m")
    assert found.horizon_s == 90
    assert np.histogram(found.instants, bins=[0, 30, 60, 90])[0].tolist() == [300, 45, 45]
    assert np.diff(found.instants[:300]) == pytest.approx(0.1)


def test_a_ramp_s_rate_grows_evenly_and_its_requests_with_the_integral() -> None:
    found = parse("ramp:1-50,for=60s")
    passed = found.instants
    assert np.arange(len(found)) == pytest.approx(passed + 49 * passed**2 / 120)
    assert len(found) == 25.5 * 60


def test_a_ramp_may_fall() -> None:
    up, down = parse("ramp:1-50,for=60s"), parse("ramp:50-1,for=60s")
    assert len(up) == len(down)
    assert down.instants[200] < up.instants[200] / 3


@pytest.mark.parametrize("text", ["steps:10/5m,40/5m", "ramp:10-40,for=10m"])
def test_along_steps_and_ramps_poisson_arrivals_keep_the_rate(text: str) -> None:
    even, drawn = parse(text), parse(f"{text},arrivals=poisson,seed=1")
    bins = np.linspace(0, 600, 11)
    expected = np.histogram(even.instants, bins)[0]
    assert np.histogram(drawn.instants, bins)[0] == pytest.approx(expected, rel=0.15)
    assert np.diff(drawn.instants).std() > 1.5 * np.diff(even.instants).std()
    assert (even.seed, drawn.seed) == (None, 1)


def test_a_burst_says_what_its_two_rates_are_and_how_long_they_last() -> None:
    found = parse("mmpp:rate=20,idc=30,for=5m")
    assert found.said == (
        "mmpp:rate=20,idc=30,for=5m (36.4/s for 2.17 s, 3.64/s for 2.17 s on average)"
    )
    assert found.asked_idc == 30


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gamma:rate=3,for=60s", "gamma: cv missing"),
        ("gamma:rate=3,cv=0,for=60s", "gamma: cv: '0' is not a number from 0.001 to 100"),
        ("gamma:rate=3,cv=-1,for=60s", "gamma: cv: '-1' is not a number"),
        ("gamma:rate=3,cv=nan,for=60s", "gamma: cv: 'nan' is not a number"),
        ("mmpp:rate=3,for=60s", "mmpp: idc missing"),
        ("mmpp:rate=3,idc=0.9,for=60s", "mmpp: idc: '0.9' is not a number from 1"),
        ("mmpp:rate=3,idc=inf,for=60s", "mmpp: idc: 'inf' is not a number"),
        ("mmpp:rate=3,idc=2,ratio=1,for=60s", "mmpp: ratio: '1' is not a number from 1.001 up"),
        ("mmpp:rate=20,idc=30,switch=1s,for=60s", "No MMPP of 20/s .* Give switch=1.45s or longer"),
        ("mmpp:rate=20,idc=1.00001,for=1h", "change .* times.*use poisson:"),
        ("steps:", "steps: there is none"),
        ("steps:10", "steps: '10': '' is not a rate"),
        ("steps:10/s", "steps: '10/s': 's' is not a duration"),
        ("steps:10/30s,0/30s", "steps: '0/30s': '0' is not a rate above 0"),
        ("steps:10/30s,rate=3", "steps: unknown key 'rate'.* arrivals, seed"),
        ("steps:10/30s,arrivals=gamma", "steps: arrivals is not 'gamma'.* even or poisson"),
        ("steps:10/12h,10/13h", "steps: 90,000 s are more than a day"),
        ("ramp:for=60s", "ramp: for missing"),
        ("ramp:1-50", "ramp: for missing"),
        ("ramp:50,for=60s", "ramp: '' is not a rate above 0"),
        ("ramp:0-50,for=60s", "ramp: '0' is not a rate above 0"),
        ("ramp:1-9999,for=3h", "ramp: 54,000,000 requests, and 20,000,000 are the most"),
        ("poisson", "poisson: rate and for missing"),
        ("poisson:rate=3", "poisson: for missing"),
        ("poisson:rate=3,for=60s,speed=2", "poisson: unknown key 'speed'.* rate, for, seed"),
        ("poisson:3,for=60s", "poisson: unknown key '3'"),
        ("poisson:rate=,for=60s", "poisson: rate is without a value"),
        ("poisson:rate=3,rate=4,for=60s", "poisson: rate is given twice"),
        ("poisson:rate=0,for=60s", "poisson: rate: '0' is not a rate above 0"),
        ("poisson:rate=-1,for=60s", "poisson: rate: '-1' is not a rate above 0"),
        ("poisson:rate=nan,for=60s", "poisson: rate: 'nan' is not a rate above 0"),
        ("poisson:rate=3,for=60", "poisson: for: '60' is not a duration.* 90s"),
        ("poisson:rate=3,for=0s", "poisson: for: '0s' has no length"),
        ("poisson:rate=3,for=1d1s", "poisson: 86,401 s are more than a day"),
        ("poisson:rate=2000,for=3h", "poisson: 21,600,000 requests, and 20,000,000 are the most"),
        ("poisson:rate=1/day,for=1s", "there is no request in it"),
        ("poisson:rate=3,for=60s,seed=x", "poisson: seed: 'x' is not a whole number"),
        ("poisson:rate=3,for=60s,seed=-1", "poisson: seed: '-1' is not a whole number"),
    ],
)
def test_what_no_schedule_can_be_made_of_is_refused_with_the_key(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse(text)
    assert refused.value.remedy
    assert refused.value.exit_code == 2


def test_a_negative_seed_of_the_command_is_refused() -> None:
    with pytest.raises(UsageError, match="seed -1 is negative"):
        parse("poisson:rate=3,for=60s", seed=-1)
