"""What int8 must not lose, and what it must not be calibrated with. With NumPy alone."""

import sys
from collections.abc import Mapping
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.tasks.image_classification import light

MOST_LOSS: Final = 0.01
"""Of quadratic weighted kappa on the held-out eyes; more, and there is no model."""
ALIKE: Final = 0.1
"""By how much the mean light of calibration and held-out eyes may differ, 0 to 1."""
_SEEN: Final = 200
_Z: Final = 1.96


def agreement(same: int, count: int) -> Mapping[str, float]:
    """The share of equal grades, with Wilson's 95 % interval (Wilson 1927)."""
    share, weight = same / count, _Z * _Z / count
    middle = (share + weight / 2) / (1 + weight)
    half = _Z * sqrt(share * (1 - share) / count + weight / count / 4) / (1 + weight)
    return {
        "value": round(share, 4),
        "low": round(middle - half, 4),
        "high": round(min(1.0, middle + half), 4),
        "n": count,
    }


def gate(exact: float, quantised: float) -> None:
    """End the build of a model that lost more than ``MOST_LOSS`` of kappa."""
    if exact - quantised > MOST_LOSS:
        sys.exit(
            f"int8 is refused: kappa on held-out eyes is {quantised:.4f}, and {exact:.4f} before; "
            f"{MOST_LOSS} may be lost"
        )


def refuse_unlike(calibrating: NDArray[np.uint8], held_out: NDArray[np.uint8]) -> None:
    """End the build when the calibration's eyes were made another way than those that are graded:
    their scales would be those of other inputs.
    """
    means = []
    for pictures in (calibrating, held_out):
        seen = [light(one.tobytes(), one.shape[1], one.shape[0]) for one in pictures[:_SEEN]]
        means.append(np.mean(seen, axis=0))
    for name, mine, theirs in zip(("brightness", "contrast"), *means, strict=True):
        if abs(mine - theirs) > ALIKE:
            sys.exit(
                f"The {name} of the images to calibrate with is {mine:.2f} on average, that of "
                f"the held-out ones {theirs:.2f}: they were not prepared alike."
            )
