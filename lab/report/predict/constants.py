"""The constants of the model: what each means, and where it comes from."""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
"""A factor for each constant, in their order; its product with their values is seconds."""


@unique
class Constant(StrEnum):
    """What the fit finds. The first four make a cold start, the last three a warm request."""

    PLACING = "placing"
    CHUNK = "chunk"
    SPEED = "speed"
    LOADER = "loader"
    INFERENCE = "inference"
    HANDLING = "handling"
    NETWORK = "network"


MEANING: Final[Mapping[Constant, str]] = {
    Constant.PLACING: "finding a place for the container, and the way of a cold request",
    Constant.CHUNK: "for each chunk of 512 KiB that is read of the image",
    Constant.SPEED: "for each CPU second of a start here: interpreter, imports, server, archive",
    Constant.LOADER: "for each CPU second of loading the model here: the study's own program",
    Constant.INFERENCE: "for each CPU second of an inference here",
    Constant.HANDLING: "of a request inside the study's container, beside the inference",
    Constant.NETWORK: "the way of a warm request, there and back",
}
PER_SECOND: Final = (Constant.SPEED, Constant.LOADER, Constant.INFERENCE)
"""Seconds there for a second here; the others are seconds."""

OF_THE_STUDY: Final = (Constant.LOADER, Constant.HANDLING)
"""They belong to the study's program, not to AWS: no image of yours is predicted with them."""

_PLACES: Final[Mapping[Constant, int]] = {one: place for place, one in enumerate(Constant)}


def vector(factors: Mapping[Constant, float]) -> Vector:
    """The factors in order, 0 for what is not named."""
    return np.array([factors.get(one, 0.0) for one in Constant], dtype=np.float64)


def value(values: Vector, constant: Constant) -> float:
    """One of the values that a fit found."""
    return float(values[_PLACES[constant]])
