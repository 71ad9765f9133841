"""Pictures to send: those that a model was tested on, a camera's, and some that are unlike them."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.retinopathy import fundus
from models.retinopathy.data import Pictures

PHOTO_SIDE: Final = 1024
SHIFTED: Final = 12


def write(folder: Path, held_out: Pictures, *, seed: int) -> list[int]:
    """A picture of each grade, one the size that a camera takes, all held-out ones, shifted ones.

    Sent to the model, the held-out ones look like its reference: traffic without drift. Returned
    is in which order they lie there, by their places in ``held_out``.
    """
    for name in ("held-out", "shifted"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    order = by_turns(held_out.grades)
    for place, at in enumerate(order):
        # PNG: what JPEG loses, the model is less sure of, and that alone would look like drift.
        name = f"held-out/{place:04d}-grade-{held_out.grades[at]}.png"
        Image.fromarray(held_out.images[at]).save(folder / name)
    for place, at in enumerate(order[:SHIFTED]):
        shift = (dark, flat)[place % 2]
        name = f"shifted/{place:04d}-{shift.__name__}.png"
        Image.fromarray(shift(held_out.images[at])).save(folder / name)
    for grade in range(fundus.GRADES):
        index = int(np.flatnonzero(held_out.grades == grade)[0])
        Image.fromarray(held_out.images[index]).save(folder / f"grade-{grade}.png")
    photo = fundus.draw(2, seed - 1, PHOTO_SIDE)
    Image.fromarray(photo.image).save(folder / "photo-size.jpg", quality=90)
    return order


def by_turns(grades: NDArray[np.int64]) -> list[int]:
    """The places of ``grades``, one grade after the other, so that the first hold every grade."""
    turn = np.zeros(len(grades), np.int64)
    for grade in np.unique(grades):
        turn[grades == grade] = np.arange(np.count_nonzero(grades == grade))
    return [int(at) for at in np.lexsort((grades, turn))]


def dark(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As from a flash that hardly fired."""
    return (pixels * np.float32(0.35)).astype(np.uint8)


def flat(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As through a clouded lens: everything is drawn towards the mean."""
    mean = pixels.mean(dtype=np.float32)
    shifted: NDArray[np.uint8] = (mean + (pixels - mean) * np.float32(0.3)).astype(np.uint8)
    return shifted
