"""A graph that is written down rather than converted from a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

OPSET: Final = 17
IR_VERSION: Final = 8
"""Of the file's format: the first that knows this opset."""


def save(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Sequence[Mapping[str, Any]],
    outputs: Sequence[Mapping[str, Any]],
    weights: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Leave ``model.onnx`` in ``folder``, its ends as the model's card describes them."""
    graph = helper.make_graph(
        nodes,
        "model",
        [_end(one) for one in inputs],
        [_end(one) for one in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model, full_check=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))


def _end(described: Mapping[str, Any]) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(described["dtype"]))
    return helper.make_tensor_value_info(described["name"], kind, described["shape"])
