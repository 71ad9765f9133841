"""The task of named tensors on models in the real format, by both ONNX backends."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import backends, card, startup, tasks
from app.marks import Marks
from app.predictor import Predictor
from app.settings import Settings
from tests.unit.services.inference import tiny

JSON, NPY, CSV = "application/json", "application/x-npy", "text/csv"
DTYPES = sorted({*tiny.KINDS} - {"string"})
Shape = Sequence[str | int]
Serve = Callable[..., Predictor]


@pytest.fixture(params=["onnx", "onnx-capi"])
def serve(request: pytest.FixtureRequest, tmp_path: Path, ort_library: Path) -> Serve:
    """Starts the service's code, warm-up and all, with a graph; free sizes are strings."""

    def started(
        nodes: Sequence[bytes],
        inputs: Mapping[str, tuple[str, Shape]],
        outputs: Mapping[str, tuple[str, Shape]],
        constants: Sequence[bytes] = (),
        **first: Sequence[int],
    ) -> Predictor:
        taken, given = ([(name, *end) for name, end in one.items()] for one in (inputs, outputs))
        (tmp_path / "model.onnx").write_bytes(tiny.graph(nodes, taken, given, constants))
        described = {"schema": 2, "name": "stranger", "task": "tensors"}
        specs = [[spec(*end) for end in one] for one in (taken, given)]
        for one in specs[0]:
            if one["name"] in first:
                one["first"] = first[one["name"]]
        text = json.dumps(described | {"inputs": specs[0], "outputs": specs[1]})
        (tmp_path / "model.json").write_text(text)
        env = {"LAB_MODEL_DIR": str(tmp_path), "LAB_ORT_LIBRARY": str(ort_library)}
        settings = Settings({**env, "LAB_THREADS": "1"})
        model = card.read(str(tmp_path))
        task = tasks.fit(tasks.task_class(model, str(tmp_path)), model, settings)
        backend = startup.load(settings, model, backends.module(request.param), Marks(0))
        return Predictor(backend, task)

    return started


def spec(name: str, dtype: str, shape: Shape) -> dict[str, Any]:
    sizes = [None if isinstance(size, str) else size for size in shape]
    batched = {} if shape[:1] == ["n"] or not sizes or sizes[0] else {"batched": False}
    return {"name": name, "dtype": dtype, "shape": sizes, **batched}


def asked(predictor: Predictor, body: object) -> dict[str, Any]:
    raw = predictor.answer((JSON, JSON), json.dumps(body).encode()).body
    answer: dict[str, Any] = json.loads(raw)
    return answer


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_goes_through_the_runtime_unchanged(serve: Serve, dtype: str) -> None:
    ends = {"x": (dtype, ["n", 3])}, {"y": (dtype, ["n", 3])}
    predictor = serve([tiny.node("Identity", ["x"], "y")], *ends)
    values = np.array([[0, 1, 1], [1, 0, 0]], dtype)
    predictions = asked(predictor, {"instances": values.tolist()})["predictions"]
    assert predictions == values.tolist()
    file = io.BytesIO()
    np.save(file, values)
    answer = np.load(io.BytesIO(predictor.answer((NPY, NPY), file.getvalue()).body))
    assert answer.dtype == values.dtype
    np.testing.assert_array_equal(answer, values)


def test_several_inputs_and_outputs_keep_their_names(serve: Serve) -> None:
    nodes = [tiny.node("Add", ["a", "b"], "sum"), tiny.node("Equal", ["a", "b"], "same")]
    shape = ["n", 2]
    predictor = serve(
        nodes,
        {"a": ("int64", shape), "b": ("int64", shape)},
        {"sum": ("int64", shape), "same": ("bool", shape)},
    )
    rows = [{"a": [1, 2], "b": [1, 5]}, {"b": [0, 0], "a": [2**53 + 1, 0]}]
    assert asked(predictor, {"instances": rows})["predictions"] == [
        {"sum": [2, 7], "same": [True, False]},
        {"sum": [2**53 + 1, 0], "same": [False, True]},
    ]


def test_answers_of_any_length_come_as_outputs(serve: Serve) -> None:
    predictor = serve(
        [tiny.node("NonZero", ["x"], "places")],
        {"x": ("float32", ["length"])},
        {"places": ("int64", [1, "found"])},
    )
    for values in ([0, 1, 0, 2], [0, 0, 0], [5]):
        places = [at for at, value in enumerate(values) if value]
        assert asked(predictor, {"inputs": values})["outputs"] == {"places": [places]}


def test_a_scalar_goes_in_and_comes_out(serve: Serve) -> None:
    predictor = serve(
        [tiny.node("Mul", ["x", "by"], "y")],
        {"x": ("float32", ["n", 2]), "by": ("float32", [])},
        {"y": ("float32", ["n", 2])},
    )
    answer = asked(predictor, {"inputs": {"x": [[1, 2], [3, 4]], "by": 0.5}})
    assert answer["outputs"] == {"y": [[0.5, 1.0], [1.5, 2.0]]}
    double = serve([tiny.node("Add", ["x", "x"], "y")], {"x": ("int32", [])}, {"y": ("int32", [])})
    assert asked(double, 21)["outputs"] == {"y": 42}


def test_a_fixed_batch_is_answered_as_a_whole(serve: Serve) -> None:
    ends = {"x": ("float32", [2, 1])}, {"y": ("float32", [2, 1])}
    predictor = serve([tiny.node("Neg", ["x"], "y")], *ends)
    assert asked(predictor, {"instances": [[1], [2]]})["outputs"] == {"y": [[-1.0], [-2.0]]}


def test_many_instances_are_answered_in_order(serve: Serve) -> None:
    shape = ["n", "length"]
    predictor = serve(
        [tiny.node("Neg", ["x"], "y")], {"x": ("int32", shape)}, {"y": ("int32", shape)}, x=[1, 4]
    )
    values = np.arange(57, dtype=np.int32).reshape(19, 3)
    lines = "\n".join(",".join(map(str, row)) for row in values.tolist())
    answer = predictor.answer((CSV, CSV), lines.encode())
    assert [list(map(int, line.split(","))) for line in answer.body.decode().split()] == (
        -values
    ).tolist()
    assert len(answer.noted) == 19


def test_a_batch_whose_parts_answer_in_unlike_shapes_is_run_whole(serve: Serve) -> None:
    """As many columns as the largest number of the whole batch: no part can know."""
    nodes = [
        tiny.node("ReduceMax", ["x"], "most", keepdims=0),
        tiny.node("Unsqueeze", ["most", "zero"], "width"),
        tiny.node("Concat", ["one", "width"], "shape", axis=0),
        tiny.node("Expand", ["x", "shape"], "y"),
    ]
    predictor = serve(
        nodes,
        {"x": ("int64", ["n", 1])},
        {"y": ("int64", ["n", "most"])},
        [tiny.whole("zero", [0]), tiny.whole("one", [1])],
    )
    values = [[2]] * 8 + [[3]]
    answer = asked(predictor, {"instances": values})["predictions"]
    assert answer == [[value] * 3 for (value,) in values]
