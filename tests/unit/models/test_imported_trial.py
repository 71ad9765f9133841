"""A stranger's model tried out: which bodies are made for it, and what is taken for a batch."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import backends, card
from models import imported_trial as trial
from models.imported_ends import Dimension, End, Refused, Source, numeric
from tests.unit.services.inference import tiny


def end(name: str, dtype: str, *shape: Dimension) -> End:
    return End(name=name, dtype=dtype, shape=shape)


X, IDS = end("x", "float32", "n", 3), end("ids", "int64", "n", "length")


def tried(
    folder: Path, nodes: Sequence[bytes], inputs: Sequence[End], outputs: Sequence[End]
) -> trial.Trial:
    """In the real runtime."""
    taken, given = (
        [(one.name, one.dtype, [size or "?" for size in one.shape or ()]) for one in ends]
        for ends in (inputs, outputs)
    )
    (folder / "model.onnx").write_bytes(tiny.graph(nodes, taken, given))
    source = Source(runtime="onnx", inputs=inputs, outputs=outputs, parameters=0, facts={})
    described: dict[str, Any] = {"schema": 2, "name": "stranger", "task": "tensors"}
    described |= trial.described(source, None, (), (), batched=True)
    backend = backends.module("onnx").load(str(folder), card.card(described), threads=1, library="")
    return trial.Trial(source=source, backend=backend)


@pytest.mark.parametrize(
    ("inputs", "batch"),
    [
        ([X], True),
        ([X, IDS], True),
        ([X, end("y", "float32", None, 2)], True),  # without a name: perhaps
        ([X, end("y", "float32", "m", 2)], False),
        ([X, end("y", "float32")], False),
        ([end("x", "float32", 1, 3)], False),
    ],
)
def test_a_batch_is_a_first_dimension_that_all_inputs_leave_free_by_one_name(
    inputs: Sequence[End], *, batch: bool
) -> None:
    assert trial.is_batch(inputs) is batch


def test_bodies_are_rows_by_name_columns_or_an_array_file_where_they_are_long() -> None:
    def made(*inputs: End, batched: bool = True) -> tuple[str, Any]:
        suffix, body = trial.body(inputs, trial.random(inputs, 2, batched=batched), batched=batched)
        return suffix, np.load(io.BytesIO(body)) if suffix == ".npy" else json.loads(body)

    suffix, rows = made(X)
    assert (suffix, np.shape(rows["instances"])) == (".json", (1, 3))
    _, named = made(X, IDS)
    assert [list(row) for row in named["instances"]] == [["x", "ids"]]
    _, columns = made(X, end("on", "bool"), batched=False)
    assert np.shape(columns["inputs"]["x"]) == (2, 3)
    assert isinstance(columns["inputs"]["on"], bool)
    suffix, array = made(end("picture", "uint8", "n", 224, 224, 3))
    assert (suffix, array.shape, array.dtype) == (".npy", (1, 224, 224, 3), np.uint8)


def test_an_example_is_written_out_if_it_is_short_and_else_described() -> None:
    assert json.loads(trial.example([X], batched=True))["instances"]
    long = trial.example([end("picture", "uint8", "n", 224, 224, 3)], batched=True)
    assert "numpy.zeros((1, 224, 224, 3), 'uint8')" in long
    both = trial.example([X, end("long", "int64", "n", 99)], batched=True)
    assert '"long": (int64 of [1, 99])' in both


def test_rows_are_compared_with_the_answers_to_them_alone(tmp_path: Path) -> None:
    shape = ("n", 3)
    nodes = [
        tiny.node("Neg", ["x"], "row"),
        tiny.node("Softmax", ["x"], "down", axis=0),
        tiny.node("ReduceSum", ["x"], "sum", keepdims=0),
    ]
    outputs = [end("row", "float32", *shape), end("sum", "float32"), end("down", "float32", *shape)]
    found = tried(tmp_path, nodes, [X], outputs)
    arrays = [np.array([[1, 2, 3]], np.float32)]
    assert found.rows(arrays) == ([True, False, False], "")
    source, rows, notes = trial.settled(found, arrays)
    assert source.inputs[0].shape == ("n", 3)
    assert list(rows) == [True, False, False]
    assert [note.split()[0] for note in notes] == ["sum", "down"]


def test_a_graph_that_cannot_run_two_gets_the_one_as_its_shape(tmp_path: Path) -> None:
    """Its names say a batch, and it multiplies by a matrix that has room for one."""
    nodes = [tiny.node("MatMul", ["x", "x"], "y")]
    inputs, outputs = [end("x", "float32", "n", 1)], [end("y", "float32", "n", 1)]
    found = tried(tmp_path, nodes, inputs, outputs)
    source, rows, notes = trial.settled(found, [np.ones((1, 1), np.float32)])
    assert source.inputs[0].shape == [1, 1]
    assert not any(rows)
    assert "cannot run two instances" in notes[0]


def test_a_size_that_the_graph_answers_is_found(tmp_path: Path) -> None:
    nodes = [tiny.node("AveragePool", ["x"], "y", kernel_shape=[20])]
    ends = [end("x", "float32", "n", 1, "length")], [end("y", "float32", "n", 1, "rest")]
    (array,) = tried(tmp_path, nodes, *ends).made(batched=True)
    assert array.shape == (1, 1, 32)


def test_a_graph_that_no_made_up_input_fits_asks_for_a_payload(tmp_path: Path) -> None:
    nodes = [tiny.node("MatMul", ["x", "x"], "y")]
    ends = [X], [end("y", "float32", None, None)]
    with pytest.raises(Refused, match="answers none") as refused:
        tried(tmp_path, nodes, *ends).made(batched=False)
    assert "--payload" in refused.value.remedy


def test_outputs_have_the_shape_that_came_where_the_graph_is_wrong() -> None:
    source = Source(
        runtime="onnx",
        inputs=[X],
        outputs=[end("a", "float32", 1, 5), End(name="b", dtype="int64", shape=None)],
        parameters=0,
        facts={},
    )
    answers = [np.zeros((9, 5)), np.zeros(9)]
    arrays = [np.zeros((9, 3))]
    described = trial.described(source, arrays, answers, [True, False], batched=True)
    assert described["inputs"][0]["first"] == [8, 3]
    assert [one["shape"] for one in described["outputs"]] == [[None, 5], [None]]
    assert [one.get("batched", True) for one in described["outputs"]] == [True, False]


def test_names_of_sizes_are_kept_unless_the_payload_belies_them() -> None:
    inputs = [IDS, end("mask", "int64", "n", "length"), end("rest", "int64", "n", "other", 2)]
    source = Source(runtime="onnx", inputs=inputs, outputs=[], parameters=0, facts={})

    def dims(length: int) -> list[Any]:
        arrays = [np.zeros((1, 5)), np.zeros((1, length)), np.zeros((1, 3, 2))]
        described = trial.described(source, arrays, (), (), batched=True)
        return [one["dims"] for one in described["inputs"]]

    assert dims(5) == [["n", "length"], ["n", "length"], ["n", "other", None]]
    assert dims(4) == [["n", None], ["n", None], ["n", "other", None]]


def test_outputs_that_are_no_numbers_are_left_out_and_told() -> None:
    words = end("words", "string", "n")
    kept, note = numeric("graph", [X], [X, words])
    assert (list(kept), note) == ([X], "Left out of the answer: words (string).")
    with pytest.raises(Refused, match=r"gives no tensor of numbers: words \(string\)"):
        numeric("graph", [X], [words])
    with pytest.raises(Refused, match="The input words is of string"):
        numeric("graph", [X, words], [X])
    with pytest.raises(Refused, match="has no inputs"):
        numeric("graph", [], [X])
