import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.reference import read
from app.seen import DRIFTING, light
from models.build import describe
from models.common.data import drawn
from models.common.reference import PARTS, edges, reference


def answers(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).dirichlet([0.3] * 5, count).astype(np.float32)


def test_the_service_reads_what_a_build_writes() -> None:
    images, said = drawn(range(50), first_seed=7).images, answers(50)
    written = json.loads(json.dumps(reference(images, said)))

    bins = read(written, DRIFTING)

    assert written["images"] == 50
    assert set(bins) == set(written["features"]) == set(DRIFTING)
    assert bins["grade"].labels == ["0", "1", "2", "3", "4"]
    assert bins["grade"].share == [float(np.mean(said.argmax(axis=1) == g)) for g in range(5)]
    for name in ("confidence", "brightness", "contrast"):
        assert len(bins[name].labels) == PARTS
        assert bins[name].share == pytest.approx([1 / PARTS] * PARTS, abs=0.05)


def test_shares_are_those_of_the_pictures_as_the_service_sees_them() -> None:
    images, said = drawn(range(20), first_seed=9).images, answers(20)
    bins = read(json.loads(json.dumps(reference(images, said))), DRIFTING)

    counts = [0] * len(bins["contrast"].share)
    for image in images:
        counts[bins["contrast"].place(light(image.tobytes(), 224, 224)[1])] += 1

    assert [count / 20 for count in counts] == bins["contrast"].share
    assert bins["pixels"].share[bins["pixels"].place(224 * 224)] == 1


def test_the_same_pictures_give_the_same_bytes() -> None:
    images = drawn(range(20), first_seed=9).images

    first, second = (json.dumps(reference(images, answers(20))) for _ in range(2))

    assert first == second


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_edges_rise_and_are_few_whatever_the_values(values: list[float]) -> None:
    cuts = edges(values)

    assert 1 <= len(cuts) < PARTS
    assert list(cuts) == sorted(set(cuts))


def test_a_description_without_a_reference_stays_what_it_was() -> None:
    assert "reference" not in describe("retinopathy-mobilenet")
