"""What a model's folder is asked for, and what it gives."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


def say(text: str) -> None:
    """One line of progress, at once."""
    print(text, flush=True)


@dataclass(frozen=True, kw_only=True)
class BuildOrder:
    """What to build."""

    name: str
    base: str
    """The model that builds it: the same name, unless this is a size of it."""
    size: int | None = None
    """How large, for a model that comes in sizes: see ``no_size``."""
    out: Path
    """The folder that gets ``model.onnx``, ``saved_model/`` if there is one, and the samples."""
    data: Path | None
    """A data set of the user's."""
    train: str
    """``none``: from the weights in the repository; ``head`` or ``all``: train them again."""


def no_size(order: BuildOrder) -> None:
    """End the build of a size of a model that has none."""
    if order.size is not None:
        sys.exit(f"{order.base} comes in one size: there is no {order.name}.")


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Request bodies in ``BuildOrder.out``, whose names end in what they are."""

    payload: str
    """One file: what a real client sends."""
    held_out: str
    """A folder of inputs that the model has not learnt from: traffic without drift. In the order of
    their names, a few of them are like all."""
    shifted: str | None = None
    """A folder of inputs unlike those."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """By how much two platforms, or two runtimes, may differ in answer to the same input."""

    label: str
    """What a JSON prediction calls what must be the same, like ``label``."""
    scores: str
    """What it calls the numbers that may differ a little, like ``probabilities``."""
    max_abs_difference: float
    least_agreement: float = 0.99
    """The share of inputs, 0 to 1, whose label must be the same: one right between two may tip."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build left, besides its files."""

    task: str
    """``image-classification``, or the name of what the folder's own ``task.py`` does."""
    inputs: tuple[Mapping[str, Any], ...]
    """Name, dtype and shape of each, and whatever a reader of the card may want to know."""
    outputs: tuple[Mapping[str, Any], ...]
    samples: Samples
    tolerance: Tolerance
    labels: tuple[str, ...] = ()
    card: Mapping[str, Any]
    """What else the card says: ``training``, ``parameters``."""
    judge: Callable[[Sequence[NDArray[Any]]], Mapping[str, Any]] = lambda _: {}
    """The card's ``metrics``, of each output for all held-out inputs in the order of their names.
    Ends the build when the model is worth nothing."""
    described: Mapping[str, Any] = field(default_factory=dict)
    """What else ``model.json`` says, for the model's own task."""
    weights_sha256: str = ""
