"""Memory tiers and growth, judged."""

from collections.abc import Sequence

import pytest

from lab.contract.model import Verdict
from lab.contract.rules.memory import TierTrial, judge_growth, judge_tiers
from lab.spec import SERVERLESS_TIERS

MB = 1_000_000


def trial(number: int, failure: str = "", used: Sequence[int] = (100 * MB,)) -> TierTrial:
    return TierTrial(tier=SERVERLESS_TIERS[number], failure=failure, ready_s=1, used=used)


def test_the_smallest_tier_passes_and_a_larger_one_warns_with_the_reason() -> None:
    assert judge_tiers([trial(0)])[0] is Verdict.PASS
    verdict, seen = judge_tiers([trial(0, "killed"), trial(1)])
    assert verdict is Verdict.WARN
    assert "not in 1024 MB and 0.58 CPUs: killed. It runs in 2048 MB" in seen


def test_no_tier_fails_and_no_room_left_warns() -> None:
    assert judge_tiers([trial(n, "killed") for n in range(6)])[0] is Verdict.FAIL
    assert judge_tiers([trial(0, used=(1000 * MB,))])[0] is Verdict.WARN


@pytest.mark.parametrize(
    ("used", "verdict"),
    [
        ([100 * MB] * 61, Verdict.PASS),
        ([100 * MB + n * 5 * MB for n in range(61)], Verdict.FAIL),
        ([100 * MB + n * MB // 2 for n in range(61)], Verdict.WARN),
        ([100 * MB + min(n, 20) * 5 * MB for n in range(61)], Verdict.PASS),
        ([(200 if n % 2 else 100) * MB for n in range(61)], Verdict.PASS),
        ([100 * MB] * 10, Verdict.SKIP),
        ([], Verdict.SKIP),
    ],
)
def test_growth_that_goes_on_is_a_leak_and_growth_that_ends_is_none(
    used: Sequence[int], verdict: Verdict
) -> None:
    assert judge_growth(used)[0] is verdict
