import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reference import read
from app.tasks import Feature
from models.build import describe
from models.common.built import Built, Samples, Tolerance
from models.common.reference import PARTS, edges, reference

FEATURES = (
    Feature("grade", "predictions", "By grade."),
    Feature("contrast", "input_contrast", "By contrast.", (0.5, 1.0)),
    Feature("pixels", "input_pixels", "By size.", (16384, 65536)),
    Feature("bytes", "input_bytes", "By bytes.", (1024,), drifts=False),
)
DRIFTING = ["grade", "contrast", "pixels"]


def noted(count: int) -> Sequence[Mapping[str, float]]:
    random = np.random.default_rng(3)
    return [
        {"grade": int(grade), "contrast": float(contrast), "pixels": 50176, "bytes": 9}
        for grade, contrast in zip(random.integers(0, 5, count), random.random(count), strict=True)
    ]


def written(count: int) -> Any:
    return json.loads(json.dumps(reference(FEATURES, noted(count), labels=5)))


def test_the_service_reads_what_a_build_writes() -> None:
    bins = read(written(50), DRIFTING)

    assert written(50)["inputs"] == 50
    assert list(bins) == list(written(50)["features"]) == DRIFTING
    assert bins["grade"].labels == ["0", "1", "2", "3", "4"]
    assert len(bins["contrast"].labels) == PARTS
    assert bins["contrast"].share == pytest.approx([1 / PARTS] * PARTS, abs=0.05)


def test_shares_are_those_of_the_inputs_in_the_services_own_bins() -> None:
    bins = read(written(20), DRIFTING)

    for name in DRIFTING:
        counts = [0] * len(bins[name].share)
        for one in noted(20):
            counts[bins[name].place(one[name])] += 1
        assert [count / 20 for count in counts] == bins[name].share


def test_what_is_the_same_of_all_inputs_is_cut_at_the_features_own_buckets() -> None:
    bins = read(written(20), DRIFTING)

    assert bins["pixels"].labels == ["<16384", "16384-65536", ">=65536"]
    assert bins["pixels"].share == [0, 1, 0]


def test_a_class_that_never_came_has_its_bin_all_the_same() -> None:
    one = [{"grade": 0}]

    assert reference(FEATURES[:1], one, labels=5)["features"]["grade"]["edges"] == [1, 2, 3, 4]


def test_a_feature_of_answers_that_are_all_alike_has_bins_without_labels_too() -> None:
    answers = (Feature("answer", "predictions", "By answer."),)

    found = reference(answers, [{"answer": 0}] * 9, labels=0)

    assert read(found, ["answer"])["answer"].labels == ["0", "1"]


def test_what_most_inputs_have_none_of_is_cut_between_none_and_some() -> None:
    """Else its lowest bin is below the least value, always empty, and no drift is ever seen."""
    assert edges([0.0] * 95 + [0.2, 0.25, 0.5, 0.5, 1.0]) == [0.2]
    assert edges([0.0] * 50 + [0.1] * 50) == [0.1]
    assert edges([3.0] * 9) == [3.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_edges_rise_and_are_few_whatever_the_values(values: list[float]) -> None:
    cuts = edges(values)

    assert 1 <= len(cuts) < PARTS
    assert list(cuts) == sorted(set(cuts))


def test_a_description_is_what_a_server_needs_and_no_more() -> None:
    built = Built(
        task="toy",
        inputs=({"name": "x", "dtype": "float32", "shape": [None, 1]},),
        outputs=({"name": "y", "dtype": "float32", "shape": [None, 1]},),
        samples=Samples(payload="samples/one.json", held_out="samples/held-out"),
        tolerance=Tolerance(label="label", scores="scores", max_abs_difference=1e-3),
        card={"parameters": 1},
    )
    described = describe("toy", built)
    assert set(described) == {"schema", "name", "task", "inputs", "outputs", "labels"}
