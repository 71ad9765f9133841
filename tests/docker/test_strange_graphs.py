"""What the trainer makes of graphs that strangers may bring: one container for them all."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab import paths
from lab.engine.api import ContainerSpec, Mount
from lab.engine.docker.engine import DockerEngine

pytestmark = pytest.mark.docker

PROGRAM = Path(__file__).parent / "strange_graphs"

Said = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def said(engine: DockerEngine, built: Callable[[str], str]) -> Said:
    """By case, what the import said."""
    container = engine.create(
        ContainerSpec(
            image=built("trainer"),
            command=["/programs/make.py"],
            env={"PYTHONPATH": "/lab", "HOME": "/tmp"},
            labels={"org.inference-lab.role": "test-strange-graphs"},
            mounts=[
                Mount(source=str(PROGRAM), target="/programs"),
                Mount(source=str(paths.MODELS), target="/lab/models"),
                Mount(source=str(paths.SERVICES / "inference/app"), target="/lab/app"),
            ],
            network="none",
        )
    )
    try:
        container.start()
        while container.state().running:
            time.sleep(0.2)
        code, logs = container.state().exit_code, container.logs(tail=2000)
    finally:
        container.remove()
    assert code == 0, logs
    lines = [json.loads(line) for line in logs.splitlines() if line.startswith('{"case"')]
    return {one["case"]: one for one in lines}


@pytest.mark.parametrize(
    ("case", "named", "remedy"),
    [
        ("wrong columns", "3 columns; line 2 has 2", '{"instances": [['),
        ("wrong type", "ask.txt is of a type", '{"instances": [['),
        ("wrong name", '"inputs" has no x; the inputs are x (float32 of [n, 3])', "instances"),
        ("truncated", "truncated.onnx is no ONNX file, or a part of one", "again"),
        ("page", "page.onnx is no ONNX file", "again"),
        ("huge", "huge.onnx is larger than 2 GiB", "smaller"),
        ("opset", "opset 99 of ai.onnx", "opset"),
        ("ir", "IR version 99", "ir_version = "),
        ("custom", "operator Frob of the domain strange: node frobber, which makes y", "without"),
        ("inner", "operator Frob of the domain ai.onnx: node inner", "without"),
        ("no kernel", "'determinant'", "Change"),
        ("no inputs", "no inputs", "as inputs of the graph"),
        ("text", "The input text is of string", "client"),
        ("no rank", "The input x has no number of dimensions", "shape"),
        ("only text", "words (string)", "probabilities"),
        ("apart cut", "apart.bin ends before the weight w", "again"),
        ("apart large", "2147483648 bytes; the archive holds one file", "smaller"),
        ("apart missing", "apart.bin of the weight w is missing", "beside apart.onnx"),
        ("beyond", "idx=30", '{"instances": ['),
    ],
)
def test_what_cannot_be_served_is_refused_by_its_name_with_a_way_out(
    case: str, named: str, remedy: str, said: Said
) -> None:
    assert named in said[case]["refused"]
    assert remedy in said[case]["remedy"]


def test_a_graph_that_fits_is_described_and_not_touched(said: Said) -> None:
    plain = said["plain"]
    assert plain["same"]
    assert plain["model"] == {
        "schema": 2,
        "name": "plain",
        "task": "tensors",
        "inputs": [
            {
                "name": "x",
                "dtype": "float32",
                "shape": [None, 3],
                "dims": ["n", None],
                "first": [1, 3],
            }
        ],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [None, 3]}],
        "labels": [],
    }
    assert plain["card"].items() >= plain["model"].items()
    assert plain["imported"]["producer"] == "tests"
    assert plain["imported"]["opset"] == {"ai.onnx": 17}
    assert "No payload was given" in plain["imported"]["notes"][0]
    assert list(json.loads(plain["payload"])) == ["instances"]


def test_the_payload_is_kept_and_says_how_many_are_asked_at_first(said: Said) -> None:
    assert said["csv"]["payload"] == "1,2,3\n4,5,6\n"
    assert said["csv"]["card"]["samples"]["payload"] == "samples/payload.csv"
    assert said["csv"]["model"]["inputs"][0]["first"] == [2, 3]


def test_text_beside_numbers_is_left_out_and_noted(said: Said) -> None:
    assert [one["name"] for one in said["text beside"]["model"]["outputs"]] == ["y"]
    assert "Left out of the answer: words (string)." in said["text beside"]["imported"]["notes"]
    assert said["text beside"]["same"]


def test_weights_beside_the_file_are_taken_in_and_counted(said: Said) -> None:
    assert "apart.bin was taken into" in said["apart"]["imported"]["notes"][0]
    assert said["apart"]["card"]["parameters"] == 9


def shapes(one: Mapping[str, Any]) -> list[Any]:
    ends = [*one["model"]["inputs"], *one["model"]["outputs"]]
    return [(end["shape"], end.get("batched", True)) for end in ends]


def test_a_batch_is_one_only_if_its_rows_are_answered_one_by_one(said: Said) -> None:
    assert shapes(said["plain"]) == [([None, 3], True)] * 2
    assert shapes(said["mixed"]) == [([None, 3], False)] * 2
    assert shapes(said["length"]) == [([None], False), ([None, None], False)]
    assert shapes(said["single"])[0] == ([1, 3], True)
    assert "cannot run two instances" in said["single"]["imported"]["notes"][-1]


def test_sizes_that_are_free_are_tried_until_the_graph_answers(said: Said) -> None:
    assert said["free"]["model"]["inputs"][0]["first"] == [1, 3, 16, 16]
    assert said["free"]["model"]["outputs"][0]["shape"] == [None, 2, None, None]
