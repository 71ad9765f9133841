"""A model as the service runs it: the same task, the same runtimes, the same code."""

import mimetypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app import backends, card, tasks
from app.settings import Settings

Answer = Sequence[tuple[tuple[int, ...], bytes]]
"""The model's outputs for one batch."""

_TYPES: Final = {".npy": "application/x-npy"}


class ServedModel:
    """What lies in ``folder`` and is described by ``description``, ``model.json``'s content."""

    def __init__(self, folder: Path, description: Mapping[str, Any]) -> None:
        self._folder = folder
        self.card = card.card(dict(description))
        settings = Settings({**os.environ, "LAB_MODEL_DIR": str(folder)})
        self.task = tasks.fit(tasks.task_class(self.card, str(folder)), self.card, settings)

    def decoded(self, paths: Sequence[Path]) -> Sequence[tasks.Batch]:
        """Each file as the model takes it."""
        return [self.task.decode(_type(path), path.read_bytes()) for path in paths]

    def answers(self, runtime: str, batches: Sequence[tasks.Batch]) -> Sequence[Answer]:
        """What ``onnx`` or ``tensorflow`` makes of each."""
        backend = backends.module(runtime).load(
            str(self._folder), self.card, threads=os.cpu_count() or 1, library=""
        )
        return [backend.predict(batch.tensors) for batch in batches]

    def noted(
        self, batches: Sequence[tasks.Batch], answers: Sequence[Answer]
    ) -> Sequence[Mapping[str, float]]:
        """The features of every instance, as the service notes them."""
        return [
            one
            for batch, outputs in zip(batches, answers, strict=True)
            for one in self.task.encode(self.task.given[0], outputs, batch, prediction_s=0.0)[1]
        ]

    def stacked(self, answers: Sequence[Answer]) -> Sequence[NDArray[Any]]:
        """Each of the model's outputs over all batches."""
        return [
            np.concatenate(
                [np.frombuffer(data, spec.dtype).reshape(shape) for shape, data in outputs]
            )
            for spec, outputs in zip(self.card.outputs, zip(*answers, strict=True), strict=True)
        ]


def _type(path: Path) -> str:
    return _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or ""
