"""Lesions of diabetic retinopathy, as they are drawn."""

import math
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

import numpy as np

from models.retinopathy.anatomy import Eye
from models.retinopathy.canvas import Canvas, outline


@unique
class Lesion(IntEnum):
    """What can be wrong."""

    MICROANEURYSM = 0
    HAEMORRHAGE = 1
    EXUDATE = 2
    COTTON_WOOL = 3
    NEW_VESSELS = 4


@dataclass(frozen=True, kw_only=True)
class Spot:
    """One lesion: where it is and how big."""

    kind: Lesion
    x: float
    y: float
    radius: float


# How many of each kind a grade shows, smallest and largest: ranges meet, as graders' do.
_COUNTS: Final[dict[int, dict[Lesion, tuple[int, int]]]] = {
    0: {},
    1: {Lesion.MICROANEURYSM: (5, 12)},
    2: {
        Lesion.MICROANEURYSM: (8, 20),
        Lesion.HAEMORRHAGE: (3, 8),
        Lesion.EXUDATE: (1, 2),
    },
    3: {
        Lesion.MICROANEURYSM: (14, 30),
        Lesion.HAEMORRHAGE: (13, 26),
        Lesion.EXUDATE: (1, 4),
        Lesion.COTTON_WOOL: (2, 5),
    },
    4: {
        Lesion.MICROANEURYSM: (10, 26),
        Lesion.HAEMORRHAGE: (8, 22),
        Lesion.EXUDATE: (0, 3),
        Lesion.COTTON_WOOL: (0, 3),
        Lesion.NEW_VESSELS: (2, 5),
    },
}

_WORST: Final = 4


def draw_lesions(
    grade: int, eye: Eye, rng: np.random.Generator, canvas: Canvas
) -> tuple[Spot, ...]:
    """Draw what the grade demands; where everything is."""
    makers = {
        Lesion.MICROANEURYSM: _microaneurysm,
        Lesion.HAEMORRHAGE: _haemorrhage,
        Lesion.EXUDATE: _exudates,
        Lesion.COTTON_WOOL: _cotton_wool,
        Lesion.NEW_VESSELS: _new_vessels,
    }
    spots = []
    for kind, (least, most) in _COUNTS[grade].items():
        for index in range(int(rng.integers(least, most + 1))):
            if kind is Lesion.NEW_VESSELS and index == 0:
                x, y = eye.disc  # the first ones grow on the disc
            else:
                x, y = _somewhere(eye, rng)
            radius = makers[kind](canvas, rng, eye, x, y)
            spots.append(Spot(kind=kind, x=x, y=y, radius=radius))
    if grade == _WORST and rng.random() < 0.6:
        spots.append(_bleeding(canvas, rng, eye))
    return tuple(spots)


def _somewhere(eye: Eye, rng: np.random.Generator) -> tuple[float, float]:
    """A place on the retina, off the optic disc."""
    while True:
        angle, away = rng.uniform(0, 2 * math.pi), 0.82 * math.sqrt(rng.random())
        x, y = away * math.cos(angle), away * math.sin(angle)
        if math.hypot(x - eye.disc[0], y - eye.disc[1]) > 1.5 * eye.disc_radius:
            return x, y


def _microaneurysm(
    canvas: Canvas, rng: np.random.Generator, _eye: Eye, x: float, y: float
) -> float:
    radius = float(rng.uniform(0.012, 0.019))
    canvas.disc("blood", x, y, radius, int(rng.integers(190, 250)))
    return radius


def _haemorrhage(canvas: Canvas, rng: np.random.Generator, eye: Eye, x: float, y: float) -> float:
    """A blot, or a flame along the nerve fibres, which point to the disc."""
    radius = float(rng.uniform(0.028, 0.060))
    flame = rng.random() < 0.35
    stretch = rng.uniform(1.6, 2.4) if flame else rng.uniform(1.0, 1.35)
    angle = math.atan2(eye.disc[1] - y, eye.disc[0] - x) if flame else rng.uniform(0, math.pi)
    edge = outline(rng, x, y, radius, stretch, angle, rough=0.13)
    canvas.blot("blood", edge, int(rng.integers(200, 255)))
    return radius * stretch


def _exudates(canvas: Canvas, rng: np.random.Generator, _eye: Eye, x: float, y: float) -> float:
    """A cluster of waxy yellow specks."""
    spread = float(rng.uniform(0.05, 0.11))
    count = int(rng.integers(7, 20))
    for dx, dy, r in zip(
        rng.normal(0, spread, count),
        rng.normal(0, spread, count),
        rng.uniform(0.008, 0.022, count),
        strict=True,
    ):
        canvas.disc("exudate", x + dx, y + dy, float(r), int(rng.integers(190, 250)))
    return 1.5 * spread


def _cotton_wool(canvas: Canvas, rng: np.random.Generator, eye: Eye, x: float, y: float) -> float:
    radius = float(rng.uniform(0.045, 0.080))
    angle = math.atan2(eye.disc[1] - y, eye.disc[0] - x) + math.pi / 2
    edge = outline(rng, x, y, radius, rng.uniform(1.1, 1.5), angle, rough=0.10)
    canvas.blot("cotton", edge, int(rng.integers(170, 225)))
    return radius


def _new_vessels(canvas: Canvas, rng: np.random.Generator, eye: Eye, x: float, y: float) -> float:
    """A tangle of fine loops, often on a veil of scar tissue."""
    on_disc = (x, y) == eye.disc
    radius = float(rng.uniform(0.17, 0.26) if on_disc else rng.uniform(0.11, 0.19))
    if rng.random() < 0.5:
        veil = outline(
            rng, x, y, radius * 0.8, rng.uniform(1.0, 1.6), rng.uniform(0, 3), rough=0.15
        )
        canvas.blot("fibrous", veil, int(rng.integers(60, 130)))
    for _ in range(int(rng.integers(9, 16))):
        along = np.linspace(0, 1, 14)
        angle = rng.uniform(0, 2 * math.pi) + along * rng.uniform(-3.5, 3.5)
        away = radius * along * rng.uniform(0.6, 1.0)
        jitter = rng.normal(0, radius * 0.06, (2, 14))
        xs, ys = x + away * np.cos(angle) + jitter[0], y + away * np.sin(angle) + jitter[1]
        canvas.line("tuft", list(zip(xs.tolist(), ys.tolist(), strict=True)), 0.009, 215)
    return radius


def _bleeding(canvas: Canvas, rng: np.random.Generator, eye: Eye) -> Spot:
    """Blood in front of the retina: it sinks, so its upper edge is level, like a boat's."""
    x, y = _somewhere(eye, rng)
    radius = float(rng.uniform(0.13, 0.24))
    half = np.linspace(0, math.pi, 24)
    rough = 1 + rng.normal(0, 0.03, 24)
    edge = np.stack([x + radius * np.cos(half) * rough, y + 0.6 * radius * np.sin(half) * rough], 1)
    canvas.blot("blood", edge, int(rng.integers(200, 250)))
    return Spot(kind=Lesion.HAEMORRHAGE, x=x, y=y + 0.3 * radius, radius=radius)
