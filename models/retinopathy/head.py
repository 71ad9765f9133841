"""The head of a quantised grader, taught anew.

Int8 moves the backbone's features a little, and a head that was learnt on random ones tells grades
by little. What is left of the features is as good to learn from: so the head learns again, on the
same eyes as before, from what the quantised backbone makes of them, and stays float.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from models.common import quantise
from models.common.built import say
from models.retinopathy import data, network, train
from models.retinopathy.network import Architecture

LAYERS = 3


def teach(
    model: Path,
    layers: Sequence[str],
    architecture: Architecture,
    eyes: data.Pictures,
    *,
    seed: int,
) -> None:
    """Give the head's ``layers`` in ``model`` what it learns from all ``eyes``."""
    _, head = network.build(architecture)
    features = _features(model, layers[0], eyes.images)
    train.train_head(head, features, eyes.grades, seed=seed, say=say)
    graph = onnx.load(model)
    nodes = {node.name: node for node in graph.graph.node}
    weights = {one.name: one for one in graph.graph.initializer}
    learnt = [layer.get_weights() for layer in head.layers if layer.get_weights()]
    for name, (kernel, bias) in zip(layers, learnt, strict=True):
        node = nodes[name]
        transposed = any(one.name == "transB" and one.i for one in node.attribute)
        for place, value in (
            (node.input[1], kernel.T if transposed else kernel),
            (node.input[2], bias),
        ):
            _put(weights[place], value)
    onnx.save(graph, model)


def _put(weight: Any, value: NDArray[np.float32]) -> None:
    if tuple(weight.dims) != value.shape:
        message = f"{weight.name} is {tuple(weight.dims)}, not {value.shape}"
        raise ValueError(message)
    name = weight.name
    weight.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))


def _features(model: Path, first: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What goes into the head's first layer, [n, features]."""
    graph = onnx.load(model)
    (node,) = (one for one in graph.graph.node if one.name == first)
    del graph.graph.output[:]
    graph.graph.output.append(
        onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None)
    )
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        onnx.save(graph, file.name)
        found: NDArray[np.float32] = quantise.answers(Path(file.name), images)
    return found
