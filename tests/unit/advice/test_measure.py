"""Which trials a comparison of images makes, and what it keeps of them."""

from collections import Counter

from lab.advice.measure import order, run_trials
from lab.coldstart.plan import Plan
from lab.coldstart.record import Failure, FailureKind, Outcome, Sample
from lab.coldstart.schedule import Trial
from lab.progress import Silent
from lab.spec import FLOOR, Platform, StartKind


def _plan(repeats: int = 4) -> Plan:
    kinds = (StartKind.FRESH, StartKind.PULL)
    return Plan(
        name="comparison",
        variants=("before", "after"),
        models=("own",),
        platforms=(Platform.AMD64,),
        start_kinds=kinds,
        repeats=dict.fromkeys(kinds, repeats),
        warm_up=(StartKind.FRESH,),
    )


def test_every_block_holds_each_image_in_each_way_once_and_no_floor() -> None:
    trials = order(_plan())
    assert [one.index for one in trials] == list(range(len(trials)))
    assert FLOOR not in {one.cell.variant for one in trials}
    for block in range(1, 5):
        held = Counter(
            (one.cell.variant, one.cell.start_kind) for one in trials if one.block == block
        )
        assert held == {
            (name, kind): 1
            for name in ("before", "after")
            for kind in (StartKind.FRESH, StartKind.PULL)
        }


def test_only_what_a_cache_could_help_is_warmed_up() -> None:
    warm = [one.cell for one in order(_plan()) if one.block == 0]
    assert {(one.variant, one.start_kind) for one in warm} == {
        ("before", StartKind.FRESH),
        ("after", StartKind.FRESH),
    }


def test_the_order_is_the_same_every_time_and_not_the_same_in_every_block() -> None:
    trials = order(_plan(repeats=12))
    assert trials == order(_plan(repeats=12))
    rows = {
        tuple((one.cell.variant, one.cell.start_kind) for one in trials if one.block == block)
        for block in range(1, 13)
    }
    assert len(rows) > 1


class _Scripted:
    """An executor whose images fail as they are told to."""

    def __init__(self, failing: str) -> None:
        self.failing = failing
        self.ran: list[Trial] = []

    def run(self, one: Trial) -> Sample:
        self.ran.append(one)
        bad = one.cell.variant == self.failing
        return Sample(
            trial=one.index,
            block=one.block,
            cell=one.cell,
            started_at="2026-01-01T00:00:00+00:00",
            outcome=Outcome.FAILED if bad else Outcome.OK,
            failure=Failure(kind=FailureKind.EARLY_EXIT, message="it broke") if bad else None,
            total_s=None if bad else 1.0,
        )


def test_an_image_that_never_starts_is_given_up_and_the_other_is_measured_whole() -> None:
    scripted, progress = _Scripted("after"), Silent()
    found = run_trials(order(_plan()), scripted.run, progress)
    assert {key: len(samples) for key, samples in found.items()} == {
        ("before", StartKind.FRESH): 4,
        ("before", StartKind.PULL): 4,
        ("after", StartKind.FRESH): 1,  # its warm-up was the other
        ("after", StartKind.PULL): 2,
    }
    assert not any(one.warm_up for samples in found.values() for one in samples)
    assert progress.notes.count("after, pull: it broke") == 2
