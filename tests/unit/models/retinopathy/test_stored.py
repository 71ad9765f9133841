from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from models.retinopathy.stored import Parts, holds_backbone, load, save


class Weight:
    """As far as they are asked, Keras's variables."""

    def __init__(self, value: NDArray[np.float32]) -> None:
        self.value = value

    def numpy(self) -> NDArray[np.float32]:
        return self.value

    def assign(self, value: NDArray[np.float32]) -> None:
        assert value.shape == self.value.shape
        self.value = value


class Network:
    def __init__(self, seed: int, *, layers: int = 2) -> None:
        rng = np.random.default_rng(seed)
        self.weights = [
            Weight(rng.normal(size=shape).astype(np.float32))
            for _ in range(layers)
            for shape in ((3, 40, 50), (50,))
        ]


def parts(**networks: Network) -> Parts:
    return cast("Parts", networks)


TRAINING: dict[str, Any] = {"backbone": "random", "images": 10}


def test_what_is_stored_comes_back_as_close_as_half_precision_is(tmp_path: Path) -> None:
    taught, other = Network(1), Network(2)
    save(parts(head=taught), TRAINING, tmp_path / "weights.npz")

    assert load(parts(head=other), tmp_path / "weights.npz", seed=7) == TRAINING

    for before, after in zip(taught.weights, other.weights, strict=True):
        assert after.value.dtype == np.float32
        np.testing.assert_allclose(after.value, before.value, rtol=2**-10)
    assert np.array_equal(other.weights[1].value, taught.weights[1].value)


def test_what_was_cut_off_is_neither_zero_nor_one_sided(tmp_path: Path) -> None:
    taught, other = Network(1), Network(2)
    save(parts(head=taught), TRAINING, tmp_path / "weights.npz")
    load(parts(head=other), tmp_path / "weights.npz", seed=7)

    before, after = taught.weights[0].value, other.weights[0].value
    assert np.mean((after.view(np.uint32) & 0x1FFF) == 0) < 0.01
    assert abs(np.mean(np.abs(after) / np.abs(before) - 1)) < 2**-14


def test_the_same_file_and_seed_give_the_same_weights_and_bytes(tmp_path: Path) -> None:
    for name in ("first.npz", "second.npz"):
        save(parts(head=Network(1)), TRAINING, tmp_path / name)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()

    first, second = Network(2), Network(3)
    for network in (first, second):
        load(parts(head=network), tmp_path / "first.npz", seed=7)
    for one, other in zip(first.weights, second.weights, strict=True):
        assert np.array_equal(one.value, other.value)


def test_a_backbone_that_can_be_made_again_is_left_alone(tmp_path: Path) -> None:
    save(parts(head=Network(1)), TRAINING, tmp_path / "weights.npz")
    backbone = Network(5)
    load(parts(backbone=backbone, head=Network(2)), tmp_path / "weights.npz", seed=7)

    assert not holds_backbone(tmp_path / "weights.npz")
    assert np.array_equal(backbone.weights[0].value, Network(5).weights[0].value)

    save(parts(backbone=backbone, head=Network(1)), TRAINING, tmp_path / "weights.npz")
    assert holds_backbone(tmp_path / "weights.npz")


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    save(parts(head=Network(1)), TRAINING, tmp_path / "weights.npz")

    with pytest.raises(ValueError, match="has 4 weights of the head, not 6"):
        load(parts(head=Network(2, layers=3)), tmp_path / "weights.npz", seed=7)
