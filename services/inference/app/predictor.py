"""From a request's body to an answer's body: decode, run the model, encode."""

import time

from . import codec
from .seen import Seen, light

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .backends import Backend
    from .card import Card
    from .settings import Settings

_AT_ONCE = 8
"""Images per run of the model: a larger batch is cut up, which bounds the memory it takes."""


class Answer:
    """An encoded answer and what is counted of it."""

    __slots__ = ("body", "prediction_s", "seen")

    def __init__(self, body: bytes, seen: list[Seen], prediction_s: float) -> None:
        self.body = body
        self.seen = seen
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

    def decode(self, kind: str, body: bytes) -> "tuple[bytes, list[codec.Sent]]":
        """Pixels, and how each image came; raises ``RequestError`` 400 or 413."""
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
        pixels, sent = self.decode(types[0], body)
        begun = time.perf_counter()
        probabilities = self.predict(pixels, len(sent))
        prediction_s = time.perf_counter() - begun
        encoded, graded = codec.encode(
            types[1], probabilities, self.card, prediction_s=prediction_s
        )
        return Answer(encoded, self._seen(pixels, sent, graded), prediction_s)

    def _seen(
        self, pixels: bytes, sent: "list[codec.Sent]", graded: list[tuple[int, float]]
    ) -> list[Seen]:
        card, size = self.card, self.card.image_bytes
        seen = []
        for place, ((came, came_pixels), (grade, confidence)) in enumerate(
            zip(sent, graded, strict=True)
        ):
            one = pixels if len(sent) == 1 else pixels[place * size : (place + 1) * size]
            brightness, contrast = light(one, card.width, card.height)
            seen.append(
                Seen(
                    grade=grade,
                    confidence=confidence,
                    brightness=brightness,
                    contrast=contrast,
                    size=came,
                    pixels=came_pixels,
                )
            )
        return seen
