from collections import Counter

from lab.tune.order import PILOT, ROUNDS, groups, order
from lab.tune.record import Part
from tests.unit.tune.scripted import sized

SIX = [sized(str(1024 * n)) for n in range(1, 7)]


def test_the_first_start_is_of_the_largest_size_and_is_the_pilot() -> None:
    rows = order(SIX, rounds=ROUNDS, seed=1, resizable=True, on_demand=False)
    assert rows[0] == (PILOT, "6144", Part.NEW)


def test_every_round_holds_each_size_once_in_each_way() -> None:
    rows = order(SIX, rounds=3, seed=1, resizable=True, on_demand=False)[1:]
    assert Counter(rows) == {
        (turn, size.name, part): 1
        for turn in (1, 2, 3)
        for size in SIX
        for part in (Part.NEW, Part.RESIZED)
    }
    assert [turn for turn, _, _ in rows] == sorted(turn for turn, _, _ in rows)


def test_a_size_s_new_and_resized_containers_are_neighbours_in_either_order() -> None:
    rows = order(SIX, rounds=6, seed=1, resizable=True, on_demand=False)[1:]
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    assert all(one[:2] == other[:2] for one, other in pairs)
    assert {one[2] for one, _ in pairs} == {Part.NEW, Part.RESIZED}


def test_rounds_differ_in_their_order_and_a_seed_fixes_it() -> None:
    rows = order(SIX, rounds=2, seed=1, resizable=False, on_demand=False)
    first, second = ([name for turn, name, _ in rows if turn == at] for at in (1, 2))
    assert first != second
    assert rows == order(SIX, rounds=2, seed=1, resizable=False, on_demand=False)
    assert rows != order(SIX, rounds=2, seed=2, resizable=False, on_demand=False)


def test_of_an_instance_how_much_it_takes_is_measured_at_the_end() -> None:
    sizes = [sized("1024"), sized("ml.m5.large")]
    rows = order(sizes, rounds=2, seed=1, resizable=True, on_demand=True)
    assert rows[-1] == (2, "ml.m5.large", Part.CAPACITY)
    demanded = {name for _, name, part in rows if part is Part.ONDEMAND}
    assert demanded == {"1024"}


def test_only_sizes_that_see_as_many_processors_share_a_container() -> None:
    found = [[one.name for one in group] for group in groups([*reversed(SIX)])]
    assert found == [["1024"], ["2048", "3072"], ["4096", "5120", "6144"]]
