import random

import pytest

from lab.budget.budgetfile import Ceiling
from lab.budget.judge import changed, figure_of_medians, figure_of_p95, judged
from lab.budget.record import Figure, Trend, Verdict

STARTS = (1.70, 1.74, 1.78, 1.80, 1.82, 1.84, 1.86, 1.88, 1.91, 1.95)
"""Their median lies between the second and the ninth with 95 %."""


def verdict(
    limit: float,
    figure: Figure | None = None,
    ceiling: Ceiling = Ceiling.COLD_START,
    *,
    why_not: str = "",
    doubt: str = "",
) -> tuple[Verdict, str]:
    found = judged(ceiling, 12, limit, figure, why_not, doubt)
    return found.verdict, found.why


def test_a_ceiling_is_broken_when_the_whole_interval_lies_above() -> None:
    figure = figure_of_medians(STARTS)
    assert figure.value == pytest.approx(1.83)
    assert (figure.low, figure.high) == (1.74, 1.91)
    assert verdict(1.73, figure) == (Verdict.BROKEN, "")
    assert verdict(1.74, figure) == (Verdict.OVER, "")
    assert verdict(1.82, figure) == (Verdict.OVER, "")
    assert verdict(1.83, figure) == (Verdict.OK, "")


def test_few_containers_break_nothing() -> None:
    assert verdict(1.0, figure_of_medians(STARTS[:5])) == (
        Verdict.OVER,
        "5 containers are too few",
    )


def test_seconds_of_a_busy_machine_break_nothing_and_bytes_do() -> None:
    figure = figure_of_medians(STARTS)
    assert verdict(1.0, figure, doubt="it was busy") == (Verdict.OVER, "it was busy")
    assert verdict(1.0, figure, Ceiling.PEAK_MEMORY, doubt="it was busy") == (Verdict.BROKEN, "")
    assert verdict(2.0, figure, doubt="it was busy") == (Verdict.OK, "")


def test_bytes_are_exact() -> None:
    assert verdict(60e6, Figure(value=60e6), Ceiling.IMAGE_COMPRESSED)[0] is Verdict.OK
    assert verdict(60e6, Figure(value=60e6 + 1), Ceiling.IMAGE_COMPRESSED)[0] is Verdict.BROKEN


def test_what_could_not_be_measured_says_why() -> None:
    assert verdict(1.0, why_not="no price of ml.x") == (Verdict.UNMEASURED, "no price of ml.x")


def test_a_p95_s_interval_knows_what_differs_from_container_to_container() -> None:
    draw = random.Random(1)
    alike = [[draw.gauss(0.1, 0.01) for _ in range(40)] for _ in range(10)]
    apart = [[x + 0.02 * draw.random() for x in block] for block in alike]
    shifted = [[x + shift * 0.01 for x in block] for shift, block in enumerate(alike)]
    narrow, wide = figure_of_p95(apart), figure_of_p95(shifted)
    assert narrow.low is not None
    assert narrow.low <= narrow.value
    assert len(narrow.values) == 10
    # Shares of the few slow containers only: far fewer independent requests than were sent.
    assert wide.low is None or wide.value - wide.low > 3 * (narrow.value - narrow.low)


def test_a_shown_difference_has_its_ratio_and_interval() -> None:
    before, now = figure_of_medians(STARTS), figure_of_medians([1.2 * one for one in STARTS])
    worse = changed(Ceiling.COLD_START, now, before, "")
    assert worse.trend is Trend.WORSE
    assert worse.ratio == pytest.approx(1.2)
    assert worse.low is not None
    assert worse.high is not None
    assert 1.1 < worse.low < 1.2 < worse.high < 1.3
    assert changed(Ceiling.COLD_START, before, now, "").trend is Trend.BETTER


def test_noise_and_a_busy_machine_show_no_difference() -> None:
    before = figure_of_medians(STARTS)
    noisy = figure_of_medians(
        [one + (0.1 if place % 2 else -0.1) for place, one in enumerate(STARTS)]
    )
    far = figure_of_medians([2 * one for one in STARTS])
    assert changed(Ceiling.COLD_START, noisy, before, "").trend is Trend.SAME
    assert changed(Ceiling.COLD_START, far, before, "it was busy").trend is Trend.SAME
    few = figure_of_medians([2 * one for one in STARTS[:3]])
    assert changed(Ceiling.COLD_START, few, before, "").trend is Trend.SAME


def test_time_stamps_in_an_image_are_no_regression() -> None:
    before = Figure(value=54_600_000)
    for many, trend in (
        (54_600_300, Trend.SAME),
        (58_000_000, Trend.WORSE),
        (50_000_000, Trend.BETTER),
    ):
        figure = Figure(value=many)
        assert changed(Ceiling.IMAGE_COMPRESSED, figure, before, "").trend is trend
