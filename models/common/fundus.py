"""Draws photographs of the back of an eye, with the lesions of diabetic retinopathy.

For machines that cannot have real photographs. What is drawn follows the clinical scale: no
lesions (0), microaneurysms only (1), haemorrhages and exudates besides (2), many of them in all
quadrants with cotton-wool spots (3), new vessels and bleeding in front of the retina (4). The
pictures look the part and can be graded by a model; they are no substitute for patients.

Positions are in units of half the picture: x to the right, y down, the retina's rim at about 1.
"""

import math
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

GRADES: Final = 5
SIZE: Final = 224

type_float = NDArray[np.float32]


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


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A picture, uint8 RGB [size, size, 3], its grade and every lesion in it."""

    image: NDArray[np.uint8]
    grade: int
    spots: tuple[Spot, ...]


@dataclass(frozen=True, kw_only=True)
class _Eye:
    """The healthy anatomy: a left eye has its disc on the left (seen from the front)."""

    side: float
    disc: tuple[float, float]
    disc_radius: float
    fovea: tuple[float, float]
    rim: float


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

# What blood takes from red, green and blue light: why vessels are seen best in green.
_VEIN = np.array([0.36, 0.66, 0.58], np.float32)
_ARTERY = np.array([0.20, 0.52, 0.48], np.float32)
_BLOOD = np.array([0.52, 0.84, 0.74], np.float32)


def draw(grade: int, seed: int, size: int = SIZE) -> Drawing:
    """Draw one eye. The same grade, seed and size give the same bytes."""
    rng = np.random.default_rng([seed, grade, 0xF0])
    eye = _anatomy(rng)
    canvas = _Canvas(size)
    image = _retina(eye, rng, canvas)
    _vessels(eye, rng, canvas)
    spots = _lesions(grade, eye, rng, canvas)
    image = canvas.composite(image)
    return Drawing(image=_camera(image, eye, rng, canvas), grade=grade, spots=spots)


class _Canvas:
    """Masks drawn at twice the size, so that edges come out smooth, and coordinate grids."""

    def __init__(self, size: int) -> None:
        self.size = size
        axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
        self.x, self.y = axis[None, :], axis[:, None]
        self.masks = {name: Image.new("L", (2 * size, 2 * size)) for name in _LAYERS}
        self.pens = {name: ImageDraw.Draw(mask) for name, mask in self.masks.items()}

    def to_pixel(self, at: float) -> float:
        return (at + 1) * self.size

    def line(self, layer: str, points: list[tuple[float, float]], width: float, ink: int) -> None:
        """A curve; ``width`` in units of half the picture."""
        pixels = [(self.to_pixel(x), self.to_pixel(y)) for x, y in points]
        self.pens[layer].line(pixels, fill=ink, width=max(1, round(width * self.size)))

    def disc(self, layer: str, x: float, y: float, radius: float, ink: int) -> None:
        r, px, py = radius * self.size, self.to_pixel(x), self.to_pixel(y)
        self.pens[layer].ellipse((px - r, py - r, px + r, py + r), fill=ink)

    def blot(self, layer: str, outline: NDArray[np.float64], ink: int) -> None:
        self.pens[layer].polygon([tuple(p) for p in (outline + 1) * self.size], fill=ink)

    def composite(self, image: type_float) -> type_float:
        """Lay the masks over the retina, from the deepest to the one nearest to the camera."""
        for name, (blur, colour, absorbs) in _LAYERS.items():
            if self.masks[name].getbbox() is None:
                continue
            mask = self.masks[name].reduce(2)
            mask = mask.filter(ImageFilter.GaussianBlur(blur * self.size))
            alpha = (np.asarray(mask, np.float32) / 255)[..., None]
            image = image * (1 - alpha * colour) if absorbs else image + (colour - image) * alpha
        return image

    def soft(self, x: float, y: float, sx: float, sy: float) -> type_float:
        """A Gaussian hill of height 1."""
        gx = np.exp(-0.5 * ((self.x - x) / sx) ** 2)
        gy = np.exp(-0.5 * ((self.y - y) / sy) ** 2)
        return (gx * gy).astype(np.float32)


# name: (blur in picture widths, colour, does it absorb light or cover what is behind)
_LAYERS: Final = {
    "cotton": (0.010, np.array([238, 226, 196], np.float32), False),
    "vein": (0.0022, _VEIN, True),
    "artery": (0.0022, _ARTERY, True),
    "reflex": (0.0018, np.array([250, 190, 150], np.float32), False),
    "exudate": (0.0016, np.array([250, 236, 150], np.float32), False),
    "blood": (0.0020, _BLOOD, True),
    "fibrous": (0.0075, np.array([214, 200, 176], np.float32), False),
    "tuft": (0.0012, np.array([0.30, 0.80, 0.70], np.float32), True),
}


def _anatomy(rng: np.random.Generator) -> _Eye:
    side = float(rng.choice([-1.0, 1.0]))
    disc = (side * rng.uniform(0.44, 0.60), rng.uniform(-0.12, 0.10))
    return _Eye(
        side=side,
        disc=disc,
        disc_radius=rng.uniform(0.125, 0.165),
        fovea=(disc[0] - side * rng.uniform(0.52, 0.62), disc[1] + rng.uniform(0.02, 0.10)),
        rim=rng.uniform(0.95, 1.10),
    )


def _retina(eye: _Eye, rng: np.random.Generator, canvas: _Canvas) -> type_float:
    """Pigment, mottling, macula and optic disc."""
    pigment = rng.uniform(0, 1)
    light, dark = np.array([222, 116, 76]), np.array([176, 78, 40])
    base = (light * (1 - pigment) + dark * pigment + rng.normal(0, 7, 3)).astype(np.float32)
    mottling = _cloud(rng, canvas.size, 9) * 0.05 + _cloud(rng, canvas.size, 40) * 0.022
    image = base * (1 + mottling[..., None])
    macula = canvas.soft(*eye.fovea, 0.19, 0.17) * rng.uniform(0.16, 0.30)
    pit = canvas.soft(*eye.fovea, 0.055, 0.055) * rng.uniform(0.12, 0.26)
    shade = np.array([0.85, 1.05, 1.0], np.float32)
    image = image * (1 - (macula + pit)[..., None] * shade)
    return _disc(image, eye, rng, canvas)


def _disc(image: type_float, eye: _Eye, rng: np.random.Generator, canvas: _Canvas) -> type_float:
    """The optic disc, its paler cup, and the glow of the nerve fibres around it."""
    x, y = eye.disc
    stretch = rng.uniform(0.84, 0.96)
    away = np.sqrt(((canvas.x - x) / stretch) ** 2 + (canvas.y - y) ** 2) / eye.disc_radius
    glow = np.exp(-0.5 * (away / 1.9) ** 2)[..., None] * rng.uniform(0.08, 0.18)
    image = image * (1 + glow)
    disc = _smooth_step(1.08, 0.90, away)[..., None] * rng.uniform(0.80, 0.95)
    image = image + (np.array([246, 196, 128], np.float32) - image) * disc
    cup = _smooth_step(0.62, 0.30, away * rng.uniform(0.85, 1.35))[..., None] * 0.75
    return (image + (np.array([255, 236, 186], np.float32) - image) * cup).astype(np.float32)


def _vessels(eye: _Eye, rng: np.random.Generator, canvas: _Canvas) -> None:
    """Four arcades of a vein and an artery each, the temporal ones bowed around the macula."""
    for up in (-1.0, 1.0):
        for temporal in (True, False):
            for layer in ("vein", "artery"):
                width = rng.uniform(0.026, 0.034) * (1.0 if layer == "vein" else 0.74)
                toward = math.pi if eye.side > 0 else 0.0
                lean = rng.uniform(1.15, 1.42) if temporal else rng.uniform(1.75, 2.35)
                turn = up * eye.side * lean
                bend = -turn * (rng.uniform(0.042, 0.058) if temporal else rng.uniform(-0.02, 0.01))
                start = rng.uniform(-0.03, 0.03, 2)
                _grow(
                    canvas,
                    rng,
                    layer=layer,
                    at=(eye.disc[0] + start[0], eye.disc[1] + start[1]),
                    heading=toward + turn + rng.normal(0, 0.07),
                    bend=bend,
                    width=width if temporal else width * 0.72,
                    depth=0,
                    fovea=eye.fovea,
                )


def _grow(
    canvas: _Canvas,
    rng: np.random.Generator,
    *,
    layer: str,
    at: tuple[float, float],
    heading: float,
    bend: float,
    width: float,
    depth: int,
    fovea: tuple[float, float],
) -> None:
    """One vessel as a smooth random walk that tapers and forks, and leaves the fovea free."""
    steps = 26 if depth == 0 else int(rng.integers(7, 14))
    wiggle = rng.normal(0, 0.075, steps)
    forks = rng.random(steps)
    points = [at]
    x, y = at
    swing = 0.0
    for step in range(steps):
        swing = 0.75 * swing + float(wiggle[step])
        heading += bend + swing * 0.55
        x += 0.062 * math.cos(heading)
        y += 0.062 * math.sin(heading)
        if math.hypot(x, y) > 1.12 or math.hypot(x - fovea[0], y - fovea[1]) < 0.17:  # noqa: PLR2004
            break
        points.append((x, y))
        if depth < 3 and step > 1 and forks[step] < (0.42, 0.30, 0.20)[depth]:  # noqa: PLR2004
            way = 1.0 if rng.random() < 0.5 else -1.0  # noqa: PLR2004
            _grow(
                canvas,
                rng,
                layer=layer,
                at=(x, y),
                heading=heading + way * rng.uniform(0.45, 1.0),
                bend=-way * rng.uniform(0.0, 0.05),
                width=width * rng.uniform(0.45, 0.68),
                depth=depth + 1,
                fovea=fovea,
            )
    count = len(points)
    for step in range(count - 1):
        thin = width * (1 - 0.62 * step / count)
        ink = int(min(235, 70 + 6000 * thin))
        canvas.line(layer, points[step : step + 2], thin, ink)
        if layer == "artery" and depth == 0:
            canvas.line("reflex", points[step : step + 2], thin * 0.25, 70)


def _lesions(
    grade: int, eye: _Eye, rng: np.random.Generator, canvas: _Canvas
) -> tuple[Spot, ...]:
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
    if grade == GRADES - 1 and rng.random() < 0.6:  # noqa: PLR2004
        spots.append(_bleeding(canvas, rng, eye))
    return tuple(spots)


def _somewhere(eye: _Eye, rng: np.random.Generator) -> tuple[float, float]:
    """A place on the retina, off the optic disc."""
    while True:
        angle, away = rng.uniform(0, 2 * math.pi), 0.82 * math.sqrt(rng.random())
        x, y = away * math.cos(angle), away * math.sin(angle)
        if math.hypot(x - eye.disc[0], y - eye.disc[1]) > 1.5 * eye.disc_radius:
            return x, y


def _microaneurysm(
    canvas: _Canvas, rng: np.random.Generator, _eye: _Eye, x: float, y: float
) -> float:
    radius = float(rng.uniform(0.012, 0.019))
    canvas.disc("blood", x, y, radius, int(rng.integers(190, 250)))
    return radius


def _haemorrhage(
    canvas: _Canvas, rng: np.random.Generator, eye: _Eye, x: float, y: float
) -> float:
    """A blot, or a flame along the nerve fibres, which point to the disc."""
    radius = float(rng.uniform(0.028, 0.060))
    flame = rng.random() < 0.35  # noqa: PLR2004
    stretch = rng.uniform(1.6, 2.4) if flame else rng.uniform(1.0, 1.35)
    angle = math.atan2(eye.disc[1] - y, eye.disc[0] - x) if flame else rng.uniform(0, math.pi)
    outline = _outline(rng, x, y, radius, stretch, angle, rough=0.22)
    canvas.blot("blood", outline, int(rng.integers(200, 255)))
    return radius * stretch


def _exudates(canvas: _Canvas, rng: np.random.Generator, _eye: _Eye, x: float, y: float) -> float:
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


def _cotton_wool(
    canvas: _Canvas, rng: np.random.Generator, eye: _Eye, x: float, y: float
) -> float:
    radius = float(rng.uniform(0.045, 0.080))
    angle = math.atan2(eye.disc[1] - y, eye.disc[0] - x) + math.pi / 2
    outline = _outline(rng, x, y, radius, rng.uniform(1.1, 1.5), angle, rough=0.15)
    canvas.blot("cotton", outline, int(rng.integers(170, 225)))
    return radius


def _new_vessels(
    canvas: _Canvas, rng: np.random.Generator, eye: _Eye, x: float, y: float
) -> float:
    """A tangle of fine loops, often on a veil of scar tissue."""
    on_disc = (x, y) == eye.disc
    radius = float(rng.uniform(0.17, 0.26) if on_disc else rng.uniform(0.11, 0.19))
    if rng.random() < 0.5:  # noqa: PLR2004
        veil = _outline(rng, x, y, radius * 0.8, rng.uniform(1.0, 1.6), rng.uniform(0, 3), rough=0.3)
        canvas.blot("fibrous", veil, int(rng.integers(60, 130)))
    for _ in range(int(rng.integers(9, 16))):
        along = np.linspace(0, 1, 14)
        angle = rng.uniform(0, 2 * math.pi) + along * rng.uniform(-3.5, 3.5)
        away = radius * along * rng.uniform(0.6, 1.0)
        jitter = rng.normal(0, radius * 0.06, (2, 14))
        xs, ys = x + away * np.cos(angle) + jitter[0], y + away * np.sin(angle) + jitter[1]
        canvas.line("tuft", list(zip(xs.tolist(), ys.tolist(), strict=True)), 0.009, 215)
    return radius


def _bleeding(canvas: _Canvas, rng: np.random.Generator, eye: _Eye) -> Spot:
    """Blood in front of the retina: it sinks, so its upper edge is level, like a boat's."""
    x, y = _somewhere(eye, rng)
    radius = float(rng.uniform(0.13, 0.24))
    half = np.linspace(0, math.pi, 24)
    rough = 1 + rng.normal(0, 0.03, 24)
    outline = np.stack([x + radius * np.cos(half) * rough, y + 0.6 * radius * np.sin(half) * rough], 1)
    canvas.blot("blood", outline, int(rng.integers(200, 250)))
    return Spot(kind=Lesion.HAEMORRHAGE, x=x, y=y + 0.3 * radius, radius=radius)


def _outline(
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
    around = np.linspace(0, 2 * math.pi, 18, endpoint=False)
    edge = radius * (1 + rough * rng.uniform(-1, 1, around.size))
    long, short = edge * stretch * np.cos(around), edge * np.sin(around)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.stack([x + long * cos - short * sin, y + long * sin + short * cos], axis=1)


def _camera(
    image: type_float, eye: _Eye, rng: np.random.Generator, canvas: _Canvas
) -> NDArray[np.uint8]:
    """Uneven light, vignetting, the round field of view, focus, exposure and sensor noise."""
    tilt = rng.uniform(0, 2 * math.pi)
    slope = rng.uniform(0, 0.14)
    light = 1 + slope * (canvas.x * math.cos(tilt) + canvas.y * math.sin(tilt))
    away = np.sqrt(canvas.x**2 + canvas.y**2) / np.float32(eye.rim)
    light = light * (1 - rng.uniform(0.18, 0.34) * away**2.4) * rng.uniform(0.88, 1.12)
    edge = _smooth_step(1.0, 0.985, away)
    image = image * (light * edge)[..., None]
    noise = rng.standard_normal((canvas.size, canvas.size), np.float32) * rng.uniform(1.0, 3.0)
    image = image + (noise * edge)[..., None]
    return np.clip(image + 4, 0, 255).astype(np.uint8)


def _cloud(rng: np.random.Generator, size: int, cells: int) -> type_float:
    """Smooth noise of mean 0 and deviation about 1, ``cells`` grains across."""
    grains = Image.fromarray(rng.standard_normal((cells, cells), np.float32))
    return np.asarray(grains.resize((size, size), Image.Resampling.BICUBIC), np.float32)


def _smooth_step(low: float, high: float, at: NDArray[np.floating]) -> type_float:
    """0 at ``low``, 1 at ``high``, smooth between; ``low`` may be the larger."""
    t = np.clip((at - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)
