"""One judgement of the first request, for the check and for the report."""

import pytest

from lab.start.firstrequest import FirstRequest, judge_first_request


@pytest.mark.parametrize(
    ("first_s", "later_s", "expected"),
    [
        (0.05, 0.02, FirstRequest.WARM),
        (0.2, 0.02, FirstRequest.WARM),  # ten times as long, and nobody would notice
        (0.5, 0.02, FirstRequest.SLOW),
        (1.9, 0.02, FirstRequest.SLOW),
        (3.0, 0.02, FirstRequest.WAITED),
        (12.0, 9.0, FirstRequest.WARM),  # slow, and always so
    ],
)
def test_a_request_that_waits_for_the_model_is_told_from_a_framework_that_warms_up(
    first_s: float, later_s: float, expected: FirstRequest
) -> None:
    assert judge_first_request(first_s, later_s) is expected


def test_a_warm_up_is_no_other_on_a_part_of_a_processor() -> None:
    assert judge_first_request(1.5, 0.02) is FirstRequest.SLOW
    assert judge_first_request(3.0, 0.04, cpus=0.5) is FirstRequest.SLOW
    assert judge_first_request(5.0, 0.04, cpus=0.5) is FirstRequest.WAITED
    assert judge_first_request(3.0, 0.02, cpus=3.5) is FirstRequest.WAITED
