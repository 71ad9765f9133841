"""Which of three numbers is the largest: the smallest model of a task of its own."""

import numpy as np
from onnx import helper

from models.common import graph, samples
from models.common.built import BuildOrder, Built, Tolerance

NUMBERS = {"name": "numbers", "dtype": "float32", "shape": [None, 3]}
SHARES = {"name": "shares", "dtype": "float32", "shape": [None, 3]}


def build(order: BuildOrder) -> Built:
    """Leave ``model.onnx`` and samples in ``order.out``."""
    softmax = helper.make_node("Softmax", ["numbers"], ["shares"], axis=1)
    graph.save(order.out, [softmax], inputs=[NUMBERS], outputs=[SHARES])
    drawn = np.random.default_rng(1).normal(size=(20, 3)).tolist()
    return Built(
        task="largest-of-three",
        inputs=(NUMBERS,),
        outputs=(SHARES,),
        samples=samples.write_json(order.out, [{"numbers": [row]} for row in drawn]),
        tolerance=Tolerance(label="place", scores="shares", max_abs_difference=1e-6),
        card={"parameters": 0, "training": {"statement": "Nothing to learn."}},
    )
