"""What eyes are drawn on: masks that are laid over each other, and soft shapes.

Positions are in units of half the picture: x to the right, y down, the retina's rim at about 1.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

FloatArray = NDArray[np.floating[Any]]

# What blood takes from red, green and blue light: why vessels are seen best in green.
_VEIN = np.array([0.36, 0.66, 0.58], np.float32)
_ARTERY = np.array([0.20, 0.52, 0.48], np.float32)
_BLOOD = np.array([0.52, 0.84, 0.74], np.float32)


# name: (blur in picture widths, colour, does it absorb light or cover what is behind)
LAYERS: Final[dict[str, tuple[float, NDArray[np.float32], bool]]] = {
    "cotton": (0.010, np.array([238, 226, 196], np.float32), False),
    "vein": (0.0022, _VEIN, True),
    "artery": (0.0022, _ARTERY, True),
    "reflex": (0.0018, np.array([250, 190, 150], np.float32), False),
    "exudate": (0.0016, np.array([250, 236, 150], np.float32), False),
    "blood": (0.0026, _BLOOD, True),
    "fibrous": (0.0075, np.array([214, 200, 176], np.float32), False),
    "tuft": (0.0012, np.array([0.30, 0.80, 0.70], np.float32), True),
}


class Canvas:
    """Masks drawn at twice the size, so that edges come out smooth, and coordinate grids."""

    def __init__(self, size: int) -> None:
        self.size = size
        axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
        self.x, self.y = axis[None, :], axis[:, None]
        self.masks = {name: Image.new("L", (2 * size, 2 * size)) for name in LAYERS}
        self.pens = {name: ImageDraw.Draw(mask) for name, mask in self.masks.items()}

    def to_pixel(self, at: float) -> float:
        """A coordinate on the masks."""
        return (at + 1) * self.size

    def line(self, layer: str, points: list[tuple[float, float]], width: float, ink: int) -> None:
        """A curve; ``width`` in units of half the picture."""
        pixels = [(self.to_pixel(x), self.to_pixel(y)) for x, y in points]
        self.pens[layer].line(pixels, fill=ink, width=max(1, round(width * self.size)))

    def disc(self, layer: str, x: float, y: float, radius: float, ink: int) -> None:
        """A filled circle."""
        r, px, py = radius * self.size, self.to_pixel(x), self.to_pixel(y)
        self.pens[layer].ellipse((px - r, py - r, px + r, py + r), fill=ink)

    def blot(self, layer: str, outline: NDArray[np.float64], ink: int) -> None:
        """A filled outline, [n, 2]."""
        self.pens[layer].polygon([tuple(p) for p in (outline + 1) * self.size], fill=ink)

    def composite(self, image: FloatArray) -> FloatArray:
        """Lay the masks over the retina, from the deepest to the one nearest to the camera."""
        for name, (blur, colour, absorbs) in LAYERS.items():
            if self.masks[name].getbbox() is None:
                continue
            mask = self.masks[name].reduce(2)
            mask = mask.filter(ImageFilter.GaussianBlur(blur * self.size))
            alpha = (np.asarray(mask, np.float32) / 255)[..., None]
            image = image * (1 - alpha * colour) if absorbs else image + (colour - image) * alpha
        return image

    def soft(self, x: float, y: float, sx: float, sy: float) -> FloatArray:
        """A Gaussian hill of height 1."""
        across: FloatArray = np.exp(-0.5 * ((self.x - x) / sx) ** 2)
        down: FloatArray = np.exp(-0.5 * ((self.y - y) / sy) ** 2)
        return across * down


def outline(
    rng: np.random.Generator,
    x: float,
    y: float,
    radius: float,
    stretch: float,
    angle: float,
    *,
    rough: float,
) -> NDArray[np.float64]:
    """The corners of an irregular ellipse, [n, 2]."""
    around = np.linspace(0, 2 * math.pi, 32, endpoint=False)
    waves, shift = np.arange(2, 6)[:, None], rng.uniform(0, 2 * math.pi, (4, 1))
    edge = radius * (1 + rough * (np.cos(waves * around + shift) / waves**0.5).sum(axis=0))
    long, short = edge * stretch * np.cos(around), edge * np.sin(around)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.stack([x + long * cos - short * sin, y + long * sin + short * cos], axis=1)


def cloud(rng: np.random.Generator, size: int, cells: int) -> FloatArray:
    """Smooth noise of mean 0 and deviation about 1, ``cells`` grains across."""
    grains = Image.fromarray(rng.standard_normal((cells, cells), np.float32))
    return np.asarray(grains.resize((size, size), Image.Resampling.BICUBIC), np.float32)


def smooth_step(low: float, high: float, at: FloatArray) -> FloatArray:
    """0 at ``low``, 1 at ``high``, smooth between; ``low`` may be the larger."""
    t: FloatArray = np.clip((at - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
