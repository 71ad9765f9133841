"""From a request's body to an answer's body: decode, run the model, encode."""

import time

from . import media
from .crowd import Crowd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .backends import Backend
    from .tasks import Batch, Task, Tensor

_AT_ONCE = 8
"""Instances per run of the model: a larger batch is cut up, which bounds the memory it takes."""


class Answer:
    """An encoded answer and what is counted of it."""

    __slots__ = ("body", "noted", "prediction_s")

    def __init__(
        self, body: bytes, noted: "Sequence[dict[str, float]]", prediction_s: float
    ) -> None:
        self.body = body
        self.noted = noted
        self.prediction_s = prediction_s


class Predictor:
    """A loaded model and how to speak to it. All methods may be called from several threads."""

    def __init__(self, backend: "Backend | Crowd", task: "Task") -> None:
        self._crowd = backend if isinstance(backend, Crowd) else Crowd(backend)
        self._task = task

    def types(self, content_type: str, accept: str) -> tuple[str, str]:
        """The types of body and answer; raises ``RequestError`` 415 or 406."""
        task = self._task
        return media.media_type(content_type, task.taken), media.answer_type(accept, task.given)

    def decode(self, kind: str, body: bytes) -> "Batch":
        """What the model takes; raises ``RequestError`` 400 or 413."""
        return self._task.decode(kind, body)

    def predict(self, batch: "Batch") -> "Sequence[Tensor]":
        """The model's outputs, in the card's order."""
        backend = self._crowd.backend
        if batch.count <= _AT_ONCE:
            return backend.predict(batch.tensors)
        parts = []
        for first in range(0, batch.count, _AT_ONCE):
            some = min(_AT_ONCE, batch.count - first)
            tensors = []
            for shape, data in batch.tensors:
                row = len(data) // batch.count
                tensors.append(((some, *shape[1:]), data[first * row : (first + some) * row]))
            parts.append(backend.predict(tensors))
        # Where a shape depends on more than its instance there is nothing to put together.
        if any(len({shape[1:] for shape, _ in output}) > 1 for output in zip(*parts, strict=True)):
            return backend.predict(batch.tensors)
        return [
            ((batch.count, *output[0][0][1:]), b"".join([data for _, data in output]))
            for output in zip(*parts, strict=True)
        ]

    def run(self, kind: str, body: bytes) -> "tuple[Batch, Sequence[Tensor], float]":
        """Decode and predict: what the model took and gave, and for how many seconds it ran."""
        with self._crowd:
            batch = self.decode(kind, body)
            begun = time.perf_counter()
            outputs = self.predict(batch)
            return batch, outputs, time.perf_counter() - begun

    def answer(self, types: tuple[str, str], body: bytes) -> Answer:
        """All three steps; raises ``RequestError`` when the body is at fault."""
        batch, outputs, prediction_s = self.run(types[0], body)
        encoded, noted = self._task.encode(types[1], outputs, batch, prediction_s=prediction_s)
        return Answer(encoded, noted, prediction_s)
