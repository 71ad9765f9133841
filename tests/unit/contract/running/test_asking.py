"""Asking again: as long as there is hope, and no longer."""

import itertools
from collections.abc import Callable, Iterable

import pytest

from lab.contract.running.asking import COUNT, Warming, endure
from lab.contract.running.calls import HttpCall
from lab.start import asking
from lab.start.asking import AskingPatience, ask_until_good, worth_asking_again
from lab.start.cause import Cause, CauseKind
from tests.unit.contract.makers import answered

PATIENCE = AskingPatience(loading_s=180, steady_s=30)
LATE = answered(None, error="timed out")
CLOSED = answered(None, error="the server closed the connection")


def answers(script: Iterable[HttpCall]) -> Callable[[], HttpCall]:
    left = iter(script)
    return lambda: next(left)


@pytest.mark.parametrize(
    ("last", "asked_s", "unchanged_s", "again"),
    [
        (answered(), 0, 0, False),
        (answered(400), 0, 0, False),
        (answered(415), 0, 0, False),
        (answered(307), 0, 0, False),
        (answered(500), 20, 20, True),
        (answered(500), 40, 40, False),  # nothing changes: it is a fault
        (answered(500), 40, 5, True),  # it works on something
        (answered(503), 100, 100, True),  # it says itself that it will be there
        (answered(429), 100, 100, True),
        (answered(503), 200, 0, False),  # longer than a start may take
        (CLOSED, 20, 20, True),
        (LATE, 60, 60, True),
    ],
)
def test_an_error_is_asked_again_while_there_is_hope(
    last: HttpCall, asked_s: float, unchanged_s: float, *, again: bool
) -> None:
    assert (
        worth_asking_again([last], asked_s=asked_s, unchanged_s=unchanged_s, patience=PATIENCE)
        is again
    )


def test_a_second_time_out_is_the_last() -> None:
    assert not worth_asking_again([LATE, LATE], asked_s=120, unchanged_s=0, patience=PATIENCE)


def test_a_server_whose_model_comes_later_is_waited_for() -> None:
    seen = ask_until_good(
        answers([answered(500), answered(500), answered()]),
        PATIENCE,
        cpu_s=lambda: None,
        alive=lambda: True,
    )
    assert [one.status for one in seen] == [500, 500, 200]


def test_one_that_is_gone_is_asked_no_more() -> None:
    seen = ask_until_good(answers([CLOSED]), PATIENCE, cpu_s=lambda: None, alive=lambda: False)
    assert seen == [CLOSED]


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(("cores", "heard"), [(1.0, True), (0.01, False)])
def test_processor_time_while_nothing_is_asked_is_a_sign_of_loading(
    monkeypatch: pytest.MonkeyPatch, cores: float, *, heard: bool
) -> None:
    clock = Clock()
    monkeypatch.setattr(asking, "time", clock)
    script = [answered(500)] * 40 + [answered()]  # 36 s, in which no status changes
    seen = ask_until_good(
        answers(script), PATIENCE, cpu_s=lambda: cores * clock.now, alive=lambda: True
    )
    assert seen[-1].good is heard
    assert clock.now == pytest.approx(36 if heard else 30, abs=2)


def test_how_long_it_was_not_loaded_is_told_from_the_first_200_on() -> None:
    bad = [answered(500, body=b"loading", ended_at=at) for at in (12.0, 18.1)]
    warming = Warming(ready_at=10.0, bad=bad)
    assert warming.words == "answered 500 for 8.10 s after the first 200 of /ping: loading"
    assert Warming(ready_at=10.0).seconds == 0


def nobody() -> Cause | None:
    return None


def test_twenty_in_a_row_are_enough() -> None:
    seen = endure(answers([answered()] * 99), death=nobody, steady_s=30, enough_s=60)
    assert (len(seen.answers), seen.broken, seen.in_a_row) == (COUNT, False, COUNT)
    assert seen.usual_s == pytest.approx(0.01)


def test_errors_between_good_answers_are_kept_though_it_comes_to_rest() -> None:
    script = [answered(), answered(500), answered(), answered(500), *[answered()] * 99]
    seen = endure(answers(script), death=nobody, steady_s=30, enough_s=60)
    assert not seen.broken
    assert [one.status for one in seen.unsettled] == [500, 500]


def test_a_process_that_dies_is_the_end_of_it() -> None:
    died = Cause(kind=CauseKind.EARLY_EXIT, message="It exited.")
    seen = endure(answers([answered(), CLOSED]), death=lambda: died, steady_s=30, enough_s=60)
    assert (seen.broken, seen.death, len(seen.answers)) == (True, died, 2)
    seen = endure(answers([answered(), CLOSED]), death=nobody, steady_s=30, enough_s=60)
    assert (seen.broken, seen.death) == (True, None)


def test_one_that_fails_again_and_again_is_given_up() -> None:
    flaky = itertools.cycle([answered(), answered(500)])
    seen = endure(answers(flaky), death=nobody, steady_s=0, enough_s=60)
    assert seen.broken
    assert seen.unsettled == []
