"""What is noted of every picture: how large it came, how bright it is, what was said of it.

The models' builds note the same of the pictures that a model was tested on, with this very code.
"""

from operator import mul

from PIL import Image

_LEVELS = tuple(range(256))
_SQUARES = tuple(level * level for level in _LEVELS)

DRIFTING = ("grade", "confidence", "brightness", "contrast", "pixels")
"""What is compared with the model's reference, by ``Seen``'s names."""


class Seen:
    """One picture and the answer to it."""

    __slots__ = ("brightness", "bytes", "confidence", "contrast", "grade", "pixels")

    def __init__(
        self,
        *,
        grade: int,
        confidence: float,
        brightness: float,
        contrast: float,
        size: int,
        pixels: int,
    ) -> None:
        self.grade = grade
        self.confidence = confidence
        """The grade's probability."""
        self.brightness = brightness
        self.contrast = contrast
        self.bytes = size
        """As it was sent; arrays share their body's bytes equally."""
        self.pixels = pixels
        """As it was sent, not as the model takes it."""


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
