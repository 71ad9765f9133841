"""ONNX Runtime as most people use it: its Python package, with NumPy."""

import os

import numpy as np
import onnxruntime

from app.card import Card
from app.errors import StartError

from .options import MAPPED, asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.tasks import Tensor

_ERROR = 3
"""ONNX Runtime's log level: its warnings about the machine are no news to anybody."""


class OnnxBackend:
    """A session and what it is fed with."""

    def __init__(
        self, session: onnxruntime.InferenceSession, card: Card, model: str | bytes
    ) -> None:
        self._model = model  # a session may read from it as long as it lives
        self._run = session.run
        self._inputs = [(one.name, np.dtype(one.dtype)) for one in card.inputs]
        self._outputs = [one.name for one in card.outputs]
        self._types = [np.dtype(one.dtype) for one in card.outputs]

    def predict(self, tensors: "Sequence[Tensor]") -> "Sequence[Tensor]":
        arrays = {
            name: np.frombuffer(data, dtype).reshape(shape)
            for (name, dtype), (shape, data) in zip(self._inputs, tensors, strict=True)
        }
        answers = zip(self._run(self._outputs, arrays), self._types, strict=True)
        return [
            (array.shape, np.ascontiguousarray(array, dtype).tobytes()) for array, dtype in answers
        ]


def load(model_dir: str, card: Card, *, threads: int, library: str) -> OnnxBackend:  # noqa: ARG001
    """Load ``model.onnx``. ``library`` is of no use here: the package brings its own."""
    path = f"{model_dir}/model.onnx"
    if not os.path.isfile(path):  # noqa: PTH113
        raise StartError(f"{path} is missing: mount an unpacked model archive there.")
    level, entries = asked(card)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(level)
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERROR
    # A plan of its memory, made of the first run, would take 7 MB anew for the second.
    options.enable_mem_pattern = False
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    model: str | bytes = path
    if entries.get(MAPPED) == "1":
        with open(path, "rb") as file:  # noqa: PTH123
            model = file.read()
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the package's errors share no base class
        fault = " ".join(str(error).split())
        raise StartError(f"{path} cannot be loaded: {fault}") from error
    names = [value.name for value in session.get_inputs()]
    results = [value.name for value in session.get_outputs()]
    taken, given = [one.name for one in card.inputs], [one.name for one in card.outputs]
    if sorted(names) != sorted(taken) or not set(given) <= set(results):
        raise StartError(
            f"{path} takes {names} and gives {results}, its card says {taken}, {given}."
        )
    return OnnxBackend(session, card, model)
