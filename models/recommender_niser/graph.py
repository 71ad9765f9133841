"""NISER+ as an ONNX graph, written straight from the weights: the same form as ``network.py``."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.recommender_niser.reference import SIGMA
from models.recommender_niser.sessions import MOST
from models.recommender_niser.weights import Weights

OPSET: Final = 17
IR_VERSION: Final = 8
CHECKED: Final = 1 << 28
"""Bytes of a model up to which the checker infers shapes, for which it copies all of it."""


class _Graph:
    """Nodes in the order in which they are added, each called by its output."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.stored = {name: numpy_helper.from_array(one, name) for name, one in weights.items()}

    def constant(self, value: Any, dtype: type) -> str:
        array: Any = np.array(value, dtype)
        shape = "x".join(map(str, array.shape))
        name = f"{np.dtype(dtype).name}_{shape}_{'_'.join(map(str, array.ravel()))}"
        self.stored.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        name = to or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def whole(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def number(self, value: float) -> str:
        return self.constant(value, np.float32)

    def cast(self, name: str) -> str:
        made = f"Cast_{len(self.nodes)}"
        self.nodes.append(helper.make_node("Cast", [name], [made], made, to=TensorProto.FLOAT))
        return made

    def axis(self, name: str, at: int) -> str:
        return self.add("Unsqueeze", name, self.whole(at))

    def sum(self, name: str, at: int) -> str:
        return self.add("ReduceSum", name, self.whole(at), keepdims=1)

    def linear(self, name: str, kernel: str, bias: str = "") -> str:
        product = self.add("MatMul", name, kernel)
        return self.add("Add", product, bias) if bias else product


def write(weights: Weights, columns: int, file: Path) -> None:
    """Leave the graph in ``file``: ``session`` in, ``items`` and ``scores`` out, and ``logits`` for
    who wants those of all items.
    """
    g = _Graph(weights)
    _recommend(g, _vector(g), len(weights["table"]), columns)
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        g.nodes,
        "niser",
        [value("session", TensorProto.INT64, ["batch", "length"])],
        [
            value("items", TensorProto.INT64, ["batch", columns]),
            value("scores", TensorProto.FLOAT, ["batch", columns]),
            value("logits", TensorProto.FLOAT, ["batch", len(weights["table"]) - 1]),
        ],
        list(g.stored.values()),
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    if weights["table"].nbytes < CHECKED:
        onnx.checker.check_model(model, full_check=True)
    file.write_bytes(model.SerializeToString(deterministic=True))


def _vector(g: _Graph) -> str:
    """The session's vector, of length 1, [batch, 100]; zeros for a session of nothing."""
    valid = g.cast(g.add("Greater", "session", g.whole(0)))
    clicked = g.axis(valid, 2)
    h = g.add("Mul", g.add("Gather", "table", "session"), clicked)
    length = g.add("Gather", g.add("Shape", "session"), g.constant(1, np.int64))
    at = g.add("Range", g.constant(0, np.int64), length, g.constant(1, np.int64))
    h = _step(g, h, *_adjacency(g, clicked, g.axis(valid, 1), at))
    h = g.add("Add", h, g.add("Gather", "positions", g.add("Min", at, g.whole(MOST - 1))))
    clicks = g.sum(valid, 1)
    is_last = g.cast(g.add("Equal", g.cast(g.add("Add", at, g.whole(1))), clicks))
    last = g.add("MatMul", g.axis(is_last, 1), h)
    each = g.add("Add", g.linear(last, "w_last"), g.linear(h, "w_each", "b_each"))
    alpha = g.add("Mul", g.linear(g.add("Sigmoid", each), "attention"), clicked)
    attended = g.add("MatMul", g.add("Transpose", alpha, perm=[0, 2, 1]), h)
    both = g.add("Squeeze", g.add("Concat", attended, last, axis=2), g.whole(1))
    vector = g.linear(both, "w_session")
    norm = g.add("ReduceL2", vector, axes=[1], keepdims=1)
    return g.add("Div", vector, g.add("Max", norm, g.number(1e-12)))


def _adjacency(g: _Graph, column: str, row: str, at: str) -> tuple[str, str]:
    """Who follows and who precedes each position's item, as means over items."""
    both = g.add("Mul", column, row)
    same = g.cast(g.add("Equal", g.axis("session", 2), g.axis("session", 1)))
    same = g.add("Mul", same, both)
    next_at = g.axis(g.add("Add", at, g.whole(1)), 1)
    after = g.add("Mul", g.cast(g.add("Equal", next_at, g.axis(at, 0))), both)
    walked = g.add("MatMul", g.add("MatMul", same, after), same)
    follows = g.add("Min", walked, g.number(1))
    copies = g.add("Max", g.sum(same, 1), g.number(1))  # symmetric: by column as by row
    means = []
    for matrix in (follows, g.add("Transpose", follows, perm=[0, 2, 1])):
        shared = g.add("Div", matrix, copies)
        means.append(g.add("Div", shared, g.add("Max", g.sum(shared, 2), g.number(1))))
    return means[0], means[1]


def _step(g: _Graph, h: str, out: str, into: str) -> str:
    """One gated step along both directions."""
    a = g.add(
        "Concat",
        g.add("MatMul", into, g.linear(h, "w_in", "b_in")),
        g.add("MatMul", out, g.linear(h, "w_out", "b_out")),
        axis=2,
    )
    parts = []
    for name in (g.linear(a, "w_gates", "b_gates"), g.linear(h, "u_gates")):
        split = [f"{name}_{gate}" for gate in "rzc"]
        g.nodes.append(helper.make_node("Split", [name], split, f"{name}_split", axis=2))
        parts.append(split)
    (r_a, z_a, c_a), (r_h, z_h, c_h) = parts
    r = g.add("Sigmoid", g.add("Add", r_a, r_h))
    z = g.add("Sigmoid", g.add("Add", z_a, z_h))
    c = g.add("Tanh", g.add("Add", c_a, g.add("Mul", r, c_h)))
    kept = g.add("Mul", g.add("Sub", g.number(1), z), h)
    return g.add("Add", kept, g.add("Mul", z, c))


def _recommend(g: _Graph, unit: str, rows: int, columns: int) -> None:
    """The table is stored once: a transposed constant would be a second copy once loaded."""
    scaled = g.add("Mul", unit, g.number(SIGMA))
    every = g.add("Gemm", scaled, "table", transB=1)
    logits = g.add("Slice", every, g.whole(1), g.whole(rows), g.whole(1), to="logits")
    g.nodes.append(helper.make_node("TopK", [logits, g.whole(columns)], ["best", "at"], "TopK"))
    g.add("Add", "at", g.whole(1), to="items")
    total = g.add("ReduceLogSumExp", logits, axes=[1], keepdims=1)
    g.add("Exp", g.add("Sub", "best", total), to="scores")
