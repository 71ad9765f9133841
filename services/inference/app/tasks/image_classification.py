"""The task of image classifiers: from a body to pixels, from probabilities to an answer's body.

Pixels are uint8, RGB, [count, height, width, 3] in one ``bytes``: the model's own preprocessing is
in its graph, so nothing here needs NumPy.
"""

import binascii
import io
from itertools import chain
from operator import mul

from PIL import Image, JpegImagePlugin, PngImagePlugin

from app import npy
from app.errors import RequestError

from . import Batch, Feature, bodies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import ClassVar

    from app.card import Card
    from app.settings import Settings
    from app.tasks import Tensor

    Sent = dict[str, float]
    """How an image came: its bytes (an array's: an equal part of the body) and its pixels."""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_NPY, _JSON, _CSV = "application/x-npy", "application/json", "text/csv"

_SCAN, _MAX_SCANS = b"\xff\xda", 200
"""A progressive JPEG of some kB can demand thousands of passes over a huge image: minutes of work.
Real ones have about ten."""

_BATCH, _ONE = 4, 3
"""Dimensions of an array of images and of one image."""


_LEVELS = tuple(range(256))
_SQUARES = tuple(level * level for level in _LEVELS)


class ImageClassification:
    """See ``Task``. ``decode`` and ``encode`` raise ``RequestError`` with 400 or 413."""

    taken: "ClassVar[Sequence[str]]" = ("image/jpeg", "image/png", "image/jpg", _NPY, _JSON)
    given: "ClassVar[Sequence[str]]" = (_JSON, _CSV, _NPY)
    features: "ClassVar[Sequence[Feature]]" = (
        Feature("grade", "predictions", "Images predicted, by the grade they got."),
        Feature(
            "confidence",
            "confidence",
            "Images predicted, by their grade's probability.",
            tuple(step / 20 for step in range(4, 21)),  # of five grades the top one has 0.2
        ),
        Feature(
            "brightness",
            "input_brightness",
            "Images predicted, by the mean of their grey pictures: 0 is black, 1 is white.",
            tuple(step / 20 for step in range(1, 21)),
        ),
        Feature(
            "contrast",
            "input_contrast",
            "Images predicted, by the standard deviation of their grey pictures: 1 is half black, "
            "half white.",
            tuple(step / 20 for step in range(1, 21)),
        ),
        Feature(
            "bytes",
            "input_bytes",
            "Images predicted, by their bytes as sent; arrays share their body's bytes equally.",
            # Serverless endpoints take 4 MiB, real-time ones 25.
            tuple(1024 * k for k in (4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 25600)),
            drifts=False,
        ),
        Feature(
            "pixels",
            "input_pixels",
            "Images predicted, by their pixels as sent.",
            # From 128 x 128 to the limit of 50 million.
            tuple(1024 * k for k in (16, 64, 256, 1024, 2048, 4096, 8192, 16384, 48828.125)),
        ),
    )

    def __init__(self, card: "Card", settings: "Settings") -> None:
        """Raises ``ValueError`` unless it is uint8 [n, height, width, 3] to float32 [n, labels]."""
        (image,), (probabilities,) = card.inputs, card.outputs
        if (
            (len(image.shape), image.shape[-1:], image.dtype) != (_BATCH, (3,), "uint8")
            or None in image.shape[1:]
            or not (image.batched and probabilities.batched)
        ):
            raise ValueError("the input must be uint8 of [null, height, width, 3]")
        if probabilities.dtype != "float32" or probabilities.shape[-1] != len(card.labels):
            raise ValueError(
                f"{probabilities.shape[-1]} outputs of {probabilities.dtype} but "
                f"{len(card.labels)} labels"
            )
        self._height, self._width, _ = image.row()
        self._card = card
        self._max_image_pixels = settings.max_image_pixels
        self._max_instances = settings.max_instances

    def decode(self, kind: str, body: bytes) -> Batch:
        if not body:
            raise RequestError(400, "The body is empty.")
        if kind == _NPY:
            shape, pixels = npy.read(body)
            count = self._count(shape)
            return self._batch(pixels, [self._array(len(body) // count)] * count)
        if kind == _JSON:
            return self._instances(body)
        pixels, sent = self._image(body)
        return self._batch(pixels, [sent])

    def encode(
        self, kind: str, outputs: "Sequence[Tensor]", batch: Batch, *, prediction_s: float
    ) -> "tuple[bytes, Sequence[dict[str, float]]]":
        labels = self._card.labels
        (probabilities,) = outputs
        rows = bodies.rows(probabilities, "f")
        grades = [row.index(max(row)) for row in rows]
        if kind == _NPY:
            body = npy.write(probabilities[1], len(rows), len(labels))
        elif kind == _CSV:
            # 9 digits are enough to get the same float32 back.
            body = "".join(
                [",".join([f"{one:.9g}" for one in row]) + "\n" for row in rows]
            ).encode()
        else:
            predictions: list[dict[str, object]] = [
                {
                    "grade": grade,
                    "label": labels[grade],
                    "probabilities": [float(f"{number:.9g}") for number in row],
                }
                for grade, row in zip(grades, rows, strict=True)
            ]
            body = bodies.write_json(predictions, model=self._card.name, prediction_s=prediction_s)
        return body, [
            self._noted(batch, place, grade, row[grade])
            for place, (grade, row) in enumerate(zip(grades, rows, strict=True))
        ]

    def _noted(self, batch: Batch, place: int, grade: int, confidence: float) -> dict[str, float]:
        ((_, pixels),) = batch.tensors
        if batch.count > 1:
            size = len(pixels) // batch.count
            pixels = pixels[place * size : (place + 1) * size]
        brightness, contrast = light(pixels, self._width, self._height)
        return {
            **batch.noted[place],
            "grade": grade,
            "confidence": confidence,
            "brightness": brightness,
            "contrast": contrast,
        }

    def _batch(self, pixels: bytes, sent: "list[Sent]") -> Batch:
        count = len(sent)
        return Batch(count, [((count, self._height, self._width, 3), pixels)], sent)

    def _array(self, size: int) -> "Sent":
        """How an image came that is one of an array's: as large as the model takes it."""
        return {"bytes": size, "pixels": self._width * self._height}

    def _count(self, shape: tuple[int, ...]) -> int:
        image = (self._height, self._width, 3)
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
            sent: Sent = {"bytes": len(body), "pixels": picture.width * picture.height}
            if picture.mode != "RGB":  # else it would be a copy
                picture = picture.convert("RGB")
            size = (self._width, self._height)
            if picture.size != size:
                picture = picture.resize(size, Image.Resampling.BILINEAR)
            return picture.tobytes(), sent
        except RequestError:
            raise
        except Exception as error:  # a damaged file raises whatever the format's code trips over
            fault = " ".join(str(error).split())[:200] or type(error).__name__
            raise RequestError(400, f"The image cannot be decoded: {fault}.") from error

    def _instances(self, body: bytes) -> Batch:
        value = bodies.read_json(body)
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
        return self._batch(b"".join(images), sent)

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
        wrong = f"An array must have the shape [{self._height}, {self._width}, 3]."
        pixels: list[object] = []
        if len(rows) != self._height:
            raise RequestError(400, wrong)
        for row in rows:
            if not isinstance(row, list) or len(row) != self._width:
                raise RequestError(400, wrong)
            for pixel in row:
                if not isinstance(pixel, list) or len(pixel) != _ONE:
                    raise RequestError(400, wrong)
            pixels += chain.from_iterable(row)
        try:
            return bytes(pixels)  # type: ignore[arg-type]  # quick where all are whole numbers
        except (TypeError, ValueError):
            return npy.to_bytes(pixels)


def light(pixels: bytes, width: int, height: int) -> tuple[float, float]:
    """Brightness and contrast, 0 to 1, of a picture (uint8, RGB) as the model takes it.

    Brightness is the grey picture's mean / 255, contrast its standard deviation / 127.5 (half of
    the pixels black, half white). Grey is Pillow's: ITU-R 601-2 luma. The loops over pixels are
    Pillow's, in C; Python only adds up 256 levels.
    """
    histogram = Image.frombytes("RGB", (width, height), pixels).convert("L").histogram()
    count = width * height
    mean = sum(map(mul, histogram, _LEVELS)) / count
    variance = sum(map(mul, histogram, _SQUARES)) / count - mean * mean
    return mean / 255, max(variance, 0.0) ** 0.5 / 127.5
