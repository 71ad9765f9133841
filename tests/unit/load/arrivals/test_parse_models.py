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


@pytest.mark.parametrize(
    ("text", "said"),
    [
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
