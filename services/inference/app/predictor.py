"""From a request's body to an answer's body: decode, run the model, encode."""

import time

from . import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .backends import Backend
    from .card import Card
    from .settings import Settings

_AT_ONCE = 8
"""Images per run of the model: a larger batch is cut up, which bounds the memory it takes."""


class Answer:
    """An encoded answer and what is counted of it."""

    __slots__ = ("body", "grades", "prediction_s")

    def __init__(self, body: bytes, grades: list[int], prediction_s: float) -> None:
        self.body = body
        self.grades = grades
        self.prediction_s = prediction_s


class Predictor:
    """A loaded model and how to speak to it. All methods may be called from several threads."""

    def __init__(self, backend: "Backend", card: "Card", settings: "Settings") -> None:
        self._backend = backend
        self.card = card
        self._decoder = codec.Decoder(
            card,
            max_image_pixels=settings.max_image_pixels,
            max_instances=settings.max_instances,
        )

    def types(self, content_type: str, accept: str) -> tuple[str, str]:
        """The types of body and answer; raises ``RequestError`` 415 or 406."""
        return codec.media_type(content_type), codec.answer_type(accept)

    def decode(self, kind: str, body: bytes) -> tuple[bytes, int]:
        """Pixels and how many images they are; raises ``RequestError`` 400 or 413."""
        return self._decoder.decode(kind, body)

    def predict(self, pixels: bytes, count: int) -> bytes:
        """Probabilities, float32 [count, labels]."""
        if count <= _AT_ONCE:
            return self._backend.predict(pixels, count)
        size = self.card.image_bytes
        parts = []
        for first in range(0, count, _AT_ONCE):
            some = min(_AT_ONCE, count - first)
            part = pixels[first * size : (first + some) * size]
            parts.append(self._backend.predict(part, some))
        return b"".join(parts)

    def answer(self, types: tuple[str, str], body: bytes) -> Answer:
        """All three steps; raises ``RequestError`` when the body is at fault."""
        pixels, count = self.decode(types[0], body)
        begun = time.perf_counter()
        probabilities = self.predict(pixels, count)
        prediction_s = time.perf_counter() - begun
        encoded, grades = codec.encode(
            types[1], probabilities, self.card, prediction_s=prediction_s
        )
        return Answer(encoded, grades, prediction_s)
