"""TensorFlow, with the SavedModel's own serving signature."""

import os
from typing import TYPE_CHECKING, Any

# Its chatter about CPUs and GPUs would fill the log; must be set before it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from app.card import Card
from app.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.tasks import Tensor


class TensorflowBackend:
    """A SavedModel's ``serving_default`` and what it is fed with."""

    def __init__(self, model: object, signature: Any, card: Card) -> None:
        self._model = model  # the signature alone does not keep the variables alive
        self._signature = signature
        self._card = card

    def predict(self, tensors: "Sequence[Tensor]") -> "Sequence[Tensor]":
        inputs, outputs = self._card.inputs, self._card.outputs
        arrays = {
            one.name: tf.constant(np.frombuffer(data, one.dtype).reshape(shape))
            for one, (shape, data) in zip(inputs, tensors, strict=True)
        }
        answer = self._signature(**arrays)
        found = [(answer[one.name].numpy(), one.dtype) for one in outputs]
        return [
            (array.shape, np.ascontiguousarray(array, dtype).tobytes()) for array, dtype in found
        ]


def load(model_dir: str, card: Card, *, threads: int, library: str) -> TensorflowBackend:  # noqa: ARG001
    """Load ``saved_model/``. ``library`` is of no use here."""
    path = f"{model_dir}/saved_model"
    if not os.path.isdir(path):  # noqa: PTH112
        raise StartError(f"{path} is missing: mount an unpacked model archive there.")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    try:
        model = tf.saved_model.load(path)
        signature = model.signatures["serving_default"]
    except Exception as error:  # TensorFlow raises whatever the layer below raised
        fault = " ".join(str(error).split())
        raise StartError(f"{path} cannot be loaded: {fault}") from error
    outputs = list(signature.structured_outputs)
    given = [one.name for one in card.outputs]
    if not set(given) <= set(outputs):
        raise StartError(f"{path} gives {outputs}, its card says {given}.")
    return TensorflowBackend(model, signature, card)
