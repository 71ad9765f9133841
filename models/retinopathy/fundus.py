"""Draws photographs of the back of an eye, with the lesions of diabetic retinopathy.

For machines that cannot have real photographs. What is drawn follows the clinical scale: no
lesions (0), microaneurysms only (1), haemorrhages and exudates besides (2), many of them in all
quadrants with cotton-wool spots (3), new vessels and bleeding in front of the retina (4). The
pictures look the part and can be graded by a model; they are no substitute for patients.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.retinopathy.anatomy import Eye, anatomy, retina, vessels
from models.retinopathy.canvas import Canvas, FloatArray, smooth_step
from models.retinopathy.lesions import Spot, draw_lesions

GRADES: Final = 5
SIZE: Final = 224


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A picture, uint8 RGB [size, size, 3], its grade and every lesion in it."""

    image: NDArray[np.uint8]
    grade: int
    spots: tuple[Spot, ...]


def draw(grade: int, seed: int, size: int = SIZE) -> Drawing:
    """Draw one eye. The same grade, seed and size give the same bytes."""
    rng = np.random.default_rng([seed, grade, 0xF0])
    eye = anatomy(rng)
    canvas = Canvas(size)
    image = retina(eye, rng, canvas)
    vessels(eye, rng, canvas)
    spots = draw_lesions(grade, eye, rng, canvas)
    image = canvas.composite(image)
    return Drawing(image=_camera(image, eye, rng, canvas), grade=grade, spots=spots)


def _camera(
    image: FloatArray, eye: Eye, rng: np.random.Generator, canvas: Canvas
) -> NDArray[np.uint8]:
    """Uneven light, vignetting, the round field of view, focus, exposure and sensor noise."""
    tilt = rng.uniform(0, 2 * math.pi)
    slope = rng.uniform(0, 0.14)
    light = 1 + slope * (canvas.x * math.cos(tilt) + canvas.y * math.sin(tilt))
    away = np.sqrt(canvas.x**2 + canvas.y**2) / np.float32(eye.rim)
    light = light * (1 - rng.uniform(0.18, 0.34) * away**2.4) * rng.uniform(0.88, 1.12)
    edge = smooth_step(1.0, 0.985, away)
    image = image * (light * edge)[..., None]
    noise = rng.standard_normal((canvas.size, canvas.size), np.float32) * rng.uniform(1.0, 3.0)
    image = image + (noise * edge)[..., None]
    return np.clip(image + 4, 0, 255).astype(np.uint8)
