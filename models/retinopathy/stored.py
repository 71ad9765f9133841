"""Weights in the repository: what was learnt, in half the bytes, so that nobody has to wait for it.

A file holds the head's weights, and the backbone's unless that is the seeded random one, which
:func:`models.retinopathy.network.calibrate` makes again in seconds.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

_LOST: Final = np.uint32((1 << 13) - 1)
"""The bits of a float32's fraction that a float16's has no room for."""
_TRAINING: Final = "training"

Parts = Mapping[str, "keras.Model"]
"""``head``, and ``backbone``."""


def save(parts: Parts, training: Mapping[str, Any], file: Path) -> None:
    """Write the weights and what the card shall say of their training; the same bytes every time.

    ``parts`` are those that cannot be made again. Kernels are cut off to float16; biases and the
    statistics of batch normalisation, which are few and may be tiny, stay float32.
    """
    arrays: dict[str, Any] = {
        f"{name}_{at:03d}": _cut(weight.numpy())
        for name, model in parts.items()
        for at, weight in enumerate(model.weights)
    }
    arrays[_TRAINING] = np.array(json.dumps(training))
    np.savez(file, allow_pickle=False, **arrays)


def load(models: Parts, file: Path, *, seed: int) -> Mapping[str, Any]:
    """Give the models what the file holds of them; what the card shall say of the training.

    What was cut off is filled from ``seed``: the model is as good, and its archive weighs what any
    float32 model's does, where zeros would pack to half. Raises ``ValueError`` for a file of
    another architecture.
    """
    rng = np.random.default_rng(seed)
    with np.load(file) as stored:
        for name, model in models.items():
            held = sorted(key for key in stored.files if key.startswith(f"{name}_"))
            if held and len(held) != len(model.weights):
                message = (
                    f"{file.name} has {len(held)} weights of the {name}, not {len(model.weights)}"
                )
                raise ValueError(message)
            for weight, key in zip(model.weights, held, strict=False):
                weight.assign(_filled(stored[key], rng))
        training: Mapping[str, Any] = json.loads(str(stored[_TRAINING]))
    return training


def holds_backbone(file: Path) -> bool:
    """Whether the backbone is stored, too."""
    with np.load(file) as stored:
        return any(key.startswith("backbone_") for key in stored.files)


def _cut(weight: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    if weight.ndim == 1:
        return weight
    return (weight.view(np.uint32) & ~_LOST).view(np.float32).astype(np.float16)


def _filled(weight: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float32]:
    if weight.dtype != np.float16:
        return np.asarray(weight, np.float32)
    bits = weight.astype(np.float32).view(np.uint32)
    bits |= rng.integers(0, _LOST, bits.shape, np.uint32, endpoint=True)
    filled: NDArray[np.float32] = bits.view(np.float32)
    return filled
