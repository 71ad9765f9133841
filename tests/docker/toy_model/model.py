"""Which of three numbers is the largest: the smallest model of a task of its own."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.common.built import BuildOrder, Built, Samples, Tolerance

SHAPE = ["n", 3]


def build(order: BuildOrder) -> Built:
    """Leave ``model.onnx`` and samples in ``order.out``."""
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["numbers"], ["shares"], axis=1)],
        "toy",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("shares", TensorProto.FLOAT, SHAPE)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, order.out / "model.onnx")
    held_out = order.out / "samples/held-out"
    held_out.mkdir(parents=True)
    for at, row in enumerate(np.random.default_rng(1).normal(size=(20, 3)).tolist()):
        (held_out / f"{at:02d}.json").write_text(json.dumps({"numbers": [row]}))
    return Built(
        task="largest-of-three",
        inputs=({"name": "numbers", "dtype": "float32", "shape": [None, 3]},),
        outputs=({"name": "shares", "dtype": "float32", "shape": [None, 3]},),
        samples=Samples(payload="samples/held-out/00.json", held_out="samples/held-out"),
        tolerance=Tolerance(label="place", scores="shares", max_abs_difference=1e-6),
        card={"parameters": 0, "training": {"statement": "Nothing to learn."}},
    )
