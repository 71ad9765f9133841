"""From a request's body to pixels, and from probabilities to an answer's body.

Pixels are uint8, RGB, [count, height, width, 3] in one ``bytes``: the model's own preprocessing is
in its graph, so nothing here needs NumPy.
"""

import binascii
import io
import json
from itertools import chain

from PIL import Image, JpegImagePlugin, PngImagePlugin

from . import npy
from .errors import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .card import Card

    Sent = tuple[int, int]
    """How an image came: its bytes (an array's: an equal part of the body) and its pixels."""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/jpg")
_NPY, _JSON, _CSV = "application/x-npy", "application/json", "text/csv"
TAKEN = ("image/jpeg", "image/png", _NPY, _JSON)
"""What may be sent; told to those who send something else."""
GIVEN = (_JSON, _CSV, _NPY)
"""What may be asked for, most usual first."""

_SCAN, _MAX_SCANS = b"\xff\xda", 200
"""A progressive JPEG of some kB can demand thousands of passes over a huge image: minutes of work.
Real ones have about ten."""

_BATCH, _ONE = 4, 3
"""Dimensions of an array of images and of one image."""


def media_type(header: str) -> str:
    """The type that a ``Content-Type`` header names; raises ``RequestError`` 415."""
    name = header.partition(";")[0].strip().lower()
    if name in _IMAGE_TYPES or name in (_NPY, _JSON):
        return name
    said = f"Content-Type {name[:100]!r} is not taken" if name else "There is no Content-Type"
    raise RequestError(415, f"{said}: send {', '.join(TAKEN)}.")


def answer_type(accept: str) -> str:
    """The best of ``GIVEN`` by an ``Accept`` header; raises ``RequestError`` 406 if none is."""
    ranges: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        if name:
            ranges[name] = _quality(parameters)
    if not ranges:
        return GIVEN[0]
    best, best_quality = "", 0.0
    for name in GIVEN:
        wide = name.partition("/")[0] + "/*"
        quality = ranges.get(name, ranges.get(wide, ranges.get("*/*", 0.0)))
        if quality > best_quality:
            best, best_quality = name, quality
    if not best:
        raise RequestError(406, f"Accept {accept[:100]!r} asks for none of {', '.join(GIVEN)}.")
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


class Decoder:
    """Decodes bodies for one model. All methods raise ``RequestError`` with 400 or 413."""

    def __init__(self, card: "Card", *, max_image_pixels: int, max_instances: int) -> None:
        self._card = card
        self._size = (card.width, card.height)
        self._max_image_pixels = max_image_pixels
        self._max_instances = max_instances

    def decode(self, kind: str, body: bytes) -> tuple[bytes, "list[Sent]"]:
        """Pixels, and how each image came, of a body of type ``kind`` (``media_type``'s)."""
        if not body:
            raise RequestError(400, "The body is empty.")
        if kind == _NPY:
            shape, pixels = npy.read(body)
            count = self._count(shape)
            return pixels, [self._array(len(body) // count)] * count
        if kind == _JSON:
            return self._instances(body)
        pixels, sent = self._image(body)
        return pixels, [sent]

    def _array(self, size: int) -> "Sent":
        """How an image came that is one of an array's: as large as the model takes it."""
        return size, self._card.width * self._card.height

    def _count(self, shape: tuple[int, ...]) -> int:
        image = (self._card.height, self._card.width, 3)
        if shape == image:
            return 1
        if len(shape) != _BATCH or shape[1:] != image or shape[0] == 0:
            raise RequestError(400, f"The shape is {shape}, the model takes [n, {image}].")
        self._few(shape[0])
        return shape[0]

    def _few(self, count: int) -> None:
        if count > self._max_instances:
            raise RequestError(413, f"{count} images at once: send {self._max_instances} at most.")

    def _image(self, body: bytes) -> tuple[bytes, "Sent"]:
        """Decode and resize exactly as in training."""
        try:
            # The two formats by name: Image.open would import and try others.
            file = io.BytesIO(body)
            if body.startswith(_JPEG):
                if body.count(_SCAN) > _MAX_SCANS:
                    raise RequestError(400, "The JPEG image has too many scans.")  # noqa: TRY301
                picture: Image.Image = JpegImagePlugin.JpegImageFile(file)
            elif body.startswith(_PNG):
                picture = PngImagePlugin.PngImageFile(file)
            else:
                raise RequestError(400, "The body is neither a JPEG nor a PNG image.")  # noqa: TRY301
            # Known from the header, before anything is unpacked: a small file can hold a huge
            # image.
            if picture.width * picture.height > self._max_image_pixels:
                raise RequestError(  # noqa: TRY301
                    400,
                    f"The image has {picture.width} x {picture.height} pixels: "
                    f"{self._max_image_pixels} at most are taken.",
                )
            sent = len(body), picture.width * picture.height
            picture = picture.convert("RGB")
            if picture.size != self._size:
                picture = picture.resize(self._size, Image.Resampling.BILINEAR)
            return picture.tobytes(), sent
        except RequestError:
            raise
        except Exception as error:  # a damaged file raises whatever the format's code trips over
            fault = " ".join(str(error).split())[:200] or type(error).__name__
            raise RequestError(400, f"The image cannot be decoded: {fault}.") from error

    def _instances(self, body: bytes) -> tuple[bytes, "list[Sent]"]:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            fault = str(error)[:200] or "nested too deeply"
            raise RequestError(400, f"The body is not JSON: {fault}.") from error
        instances = value.get("instances") if isinstance(value, dict) else None
        if not isinstance(instances, list) or not instances:
            raise RequestError(400, 'The JSON must be {"instances": [...]} with one at least.')
        self._few(len(instances))
        images, sent = [], []
        equal = len(body) // len(instances)
        for place, instance in enumerate(instances):
            try:
                pixels, one = self._instance(instance, equal)
            except RequestError as error:
                raise RequestError(error.status, f"instances[{place}]: {error.reason}") from error
            images.append(pixels)
            sent.append(one)
        return b"".join(images), sent

    def _instance(self, instance: object, equal: int) -> tuple[bytes, "Sent"]:
        if isinstance(instance, dict):
            instance = instance.get("b64")
        if isinstance(instance, str):
            try:
                compact = instance.encode("ascii").translate(None, b" \t\r\n")
                body = binascii.a2b_base64(compact, strict_mode=True)
            except ValueError as error:
                raise RequestError(400, f"Not base64: {error}.") from error
            return self._image(body)
        if isinstance(instance, list):
            return self._rows(instance), self._array(equal)
        raise RequestError(400, 'Each must be a base64 string, {"b64": ...} or an array of rows.')

    def _rows(self, rows: list[object]) -> bytes:
        card = self._card
        wrong = f"An array must have the shape [{card.height}, {card.width}, 3]."
        pixels: list[object] = []
        if len(rows) != card.height:
            raise RequestError(400, wrong)
        for row in rows:
            if not isinstance(row, list) or len(row) != card.width:
                raise RequestError(400, wrong)
            for pixel in row:
                if not isinstance(pixel, list) or len(pixel) != _ONE:
                    raise RequestError(400, wrong)
            pixels += chain.from_iterable(row)
        try:
            return bytes(pixels)  # type: ignore[arg-type]  # quick where all are whole numbers
        except (TypeError, ValueError):
            return npy.to_bytes(pixels)


def encode(
    kind: str, probabilities: bytes, card: "Card", *, prediction_s: float
) -> tuple[bytes, list[tuple[int, float]]]:
    """A body of type ``kind`` (``answer_type``'s), and each image's grade and its probability.

    ``probabilities`` are float32 of this machine's byte order, [n, labels].
    """
    columns = len(card.labels)
    numbers = memoryview(probabilities).cast("f").tolist()
    rows = [numbers[at : at + columns] for at in range(0, len(numbers), columns)]
    graded: list[tuple[int, float]] = [(row.index(max(row)), max(row)) for row in rows]
    if kind == _NPY:
        return npy.write(probabilities, len(rows), columns), graded
    # 9 digits are enough to get the same float32 back.
    if kind == _CSV:
        lines = [",".join([f"{number:.9g}" for number in row]) for row in rows]
        return ("\n".join(lines) + "\n").encode(), graded
    value = {
        "predictions": [
            {
                "grade": grade,
                "label": card.labels[grade],
                "probabilities": [float(f"{number:.9g}") for number in row],
            }
            for (grade, _), row in zip(graded, rows, strict=True)
        ],
        "prediction_seconds": round(prediction_s, 6),
        "model": card.name,
    }
    return json.dumps(value, separators=(",", ":")).encode(), graded
