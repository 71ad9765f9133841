"""Small ONNX files, one that can be served and some that cannot: ``graphs.py FOLDER``."""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

folder = Path(sys.argv[1])
table = np.arange(3000, dtype=np.float32).reshape(3, 1000)


def model(*nodes: onnx.NodeProto, opset: int = 17, **more: int) -> onnx.ModelProto:
    """Two inputs of three numbers to one output of a thousand."""
    graph = helper.make_graph(
        nodes,
        "stranger",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "ab"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1000])],
        [numpy_helper.from_array(table, "table")],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("acme", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


add = helper.make_node("Add", ["a", "b"], ["sum"], name="adds")
times = helper.make_node("MatMul", ["sum", "table"], ["y"], name="looks-up")
custom = helper.make_node("Frobnicate", ["sum", "table"], ["y"], name="frobs", domain="acme")

onnx.save(model(add, times), folder / "good.onnx")
onnx.save(model(add, custom), folder / "custom.onnx")
onnx.save(model(add, times, opset=99), folder / "future.onnx")
whole = (folder / "good.onnx").read_bytes()
(folder / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
for name in ("beside", "alone"):
    onnx.save(
        model(add, times),
        folder / f"{name}.onnx",
        save_as_external_data=True,
        location=f"{name}.weights",
    )
(folder / "alone.weights").unlink()
