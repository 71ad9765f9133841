from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lab.coldstart import schedule
from lab.spec import StartKind
from tests.unit.coldstart.builders import plan


def test_every_block_holds_every_cell_and_the_first_is_the_warm_up() -> None:
    a_plan = plan(repeats=3, start_kinds=["fresh", "restart"])
    trials = schedule.order(a_plan)
    cells = set(schedule.cells(a_plan))
    assert len(cells) == 6
    for block in range(4):
        assert {trial.cell for trial in trials if trial.block == block} == cells
    assert [trial.block for trial in trials] == sorted(trial.block for trial in trials)
    assert [trial.index for trial in trials] == list(range(24))


def test_the_seed_alone_decides_the_order() -> None:
    assert schedule.order(plan(seed=1)) == schedule.order(plan(seed=1))
    assert schedule.order(plan(seed=1, repeats=9)) != schedule.order(plan(seed=2, repeats=9))


def test_more_repeats_leave_earlier_blocks_as_they_were() -> None:
    short, long = schedule.order(plan(repeats=2)), schedule.order(plan(repeats=5))
    assert long[: len(short)] == short


def test_blocks_are_ordered_differently() -> None:
    trials = schedule.order(plan(repeats=8, tiers=[1024, 2048]))
    orders = {tuple(trial.cell for trial in trials if trial.block == block) for block in range(9)}
    assert len(orders) > 5


def test_fewer_repeats_are_spread_evenly() -> None:
    trials = schedule.order(
        plan(start_kinds=["fresh", "pull"], repeats={"fresh": 6, "pull": 2}, warm_up=["fresh"])
    )
    pulls = sorted({trial.block for trial in trials if trial.cell.start_kind is StartKind.PULL})
    assert pulls == [2, 5]


@given(st.integers(1, 40), st.integers(1, 40))
def test_spreading_uses_different_blocks_in_range(repeats: int, more: int) -> None:
    blocks = repeats + more - 1
    found = schedule.spread(repeats, blocks)
    assert len(set(found)) == repeats
    assert all(1 <= block <= blocks for block in found)


def test_a_kind_without_warm_up_is_not_in_block_0() -> None:
    trials = schedule.order(plan(start_kinds=["fresh", "pull"], repeats=2, warm_up=["fresh"]))
    assert {trial.cell.start_kind for trial in trials if trial.block == 0} == {StartKind.FRESH}


def test_the_floor_is_in_every_plan_once_per_tier_and_kind() -> None:
    cells = schedule.cells(plan(models=["a", "b"], tiers=[1024, "host"]))
    floors = [cell for cell in cells if cell.variant == "floor"]
    assert Counter((cell.tier, cell.model) for cell in floors) == {
        ("1024", "a"): 1,
        ("host", "a"): 1,
    }


def test_a_plan_that_names_the_floor_gets_it_once() -> None:
    assert schedule.cells(plan(variants=["slim", "onnx", "floor"])) == schedule.cells(plan())


def test_an_own_image_is_interleaved_with_ours() -> None:
    own = {
        "image": "me/x:1",
        "payload": "p",
        "content_type": "text/plain",
    }
    trials = schedule.order(plan(own=own))
    for block in range(3):
        names = {trial.cell.variant for trial in trials if trial.block == block}
        assert names == {"me-x-1", "slim", "onnx", "floor"}
