from pathlib import Path

import numpy as np
import pytest

from models.recommender_niser import weights
from models.recommender_niser.reference import logits


def test_what_is_stored_comes_back_with_rows_of_length_one(tmp_path: Path) -> None:
    drawn = weights.untrained(50, 1)

    weights.save(drawn, {"epochs": 3}, tmp_path / "weights.npz")
    loaded, training = weights.load(tmp_path / "weights.npz")

    assert training == {"epochs": 3}
    assert np.linalg.norm(loaded["table"][1:], axis=1) == pytest.approx(np.ones(50), abs=1e-6)
    assert not loaded["table"][0].any()
    assert loaded["w_gates"] == pytest.approx(drawn["w_gates"], abs=1e-4)


@pytest.mark.parametrize("items", [1, 49, 50, 51, 120])
def test_a_size_keeps_the_trained_items_and_draws_the_others_around_them(items: int) -> None:
    trained = weights.untrained(50, 1)

    table = weights.sized(trained, items, seed=2)["table"]

    kept = min(items, 50)
    assert table.shape == (items + 1, weights.WIDTH)
    assert np.array_equal(table[: kept + 1], trained["table"][: kept + 1])
    assert np.linalg.norm(table[1:], axis=1) == pytest.approx(np.ones(items), abs=1e-5)
    if items > 50:
        near = (table[51] * trained["table"][1]).sum()
        assert 0.8 < near < 0.9999


def test_scores_are_sixteen_times_a_cosine_and_know_the_order_of_clicks() -> None:
    drawn = weights.untrained(50, 1)

    one, other = logits(drawn, [[3, 8, 3, 9], [9, 3, 8, 3]])

    assert one.shape == (50,)
    assert abs(one).max() <= 16
    assert abs(one - other).max() > 0.01


def test_the_stored_weights_are_of_a_catalogue_of_three_thousand() -> None:
    stored, training = weights.load(Path(weights.__file__).with_name("weights.npz"))

    assert stored["table"].shape == (3001, weights.WIDTH)
    assert training["prefixes"] > 100_000
    assert weights.parameters(stored) == 300_000 + 152_700
