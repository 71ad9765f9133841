"""ImageNet's weights, where they can be had."""

import os
import urllib.request
from pathlib import Path
from typing import Final

import keras

from models.retinopathy.network import Architecture

ADDRESS: Final = "https://storage.googleapis.com/tensorflow/keras-applications"
"""Where keras.applications has them."""

_PATIENCE_S: Final = 8.0


def load_imagenet(backbone: keras.Model, architecture: Architecture, folder: Path) -> str:
    """Give the backbone ImageNet's weights; where they came from.

    From ``folder`` if a file of the right name lies there, else from the network. Raises
    ``OSError`` when they cannot be had.
    """
    file = folder / architecture.weights_file
    if file.is_file():
        backbone.load_weights(file)
        return "the data folder"
    kind = architecture.weights_file.partition("_")[0]
    fetched = Path(os.environ.get("TMPDIR", "/tmp")) / architecture.weights_file  # noqa: S108
    address = f"{ADDRESS}/{kind}/{architecture.weights_file}"
    with urllib.request.urlopen(address, timeout=_PATIENCE_S) as answer, fetched.open("wb") as out:  # noqa: S310
        while part := answer.read(1 << 20):
            out.write(part)
    backbone.load_weights(fetched)
    fetched.unlink()
    return "the network"
