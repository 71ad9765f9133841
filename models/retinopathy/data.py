"""Pictures to learn from: drawn by the project, or those of the APTOS 2019 competition."""

import csv
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from models.retinopathy.fundus import GRADES, SIZE, Drawing, draw
from models.retinopathy.lesions import Lesion

CELL: Final = 32
CALIBRATING: Final = 40
"""The eyes, of those to learn from, on which random weights are scaled."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Images uint8 RGB [n, 224, 224, 3], their grades [n], and where lesions are, if known.

    ``cells`` [n, 7, 7, 2, 5]: for each cell of 32x32 pixels, 1 if a kind of lesion touches it,
    and how much of such lesions it holds (a lesion counts 1, shared among the cells it touches).
    """

    images: NDArray[np.uint8]
    grades: NDArray[np.int64]
    cells: NDArray[np.float32] | None


def grades_drawn(count: int) -> NDArray[np.int64]:
    """The grades of the first ``count`` eyes that can be drawn: as many of each."""
    return np.arange(count) % GRADES


def drawn(which: Sequence[int], *, first_seed: int) -> Pictures:
    """Draw the eyes of these numbers; each depends on nothing but its number and the seed."""
    jobs = [(int(index) % GRADES, first_seed + int(index)) for index in which]
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        drawings = pool.starmap(draw, jobs, chunksize=8)
    return Pictures(
        images=np.stack([drawing.image for drawing in drawings]),
        grades=np.array([drawing.grade for drawing in drawings]),
        cells=np.stack([lesion_cells(drawing) for drawing in drawings]),
    )


def lesion_cells(drawing: Drawing) -> NDArray[np.float32]:
    """Which kinds of lesion touch which cell, and how much of them, [7, 7, 2, 5]."""
    count = drawing.image.shape[0] // CELL
    edges = np.linspace(-1, 1, count + 1)
    cells = np.zeros((count, count, 2, len(Lesion)), np.float32)
    for spot in drawing.spots:
        reach = 0.7 * spot.radius
        across = (edges[:-1] < spot.x + reach) & (edges[1:] > spot.x - reach)
        down = (edges[:-1] < spot.y + reach) & (edges[1:] > spot.y - reach)
        touched = np.outer(down, across)
        cells[touched, 0, spot.kind] = 1
        cells[touched, 1, spot.kind] += 1 / max(1, int(touched.sum()))
    return cells


def aptos(folder: Path) -> Pictures:
    """The competition's training set: ``train.csv`` (id_code, diagnosis) and images by id."""
    with (folder / "train.csv").open(newline="") as file:
        rows = [(row["id_code"], int(row["diagnosis"])) for row in csv.DictReader(file)]
    files = {path.stem: path for path in sorted(folder.rglob("*")) if path.suffix in _SUFFIXES}
    missing = [name for name, _ in rows if name not in files]
    if not rows or missing:
        what = f"{len(missing)} of {len(rows)} images of train.csv are not below {folder}"
        raise FileNotFoundError(f"{what}, first: {missing[:3]}")
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        images = pool.map(prepare, [files[name] for name, _ in rows], chunksize=16)
    grades = np.array([grade for _, grade in rows])
    return Pictures(images=np.stack(images), grades=grades, cells=None)


_SUFFIXES: Final = {".png", ".jpg", ".jpeg"}


def prepare(path: Path) -> NDArray[np.uint8]:
    """224x224 pixels, Gaussian-filtered as in the study.

    The published 224x224 set is filtered already; a photograph is cropped to the retina, made
    small and filtered here: four times its difference from its own blur, around grey.
    """
    with Image.open(path) as file:
        picture = file.convert("RGB")
    if picture.size == (SIZE, SIZE):
        return np.asarray(picture)
    bright = picture.convert("L").point(lambda value: 255 if value > 12 else 0)
    picture = picture.crop(bright.getbbox()).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    sharp = np.asarray(picture, np.float32)
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(SIZE / 30)), np.float32)
    filtered: NDArray[np.uint8] = np.clip(4 * sharp - 4 * blurred + 128, 0, 255).astype(np.uint8)
    return filtered


def split(
    grades: NDArray[np.int64], held_out: float, seed: int
) -> tuple[Sequence[int], Sequence[int]]:
    """The numbers of two parts, the second with this share of every grade."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(grades))
    kept: list[int] = []
    out: list[int] = []
    for grade in range(GRADES):
        of_grade = order[grades[order] == grade]
        cut = round(held_out * len(of_grade))
        out += of_grade[:cut].tolist()
        kept += of_grade[cut:].tolist()
    return sorted(kept), sorted(out)


def take(pictures: Pictures, which: Sequence[int]) -> Pictures:
    """The pictures of these numbers."""
    return Pictures(
        images=pictures.images[which],
        grades=pictures.grades[which],
        cells=None if pictures.cells is None else pictures.cells[which],
    )
