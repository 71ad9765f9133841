"""A healthy eye: pigment, macula, optic disc and vessels."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.retinopathy.canvas import Canvas, FloatArray, cloud, smooth_step


@dataclass(frozen=True, kw_only=True)
class Eye:
    """The healthy anatomy: a left eye has its disc on the left (seen from the front)."""

    side: float
    disc: tuple[float, float]
    disc_radius: float
    fovea: tuple[float, float]
    rim: float


@dataclass(frozen=True, kw_only=True)
class _Shoot:
    """Where a vessel begins; ``depth`` counts the forks behind it."""

    layer: str
    at: tuple[float, float]
    heading: float
    bend: float
    width: float
    depth: int


_STEP: Final = 0.062
_FORKS: Final = (0.38, 0.22, 0.10)
"""How likely a vessel forks at a step, by depth; beyond, it does not."""
_EDGE: Final = 1.12
_AVASCULAR: Final = 0.17
"""No vessel comes nearer to the fovea."""


def anatomy(rng: np.random.Generator) -> Eye:
    """A left or a right eye, no two alike."""
    side = float(rng.choice([-1.0, 1.0]))
    disc = (side * rng.uniform(0.44, 0.60), rng.uniform(-0.12, 0.10))
    return Eye(
        side=side,
        disc=disc,
        disc_radius=rng.uniform(0.125, 0.165),
        fovea=(disc[0] - side * rng.uniform(0.52, 0.62), disc[1] + rng.uniform(0.02, 0.10)),
        rim=rng.uniform(0.95, 1.10),
    )


def retina(eye: Eye, rng: np.random.Generator, canvas: Canvas) -> FloatArray:
    """Pigment, mottling, macula and optic disc."""
    pigment = rng.uniform(0, 1)
    light, dark = np.array([222, 116, 76]), np.array([176, 78, 40])
    base = (light * (1 - pigment) + dark * pigment + rng.normal(0, 7, 3)).astype(np.float32)
    mottling = cloud(rng, canvas.size, 9) * 0.05 + cloud(rng, canvas.size, 40) * 0.022
    image = base * (1 + mottling[..., None])
    macula = canvas.soft(*eye.fovea, 0.19, 0.17) * rng.uniform(0.16, 0.30)
    pit = canvas.soft(*eye.fovea, 0.055, 0.055) * rng.uniform(0.12, 0.26)
    shade = np.array([0.85, 1.05, 1.0], np.float32)
    image = image * (1 - (macula + pit)[..., None] * shade)
    return _disc(image, eye, rng, canvas)


def _disc(image: FloatArray, eye: Eye, rng: np.random.Generator, canvas: Canvas) -> FloatArray:
    """The optic disc, its paler cup, and the glow of the nerve fibres around it."""
    x, y = eye.disc
    stretch = rng.uniform(0.84, 0.96)
    away = np.sqrt(((canvas.x - x) / stretch) ** 2 + (canvas.y - y) ** 2) / eye.disc_radius
    glow = np.exp(-0.5 * (away / 1.9) ** 2)[..., None] * rng.uniform(0.08, 0.18)
    image = image * (1 + glow)
    disc = smooth_step(1.08, 0.90, away)[..., None] * rng.uniform(0.80, 0.95)
    image = image + (np.array([246, 196, 128], np.float32) - image) * disc
    cup = smooth_step(0.62, 0.30, away * rng.uniform(0.85, 1.35))[..., None] * 0.75
    return (image + (np.array([255, 236, 186], np.float32) - image) * cup).astype(np.float32)


def vessels(eye: Eye, rng: np.random.Generator, canvas: Canvas) -> None:
    """Four arcades of a vein and an artery each, the temporal ones bowed around the macula."""
    for up in (-1.0, 1.0):
        for temporal in (True, False):
            for layer in ("vein", "artery"):
                width = rng.uniform(0.026, 0.034) * (1.0 if layer == "vein" else 0.74)
                toward = math.pi if eye.side > 0 else 0.0
                lean = rng.uniform(1.15, 1.42) if temporal else rng.uniform(1.75, 2.35)
                turn = up * eye.side * lean
                bend = -turn * (rng.uniform(0.036, 0.052) if temporal else rng.uniform(-0.02, 0.01))
                start = rng.uniform(-0.03, 0.03, 2)
                shoot = _Shoot(
                    layer=layer,
                    at=(eye.disc[0] + start[0], eye.disc[1] + start[1]),
                    heading=toward + turn + rng.normal(0, 0.07),
                    bend=bend,
                    width=width if temporal else width * 0.72,
                    depth=0,
                )
                _grow(canvas, rng, shoot, eye.fovea)


def _grow(
    canvas: Canvas, rng: np.random.Generator, shoot: _Shoot, fovea: tuple[float, float]
) -> None:
    """One vessel as a smooth random walk that tapers and forks, and leaves the fovea free."""
    steps = 26 if shoot.depth == 0 else int(rng.integers(7, 14))
    wiggle = rng.normal(0, 0.075, steps).tolist()
    forks = rng.random(steps).tolist()
    likely = _FORKS[shoot.depth] if shoot.depth < len(_FORKS) else 0.0
    x, y = shoot.at
    points = [(x, y)]
    heading, swing = shoot.heading, 0.0
    for step in range(steps):
        swing = 0.75 * swing + wiggle[step]
        heading += shoot.bend + swing * 0.55
        x += _STEP * math.cos(heading)
        y += _STEP * math.sin(heading)
        if math.hypot(x, y) > _EDGE or math.hypot(x - fovea[0], y - fovea[1]) < _AVASCULAR:
            break
        points.append((x, y))
        if step > 1 and forks[step] < likely:
            way = float(rng.choice([-1.0, 1.0]))
            child = _Shoot(
                layer=shoot.layer,
                at=(x, y),
                heading=heading + way * rng.uniform(0.45, 1.0),
                bend=-way * rng.uniform(0.0, 0.05),
                width=shoot.width * rng.uniform(0.45, 0.68),
                depth=shoot.depth + 1,
            )
            _grow(canvas, rng, child, fovea)
    for step in range(len(points) - 1):
        thin = shoot.width * (1 - 0.62 * step / len(points))
        piece = points[step : step + 2]
        canvas.line(shoot.layer, piece, thin, int(min(235, 70 + 6000 * thin)))
        if shoot.layer == "artery" and shoot.depth == 0:
            canvas.line("reflex", piece, thin * 0.25, 70)
