"""The highest rate that keeps an objective: which rates are tried, and what is kept of them."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from lab import paths
from lab.errors import EndpointError, UsageError
from lab.load import health
from lab.load.arrivals.schedule import Schedule
from lab.load.job import COLUMNS, row
from lab.load.requests import Requests
from lab.load.statistics import summarise
from lab.loadtest import runner
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import Objective, Sitting, TargetKind, TargetRecord
from lab.loadtest.runner import InterruptedLoadError, InvalidLoadError, LoadPlan
from lab.loadtest.search import SEARCH_FILE, SearchPlan, search
from lab.loadtest.search_steps import (
    Judgement,
    SearchEnd,
    SearchResult,
    SearchStep,
    StepVerdict,
    bracket,
    judge,
    next_rates,
)
from lab.loadtest.summary import read_steps
from lab.loadtest.targets.api import CallAnswer, CallRoute, LoadPayload
from lab.loadtest.targets.url import UrlTarget
from lab.progress import Silent
from lab.runfiles import parse

PAYLOADS = (LoadPayload(name="small.json", body=b"{}", content_type="application/json"),)
OK = CallAnswer(status=200)
BUSY = CallAnswer(status=429, error="ThrottlingException")
NONE = summarise(Requests(**{name: np.empty(0) for name in COLUMNS}))  # type: ignore[arg-type]


def step(rate: float, verdict: StepVerdict = StepVerdict.KEPT) -> SearchStep:
    return SearchStep(
        folder="steps/x",
        rate_per_s=rate,
        summary=NONE,
        verdict=verdict,
        seconds=None,
        bound_s=None,
        why="",
    )


def tried(
    keeps: Callable[[float, int], bool], *, start: float = 1.0, most: float = 1e6
) -> Sequence[SearchStep]:
    """All steps of a search; ``keeps`` says of a rate and the number of the step what it does."""
    steps: list[SearchStep] = []
    while rates := next_rates(steps, start=start, least=0.01, most=most, resolution=0.05):
        for rate in rates:
            good = keeps(rate, len(steps))
            steps.append(step(rate, StepVerdict.KEPT if good else StepVerdict.VIOLATED))
        assert len(steps) < 60
    return steps


@pytest.mark.parametrize("limit", [0.03, 1.0, 1.01, 7.3, 64.0, 961.5])
def test_the_two_rates_beside_the_limit_are_found_and_each_is_run_twice(limit: float) -> None:
    steps = tried(lambda rate, _: rate <= limit)
    below, above = bracket(steps)
    assert below is not None
    assert above is not None
    assert below <= limit < above <= below * 1.06  # Rates have three figures.
    rates = [one.rate for one in steps]
    assert rates.count(below) == rates.count(above) == 2
    assert len(steps) < 20


def test_rates_double_until_one_is_too_high_and_halve_until_one_is_not() -> None:
    assert [one.rate for one in tried(lambda rate, _: rate < 7)][:4] == [1, 2, 4, 8]
    assert [one.rate for one in tried(lambda rate, _: rate < 3, start=16)][:4] == [16, 8, 4, 2]


def test_no_rate_above_the_highest_that_was_asked_for_is_tried() -> None:
    steps = tried(lambda *_: True, most=5)
    assert [one.rate for one in steps] == [1, 2, 4, 5, 5]
    assert bracket(steps) == (5, None)


def test_a_target_that_keeps_it_at_no_rate_is_tried_down_to_the_lowest() -> None:
    steps = tried(lambda *_: False)
    assert steps[-1].rate == 0.01
    assert bracket(steps) == (None, 0.01)


def test_a_stall_that_failed_one_step_is_outvoted_when_that_rate_is_run_again() -> None:
    steps = tried(lambda rate, number: rate <= 30 and number != 2)  # The first run of 4/s.
    below, above = bracket(steps)
    assert [one.rate for one in steps].count(4.0) == 3
    assert below is not None
    assert above is not None
    assert below <= 30 < above


def test_a_target_that_grows_slower_is_followed_down() -> None:
    steps = tried(lambda rate, number: rate <= (30 if number < 9 else 20))
    below, _ = bracket(steps)
    assert below is not None
    assert below <= 20


def test_what_warmed_up_or_was_late_decides_nothing() -> None:
    steps = [step(1.0, StepVerdict.COLD), step(1.0, StepVerdict.INVALID)]
    assert next_rates(steps, start=1.0, least=0.1, most=9.0, resolution=0.05) == [1.0]


# --- on a target ---------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine does meanwhile, the generator counts as in time."""
    monkeypatch.setattr(health, "MOST_LATE_S", 60.0)


class Limited:
    """Turns away what comes when more than ``most`` have come in the last half of a second."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._came: deque[float] = deque()
        self._lock = threading.Lock()

    def __call__(self, payload: LoadPayload) -> CallAnswer:
        time.sleep(0.05)  # The warm-up's one client gets few through.
        with self._lock:
            now = time.monotonic()
            self._came.append(now)
            while self._came[0] < now - 0.5:
                self._came.popleft()
            return BUSY if len(self._came) > self._most else OK


def target(call: Callable[[LoadPayload], CallAnswer], clients: int = 8) -> UrlTarget:
    return UrlTarget(
        record=TargetRecord(kind=TargetKind.AWS, name="mine"),
        route=CallRoute(call=call, clients=clients),
    )


def plan(objective: Objective, **more: object) -> SearchPlan:
    values: dict[str, object] = {
        "payloads": PAYLOADS,
        "objective": objective,
        "arrivals": "constant",
        "step_s": 0.6,
        "warm_s": 0.01,
        "start_per_s": 20.0,
        "resolution": 1.0,
        **more,
    }
    return SearchPlan(**values)  # type: ignore[arg-type]


EASY = Objective(q=0.5, errors=0.0)
"""However slow this machine is."""


@pytest.mark.usefixtures("patient")
def test_a_search_keeps_every_step_and_names_both_neighbours_of_the_knee() -> None:
    found = search(target(Limited(30)), plan(EASY), progress=Silent())
    assert found.ended is SearchEnd.FOUND
    knee, above = found.knee, found.above
    assert knee is not None
    assert above is not None
    assert (knee.rate, above.rate) == (40.0, 80.0)
    assert above.summary.throttled
    assert not knee.summary.throttled
    assert f"mine keeps errors at most 0 % up to {knee.rate:g}/s; there" in (found.sentence())
    assert f"at {above.rate:g}/s" in found.sentence()
    (folder,) = paths.runs().glob("*-load-search")
    path = folder / SEARCH_FILE
    assert parse(SearchResult, path.read_bytes(), of=path) == found
    for one in found.steps:
        kept = LoadFolder(folder / one.folder)
        assert kept.load().rate_per_s == pytest.approx(one.rate, rel=0.1)
        assert len(kept.requests()) == one.summary.n
    assert (folder / "steps" / "00-warm-up" / "requests.csv").exists()
    shown = found.summary()
    assert shown.knee is not None
    assert shown.steps[shown.knee].offered_per_s == knee.rate
    assert [(one.passed, one.visits) for one in shown.steps] == [
        (True, 1),
        (True, 2),
        (False, 2),
    ]


@pytest.mark.usefixtures("patient")
def test_a_search_that_is_interrupted_keeps_the_steps_that_it_had() -> None:
    class Impatient(Silent):
        def note(self, text: str) -> None:
            super().note(text)
            if len(self.notes) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(target(lambda _: OK), plan(EASY), progress=Impatient())
    (path,) = paths.runs().glob(f"*-load-search/{SEARCH_FILE}")
    kept = parse(SearchResult, path.read_bytes(), of=path)
    assert (len(kept.steps), kept.ended) == (2, SearchEnd.STOPPED)
    assert read_steps(path.parent) == kept.summary(), "a report can be made of it"


@pytest.mark.usefixtures("patient")
def test_a_search_that_is_stopped_in_a_step_says_where_all_of_it_is() -> None:
    class Impatient(Silent):
        def detail(self, text: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedLoadError, match=r"kept in .*-load-search\."):
        search(target(lambda _: OK), plan(EASY), progress=Impatient())


@pytest.mark.usefixtures("patient")
def test_a_step_in_which_containers_started_is_kept_and_run_again() -> None:
    """The warm-up's one client gets one container; the others start when the rate asks for them."""
    under_way = threading.Semaphore(1)
    started = threading.Event()

    def call(payload: LoadPayload) -> CallAnswer:
        alone = under_way.acquire(blocking=False)
        time.sleep(0.1)
        if alone:
            under_way.release()
            return CallAnswer(status=200, cold=False)
        cold = not started.is_set()
        started.set()
        return CallAnswer(status=200, cold=cold)

    found = search(target(call), plan(EASY, most_per_s=20.0), progress=Silent())
    kept = StepVerdict.KEPT
    assert [one.verdict for one in found.steps] == [StepVerdict.COLD, kept, kept]
    assert found.steps[0].summary.cold == 1
    assert found.ended is SearchEnd.MOST
    assert "1 cold starts" in found.steps[0].why


def test_a_generator_that_cannot_make_the_rate_is_told_from_a_slow_target() -> None:
    def slow(payload: LoadPayload) -> CallAnswer:
        time.sleep(0.1)
        return OK

    one_thread = target(slow, clients=1)
    with pytest.raises(InvalidLoadError, match=r"needs 20/s, which the generator did not make"):
        search(one_thread, plan(EASY), progress=Silent())
    (path,) = paths.runs().glob(f"*-load-search/{SEARCH_FILE}")
    kept = parse(SearchResult, path.read_bytes(), of=path)
    assert {one.verdict for one in kept.steps} == {StepVerdict.INVALID}
    assert kept.ended is SearchEnd.GENERATOR


@pytest.mark.usefixtures("patient")
def test_a_target_that_is_too_slow_by_itself_is_not_asked_ever_more_seldom() -> None:
    def slow(payload: LoadPayload) -> CallAnswer:
        time.sleep(0.005)
        return OK

    too_slow = Objective(q=0.5, seconds=0.002)
    found = search(target(slow), plan(too_slow), progress=Silent())
    assert found.ended is SearchEnd.LEAST
    assert found.knee is None
    # A twentieth of what one client gets, which is 200/s or less, and not down to 0.02/s.
    assert 1 < min(one.rate for one in found.steps) <= 10
    assert "kept p50 at most 2 ms" in found.sentence()
    assert "at no rate that was tried" in found.sentence()


def test_a_target_that_answers_nothing_is_not_searched() -> None:
    down = CallAnswer(status=0, error="connection refused")
    with pytest.raises(EndpointError, match=r"answered none of \d+ requests: connection refused"):
        search(target(lambda _: down), plan(EASY), progress=Silent())


@pytest.mark.parametrize(
    ("objective", "more", "what"),
    [
        (Objective(), {}, "nothing to keep"),
        (EASY, {"most_per_s": 10.0}, "below the first"),
        (EASY, {"arrivals": "sometimes"}, "no 'sometimes' arrivals"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_anything_is_sent(
    objective: Objective, more: dict[str, object], what: str
) -> None:
    with pytest.raises(UsageError, match=what):
        search(target(lambda _: OK), plan(objective, **more), progress=Silent())
    assert not paths.runs().exists()


# --- one step ------------------------------------------------------------------------------------


def judged(
    latencies_s: Sequence[float],
    *,
    late_s: float = 0.0,
    failed: int = 0,
    behind: bool = False,
    errors: float = 0.0,
) -> Judgement:
    """Of an objective of 200 ms for the p95; ``latencies_s`` count from the intended instants."""
    objective = Objective(q=0.95, seconds=0.2, errors=errors)
    schedule = Schedule(said="by hand", instants=np.asarray([0.0]), horizon_s=0.1)
    plan = LoadPlan(schedule=schedule, payloads=PAYLOADS, objective=objective)
    root = paths.runs() / str(uuid4())
    folder = runner.run(target(lambda _: OK), plan, progress=Silent(), root=root)
    if behind:
        (sitting,) = folder.sittings()
        state = {**sitting.state, "ended": "behind"}
        folder.append_sitting(Sitting(number=1, state=state))
    rows = [
        row(
            number,
            0,
            intended_s=number / 10,
            sent_s=number / 10 + late_s,
            done_s=number / 10 + latency_s,
            status=500 if number < failed else 200,
        )
        for number, latency_s in enumerate(latencies_s)
    ]
    folder.requests_path.write_text("".join(rows))
    return judge(folder, objective)


def spread(middle_s: float, n: int = 400) -> Sequence[float]:
    """From half to one and a half of it, in no order."""
    return list(np.random.default_rng(1).uniform(0.5, 1.5, n) * middle_s)


def test_a_step_is_kept_when_the_upper_bound_is_within_the_objective() -> None:
    found = judged(spread(0.1))
    assert found.verdict is StepVerdict.KEPT
    assert found.seconds is not None
    assert found.bound_s is not None
    assert found.seconds < found.bound_s <= 0.2


def test_a_quantile_within_the_objective_with_a_bound_above_it_is_no_pass() -> None:
    found = judged(spread(0.1366))
    assert found.seconds is not None
    assert found.bound_s is not None
    assert found.seconds < 0.2 < found.bound_s
    assert found.verdict is StepVerdict.VIOLATED
    assert "and may be" in found.why


def test_a_step_with_too_few_requests_says_nothing_yet() -> None:
    assert judged(spread(0.05, 58)).verdict is StepVerdict.FEW


def test_few_requests_are_enough_to_see_that_it_is_too_slow() -> None:
    assert judged(spread(0.5, 40)).verdict is StepVerdict.VIOLATED


def test_failures_beyond_the_bound_violate_it_however_quick_the_rest_was() -> None:
    assert judged(spread(0.05), failed=5, errors=0.01).verdict is StepVerdict.VIOLATED
    assert judged(spread(0.05), failed=4, errors=0.01).verdict is StepVerdict.KEPT


def test_a_late_generator_says_nothing_of_a_target_in_time() -> None:
    found = judged(spread(0.1), late_s=0.02)
    assert found.verdict is StepVerdict.INVALID
    assert "20.00 ms late" in found.why


def test_a_late_generator_does_not_excuse_a_target_that_is_slow_by_itself() -> None:
    assert judged(spread(0.5), late_s=0.02).verdict is StepVerdict.VIOLATED


def test_a_generator_that_gave_up_says_nothing_however_slow_the_target_was() -> None:
    assert judged(spread(0.5), behind=True).verdict is StepVerdict.INVALID
