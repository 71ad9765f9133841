import numpy as np

from models.recommender_niser import baselines, metrics
from models.recommender_niser.reference import adjacency
from models.recommender_niser.sessions import MOST, clicks, examples, generate, of, split

SHOP = generate(7, count=3000, items=600)


def test_every_prefix_is_an_example_and_only_its_last_twenty_clicks_count() -> None:
    sessions = of(np.arange(1, 28), np.array([2, 25]), np.array([0, 1]))

    prefixes, targets, session = examples(sessions)

    assert targets.tolist() == [2, *range(4, 28)]
    assert session.tolist() == [0, *[1] * 24]
    assert prefixes[0].tolist() == [1, *[0] * 19]
    assert prefixes[-1].tolist() == list(range(7, 27))
    assert prefixes.shape[1] == MOST


def test_the_shop_is_the_same_for_the_same_seed_only() -> None:
    again, other = (generate(seed, count=3000, items=600) for seed in (7, 8))

    assert np.array_equal(SHOP.items, again.items)
    assert not np.array_equal(SHOP.items[:1000], other.items[:1000])


def test_the_shop_has_popular_items_late_ones_and_sessions_of_six_clicks() -> None:
    often = np.sort(clicks(SHOP, 600)[1:])[::-1]
    early, late = split(SHOP, 3)

    assert often[:60].sum() > 0.3 * often.sum()
    assert 5 <= SHOP.lengths().mean() <= 6.5
    assert 0.02 < 1 - len(np.unique(early.items)) / len(np.unique(SHOP.items)) < 0.15
    assert set(np.unique(late.days)) == {11, 12, 13}


def test_its_steps_have_a_direction() -> None:
    """Else neighbours, which know no order, would be as good as a model that does."""
    _, targets, _ = examples(SHOP)
    prefixes, *_ = examples(SHOP)
    last = prefixes[np.arange(len(prefixes)), (prefixes > 0).sum(axis=1) - 1]
    step = (targets - last + 30) % 60 - 30

    assert (step == 9).sum() > 2 * (step == -9).sum()


def test_neighbours_are_those_of_most_sessions_with_the_last_click() -> None:
    learn = of(np.array([1, 2, 1, 2, 1, 3, 2, 4]), np.array([2, 2, 2, 2]), np.zeros(4, np.int64))
    prefixes = np.array([[4, 1, 0], [4, 1, 0], [4, 1, 0]])

    places = baselines.item_knn(learn, 4, prefixes, np.array([2, 3, 4]))

    assert places.tolist() == [1, 2, baselines.NEVER]


def test_popularity_places_items_by_their_clicks() -> None:
    learn = of(np.array([3, 3, 3, 1, 1, 2]), np.array([3, 3]), np.zeros(2, np.int64))

    assert baselines.popularity(learn, 3, np.array([1, 2, 3])).tolist() == [2, 3, 1]


def test_a_rank_counts_what_is_as_good_as_better() -> None:
    logits = np.array([[0.1, 0.3, 0.3], [1, 2, 3]], np.float32)

    assert metrics.ranks(logits, np.array([2, 3])).tolist() == [2, 1]


def test_figures_by_hand_with_an_interval_over_sessions() -> None:
    places, session = np.array([1, 21, 2, 4]), np.array([0, 0, 1, 2])

    found = metrics.measured(places, session, seed=1)

    assert found["recall@20"]["value"] == 0.75
    assert found["mrr@20"]["value"] == (1 + 0.5 + 0.25) / 4
    low, high = found["recall@20"]["interval"]
    assert low <= 0.75 <= high
    assert low < high


def test_the_long_tail_is_all_but_the_most_clicked_fifth() -> None:
    rare = metrics.long_tail(np.array([0, 5, 9, 1, 1, 1]))

    assert rare.tolist()[1:] == [True, False, True, True, True]


def test_the_graph_of_a_session_is_of_its_distinct_items() -> None:
    nodes, out, into = adjacency([5, 9, 5, 7])

    assert nodes == [5, 7, 9]
    assert out.tolist() == [[0, 0.5, 0.5], [0, 0, 0], [1, 0, 0]]
    assert into.tolist() == [[0, 0, 1], [1, 0, 0], [1, 0, 0]]
