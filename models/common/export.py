"""From a trained network to the files that are served, the same bytes every time."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray
from tensorflow.core.protobuf import saved_model_pb2

from models.common.network import GRADES, SIZE, Architecture

OPSET: Final = 17
PARITY_LIMIT: Final = 1e-3


class Grader(tf.Module):
    """What is served: raw pixels in, probabilities out, preprocessing inside."""

    def __init__(
        self, architecture: Architecture, backbone: keras.Model, head: keras.Model
    ) -> None:
        super().__init__(name="grader")
        self._preprocess = architecture.preprocess
        # Fixed at 224 pixels, so that the graph has static shapes but for the batch.
        image = keras.layers.Input((SIZE, SIZE, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(backbone(image))
        self.model = keras.Model(image, head(pooled))

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, name="image")],
    )
    def serve(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Probabilities [n, 5] of the five grades."""
        return {"probabilities": self.model(self._preprocess(image), training=False)}


def save_tensorflow(grader: Grader, folder: Path) -> None:
    """A SavedModel whose files do not depend on the day.

    TensorFlow writes the graph with its maps in any order, and a fingerprint with a random id
    that nothing needs: the first is written again in a fixed order, the second left out.
    """
    shutil.rmtree(folder, ignore_errors=True)
    tf.saved_model.save(grader, str(folder), signatures={"serving_default": grader.serve})
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    graph = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(graph.read_bytes())
    graph.write_bytes(saved.SerializeToString(deterministic=True))


def save_onnx(grader: Grader, file: Path) -> None:
    """The same graph for ONNX Runtime, the batch free, the answer named ``probabilities``."""
    model, _ = tf2onnx.convert.from_function(
        grader.serve, input_signature=grader.serve.input_signature, opset=OPSET
    )
    names = [value.name for value in (*model.graph.input, *model.graph.output)]
    if names != ["image", "probabilities"]:
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


def run_tensorflow(folder: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the SavedModel on disk answers."""
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    parts = [
        serve(image=tf.constant(images[at : at + 16]))["probabilities"].numpy()
        for at in range(0, len(images), 16)
    ]
    return np.concatenate(parts)


def run_onnx(file: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the ONNX model on disk answers."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    parts = [
        session.run(["probabilities"], {"image": images[at : at + 16]})[0]
        for at in range(0, len(images), 16)
    ]
    return np.concatenate(parts)


def weights_sha256(grader: Grader) -> str:
    """One sum over all weights, by name: equal weights, equal sum."""
    total = hashlib.sha256()
    for variable in sorted(grader.model.weights, key=lambda variable: variable.path):
        total.update(variable.path.encode())
        total.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return total.hexdigest()


def check_answers(probabilities: NDArray[np.float32]) -> None:
    """Refuse a network that says the same of every image."""
    if probabilities.shape[1] != GRADES or float(probabilities.std(axis=0).max()) < 0.05:
        message = "the model's answers hardly depend on the image"
        raise ValueError(message)
