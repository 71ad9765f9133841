"""ONNX Runtime as most people use it: its Python package, with NumPy."""

import os

import numpy as np
import onnxruntime

from app.card import Card
from app.errors import StartError

_ERROR = 3
"""ONNX Runtime's log level: its warnings about the machine are no news to anybody."""


class OnnxBackend:
    """A session and what it is fed with."""

    def __init__(self, session: onnxruntime.InferenceSession, card: Card) -> None:
        self._run = session.run
        self._shape = (-1, card.height, card.width, 3)
        self._input = card.input_name
        self._outputs = [card.output_name]

    def predict(self, pixels: bytes, count: int) -> bytes:
        images = np.frombuffer(pixels, np.uint8).reshape(self._shape)
        (probabilities,) = self._run(self._outputs, {self._input: images[:count]})
        return np.ascontiguousarray(probabilities, np.float32).tobytes()


def load(model_dir: str, card: Card, *, threads: int, library: str) -> OnnxBackend:  # noqa: ARG001
    """Load ``model.onnx``. ``library`` is of no use here: the package brings its own."""
    path = f"{model_dir}/model.onnx"
    if not os.path.isfile(path):  # noqa: PTH113
        raise StartError(f"{path} is missing: mount an unpacked model archive there.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERROR
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the package's errors share no base class
        fault = " ".join(str(error).split())
        raise StartError(f"{path} cannot be loaded: {fault}") from error
    names = [value.name for value in session.get_inputs()]
    results = [value.name for value in session.get_outputs()]
    if names != [card.input_name] or card.output_name not in results:
        raise StartError(
            f"{path} takes {names} and gives {results}, its card says "
            f"{card.input_name!r} and {card.output_name!r}."
        )
    return OnnxBackend(session, card)
