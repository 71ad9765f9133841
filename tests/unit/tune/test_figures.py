import pytest

from lab.coldstart.record import FailureKind
from lab.spec import StartKind
from lab.stats.ratios import RatioVerdict
from lab.tune.figures import resized_ratio, size_results
from lab.tune.order import PILOT
from lab.tune.record import Capacity, Part, TuneSample
from lab.tune.result import SizeOutcome, SizeResult, WarmSource
from tests.unit.tune.scripted import MIB, P95_300, failed, new, resized, sized

ROUNDS = range(1, 7)


def one(name: str, *samples: TuneSample) -> SizeResult:
    (found,) = size_results([sized(name)], samples, P95_300)
    return found


def test_the_pilot_counts_nowhere() -> None:
    samples = [new("2048", PILOT, mean=9.0, total_s=90.0), *(new("2048", at) for at in ROUNDS)]
    found = one("2048", *samples)
    assert found.cold is not None
    assert (found.cold.n, found.cold.total_s) == (6, 2.0)
    assert found.warm is not None
    assert found.warm.mean_s == pytest.approx(0.1)


def test_resized_and_new_count_together_where_no_difference_is_shown() -> None:
    pairs = [(0.1, 0.101), (0.1, 0.098), (0.11, 0.11), (0.1, 0.102), (0.1, 0.1), (0.1, 0.099)]
    samples = [
        sample
        for turn, (fresh, changed) in enumerate(pairs, start=1)
        for sample in (new("2048", turn, mean=fresh), resized("2048", turn, mean=changed))
    ]
    found = one("2048", *samples)
    assert found.source is WarmSource.BOTH
    assert found.resized is not None
    assert found.resized.verdict is RatioVerdict.SAME
    assert found.warm is not None
    assert found.warm.n == 120


def test_where_a_difference_is_shown_only_new_containers_count() -> None:
    samples = [
        sample
        for turn in ROUNDS
        for sample in (new("2048", turn, mean=0.1), resized("2048", turn, mean=0.15))
    ]
    found = one("2048", *samples)
    assert found.source is WarmSource.NEW
    assert found.source_why == "resized ones took 1.50x as long (1.50 to 1.50x)"
    assert found.warm is not None
    assert found.warm.n == 60
    assert found.warm.mean_s == pytest.approx(0.1)


def test_two_rounds_are_too_few_to_show_a_difference() -> None:
    samples = [
        sample for turn in (1, 2) for sample in (new("2048", turn), resized("2048", turn, mean=0.2))
    ]
    assert one("2048", *samples).source is WarmSource.BOTH


def test_a_container_that_could_not_be_resized_leaves_the_new_ones_and_says_why() -> None:
    refused = TuneSample(
        step=9, round=1, size="2048", part=Part.RESIZED, took_s=1, failure="The engine refused."
    )
    found = one("2048", *(new("2048", at) for at in ROUNDS), refused)
    assert (found.source, found.source_why) == (WarmSource.NEW, "The engine refused.")
    assert found.resized is None


def test_the_ratio_over_all_sizes_takes_every_pair() -> None:
    samples = [
        sample
        for size in ("1024", "2048")
        for turn in (1, 2, 3)
        for sample in (new(size, turn), resized(size, turn, mean=0.1 * (1 + turn / 100)))
    ]
    found = resized_ratio(samples)
    assert found is not None
    assert found.n == 6
    assert found.value == pytest.approx(1.02)


def test_what_was_killed_says_by_how_much_it_missed() -> None:
    sizes = [sized("1024"), sized("2048"), sized("3072")]
    samples = [
        failed("1024", 1),
        failed("1024", 2),
        *(new("2048", at, peak=1500 * MIB) for at in ROUNDS),
        *(new("3072", at, peak=2900 * MIB) for at in ROUNDS),
    ]
    killed, *_ = size_results(sizes, samples, None)
    assert killed.outcome is SizeOutcome.KILLED
    assert killed.failure == "It was killed."
    assert killed.missed_by == (1500 - 1024) * MIB


def test_a_peak_that_files_have_filled_up_is_not_what_was_needed() -> None:
    found = one("2048", *(new("2048", at, peak=2048 * MIB, used=600 * MIB) for at in ROUNDS))
    assert found.memory is not None
    assert (found.memory.peak, found.memory.room) == (2048 * MIB, 1448 * MIB)


def test_room_is_the_limit_less_the_peak() -> None:
    found = one("2048", *(new("2048", at, peak=500 * MIB, used=400 * MIB) for at in ROUNDS))
    assert found.memory is not None
    assert found.memory.room == 1548 * MIB


def test_what_never_gets_ready_fails_and_is_not_called_killed() -> None:
    found = one("1024", failed("1024", 1, kind=FailureKind.NEVER_READY))
    assert (found.outcome, found.missed_by) == (SizeOutcome.FAILS, None)


def test_a_container_that_is_killed_by_its_requests_does_not_serve() -> None:
    sample = new("1024", 1).model_copy(update={"warm": None, "killed": True, "failure": "gone"})
    found = one("1024", sample)
    assert (found.outcome, found.failure) == (SizeOutcome.KILLED, "gone")


def test_on_demand_starts_are_what_serverless_meets() -> None:
    samples = [new("2048", at, total_s=2.0) for at in ROUNDS]
    samples += [new("2048", at, total_s=7.0, part=Part.ONDEMAND) for at in (1, 3, 5)]
    found = one("2048", *samples)
    assert found.cold is not None
    assert (found.cold.kind, found.cold.n, found.cold.total_s) == (StartKind.ONDEMAND, 3, 7.0)


def test_a_serverless_container_takes_one_request_at_a_time() -> None:
    found = one("2048", *(new("2048", at, mean=0.2) for at in ROUNDS))
    assert found.throughput_per_s == pytest.approx(5.0)
    assert found.keeps_objective is True


def test_the_objective_is_broken_by_the_warm_p95() -> None:
    assert one("2048", *(new("2048", at, mean=0.31) for at in ROUNDS)).keeps_objective is False


@pytest.mark.parametrize(("per_s", "keeps"), [(20.0, True), (0.0, False), (None, None)])
def test_an_instance_keeps_the_objective_at_the_rate_that_was_found(
    *, per_s: float | None, keeps: bool | None
) -> None:
    capacity = None
    if per_s is not None:
        capacity = Capacity(per_s=per_s, objective_s=0.3, how="steps", found=True)
    last = TuneSample(
        step=99, round=6, size="ml.m5.large", part=Part.CAPACITY, took_s=1, capacity=capacity
    )
    found = one("ml.m5.large", *(new("ml.m5.large", at) for at in ROUNDS), last)
    assert found.throughput_per_s == (per_s or None)
    assert found.keeps_objective is keeps


def test_a_size_of_which_nothing_was_measured_yet_is_left_out() -> None:
    assert size_results([sized("1024"), sized("2048")], [new("2048", 1)], None)[0].name == "2048"
