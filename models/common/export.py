"""From a trained network to the files that are served, the same bytes every time."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from tensorflow.core.protobuf import saved_model_pb2

OPSET: Final = 17


def save_tensorflow(module: tf.Module, folder: Path) -> None:
    """A SavedModel of ``module.serve``, a ``tf.function``, whose files do not depend on the day.

    TensorFlow writes the graph with its maps in any order, and a fingerprint with a random id
    that nothing needs: the first is written again in a fixed order, the second left out.
    """
    shutil.rmtree(folder, ignore_errors=True)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    graph = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(graph.read_bytes())
    graph.write_bytes(saved.SerializeToString(deterministic=True))


def save_onnx(
    module: tf.Module, file: Path, *, inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    """The same graph for ONNX Runtime, the batch free, its ends called as is said."""
    model, _ = tf2onnx.convert.from_function(
        module.serve, input_signature=module.serve.input_signature, opset=OPSET
    )
    names = [value.name for value in (*model.graph.input, *model.graph.output)]
    if names != [*inputs, *outputs]:
        message = f"the ONNX graph's ends are called {names}"
        raise ValueError(message)
    rename(model.graph)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(model, full_check=True)
    file.write_bytes(model.SerializeToString(deterministic=True))


def rename(graph: onnx.GraphProto) -> None:
    """Name everything between input and output by its place.

    The converter numbers what it makes in an order that differs from run to run.
    """
    stored = {tensor.name: tensor for tensor in graph.initializer}
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    used: list[onnx.TensorProto] = []
    for place, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{place}"
        for name in node.input:
            if name in stored and name not in names:
                names[name] = f"weight_{len(used)}"
                used.append(stored[name])
        for index, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}_{index}")
    for node in graph.node:
        node.input[:] = [names[name] if name else "" for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for tensor in used:
        tensor.name = names[tensor.name]
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]


def weights_sha256(model: keras.Model) -> str:
    """One sum over all weights, by name: equal weights, equal sum."""
    total = hashlib.sha256()
    for variable in sorted(model.weights, key=lambda variable: variable.path):
        total.update(variable.path.encode())
        total.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return total.hexdigest()
