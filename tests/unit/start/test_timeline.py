from collections.abc import Mapping

import pytest

from lab.spec import Mark, Phase
from lab.start import timeline
from lab.start.timeline import Inside, inside_marks

T0 = 1_700_000_000_000_000_000


def at(seconds: Mapping[Mark, float]) -> dict[Mark, int]:
    return {mark: T0 + round(when * 1e9) for mark, when in seconds.items()}


PULL = at(
    {
        Mark.BEGIN: 0.0,
        Mark.PULL_BEGIN: 0.0,
        Mark.PULL_DOWNLOADED: 5.0,
        Mark.PULL_END: 6.5,
        Mark.FETCH_BEGIN: 6.5,
        Mark.FETCH_END: 6.75,
        Mark.CREATE_BEGIN: 6.75,
        Mark.CREATE_END: 6.8,
        Mark.START_BEGIN: 6.8,
        Mark.STARTED: 7.0,
        Mark.INTERPRETER: 7.05,
        Mark.IMPORTS: 7.3,
        Mark.MODEL_LOADED: 7.5,
        Mark.WARMED_UP: 7.6,
        Mark.LISTENING: 7.62,
        Mark.ACCEPTING: 7.625,
        Mark.READY: 7.64,
        Mark.PREDICT_BEGIN: 7.64,
        Mark.PREDICTED: 7.74,
    }
)
INSIDE = Inside(
    process_ns=PULL[Mark.STARTED],
    marks={
        mark: PULL[mark]
        for mark in (
            Mark.INTERPRETER,
            Mark.IMPORTS,
            Mark.MODEL_LOADED,
            Mark.WARMED_UP,
            Mark.LISTENING,
        )
    },
)


def rounded(marks: Mapping[Mark, int]) -> dict[Phase, float]:
    return {phase: round(seconds, 6) for phase, seconds in timeline.phases(marks).items()}


def test_every_phase_has_its_length_and_its_place() -> None:
    assert list(rounded(PULL).items()) == [
        (Phase.IMAGE_PULL, 5.0),
        (Phase.IMAGE_UNPACK, 1.5),
        (Phase.MODEL_FETCH, 0.25),
        (Phase.CREATE, 0.05),
        (Phase.START, 0.2),
        (Phase.INTERPRETER, 0.05),
        (Phase.IMPORTS, 0.25),
        (Phase.MODEL_LOAD, 0.3),
        (Phase.SERVE, 0.025),
        (Phase.READY, 0.015),
        (Phase.FIRST_PREDICTION, 0.1),
    ]
    assert timeline.total(PULL) == pytest.approx(7.74)
    assert (
        timeline.inconsistencies(PULL, inside=INSIDE, wall_s=7.74, error_bar_s=0.0, slack_s=0.01)
        is None
    )


def test_what_cannot_be_seen_inside_is_one_phase() -> None:
    outside = {mark: when for mark, when in PULL.items() if mark not in INSIDE.marks}
    found = rounded(outside)
    assert found[Phase.BOOT] == 0.64
    unseen = {Phase.INTERPRETER, Phase.IMPORTS, Phase.MODEL_LOAD, Phase.SERVE, Phase.READY}
    assert not unseen & set(found)
    assert sum(found.values()) == pytest.approx(7.74)


def test_work_that_overlaps_is_counted_once() -> None:
    # The model loads while the libraries are imported, and the socket listens before both end.
    overlapping = PULL | at({Mark.MODEL_LOADED: 7.2, Mark.WARMED_UP: 7.35, Mark.ACCEPTING: 7.1})
    found = rounded(overlapping)
    assert found[Phase.IMPORTS] == 0.25
    assert found[Phase.MODEL_LOAD] == 0.05
    assert found[Phase.SERVE] == 0.0
    assert found[Phase.READY] == 0.29
    assert sum(found.values()) == pytest.approx(7.74)


def test_phases_of_a_trial_that_broke_off_end_where_it_did() -> None:
    broken = {mark: when for mark, when in PULL.items() if when <= PULL[Mark.IMPORTS]}
    assert list(rounded(broken))[-1] is Phase.IMPORTS


def test_plain_processes_have_no_create_and_no_start() -> None:
    marks: dict[Mark, int] = {
        mark: when
        for mark, when in PULL.items()
        if mark not in {Mark.CREATE_BEGIN, Mark.CREATE_END}
    }
    marks[Mark.STARTED] = marks[Mark.START_BEGIN]
    found = rounded(marks)
    assert Phase.START not in found
    assert Phase.CREATE not in found
    assert found[Phase.INTERPRETER] == 0.25


def with_a_gap_before_the_prediction(marks: Mapping[Mark, int], gap: float) -> dict[Mark, int]:
    return {
        mark: when + round(gap * 1e9)
        if when >= marks[Mark.PREDICT_BEGIN] and mark is not Mark.READY
        else when
        for mark, when in marks.items()
    }


@pytest.mark.parametrize(("gap", "fine"), [(0.14, True), (0.17, False)])
def test_a_gap_of_more_than_two_percent_is_not_papered_over(gap: float, *, fine: bool) -> None:
    later = with_a_gap_before_the_prediction(PULL, gap)
    doubt = timeline.inconsistencies(
        later, inside=INSIDE, wall_s=7.74 + gap, error_bar_s=0.0, slack_s=0.01
    )
    assert (doubt is None) == fine
    if doubt is not None:
        assert "add up to 7.7400 s and the trial took 7.9100 s" in doubt


QUICK = at(
    {
        Mark.BEGIN: 0.0,
        Mark.CREATE_BEGIN: 0.0,
        Mark.CREATE_END: 0.02,
        Mark.START_BEGIN: 0.02,
        Mark.STARTED: 0.03,
        Mark.ACCEPTING: 0.15,
        Mark.READY: 0.18,
        Mark.PREDICT_BEGIN: 0.18,
        Mark.PREDICTED: 0.2,
    }
)
"""A start of 0.2 s."""


@pytest.mark.parametrize(
    ("gap", "error_bar_s", "fine"),
    [
        (0.005, 0.01, True),
        (0.014, 0.01, True),
        (0.0145, 0.01, False),
        (0.05, 0.01, False),
        (0.05, 0.06, True),
        (0.005, 0.0, False),
    ],
)
def test_a_short_start_is_known_no_better_than_its_error_bar(
    gap: float, error_bar_s: float, *, fine: bool
) -> None:
    doubt = timeline.inconsistencies(
        with_a_gap_before_the_prediction(QUICK, gap),
        inside=None,
        wall_s=0.2 + gap,
        error_bar_s=error_bar_s,
        slack_s=0.01,
    )
    assert (doubt is None) == fine
    if doubt is not None:
        assert f"with an error bar of {error_bar_s:.4f} s" in doubt


def test_a_clock_that_jumps_makes_the_sample_inconsistent() -> None:
    doubt = timeline.inconsistencies(PULL, inside=INSIDE, wall_s=9.0, error_bar_s=0.0, slack_s=0.01)
    assert doubt is not None


def test_a_process_older_than_its_start_is_a_contradiction() -> None:
    old = Inside(process_ns=PULL[Mark.START_BEGIN] - 50_000_000, marks=INSIDE.marks)
    doubt = timeline.inconsistencies(PULL, inside=old, wall_s=7.74, error_bar_s=0.0, slack_s=0.01)
    assert doubt is not None
    assert "0.0500 s before it was started" in doubt


def test_ten_milliseconds_early_is_the_kernel_s_tick() -> None:
    early = Inside(process_ns=PULL[Mark.START_BEGIN] - 9_000_000, marks=INSIDE.marks)
    assert (
        timeline.inconsistencies(PULL, inside=early, wall_s=7.74, error_bar_s=0.0, slack_s=0.0)
        is None
    )


def test_marks_after_ready_are_a_contradiction() -> None:
    late = Inside(
        process_ns=INSIDE.process_ns,
        marks={**INSIDE.marks, Mark.LISTENING: PULL[Mark.READY] + 2_000_000_000},
    )
    doubt = timeline.inconsistencies(PULL, inside=late, wall_s=7.74, error_bar_s=0.0, slack_s=0.01)
    assert doubt is not None
    assert "2.0000 s after its first /ping 200" in doubt


def test_another_clock_is_corrected_by_a_shift() -> None:
    ahead = INSIDE.shifted(5_000_000_000)
    assert ahead.shifted(-5_000_000_000) == INSIDE
    assert ahead.process_ns - INSIDE.process_ns == 5_000_000_000


def test_the_server_s_report_is_read() -> None:
    report = {
        "schema": 1,
        "pid": 1,
        "marks": {"process": 5, "interpreter": 6, "imports": 7, "new_in_a_later_version": 9},
    }
    found = inside_marks(report)
    assert found == Inside(process_ns=5, marks={Mark.INTERPRETER: 6, Mark.IMPORTS: 7})


@pytest.mark.parametrize(
    "report",
    [
        None,
        "hello",
        [],
        {"marks": {"process": 1, "interpreter": 2}},
        {"schema": 2, "marks": {"process": 1, "interpreter": 2}},
        {"schema": 1, "marks": {"process": "soon", "interpreter": 2}},
        {"schema": 1, "marks": {"interpreter": 2}},
        {"schema": 1, "marks": []},
    ],
)
def test_what_is_not_a_report_is_not_believed(report: object) -> None:
    assert inside_marks(report) is None
