"""What a model's pictures and answers are usually like, for telling when others come.

Stored in ``model.json``; the inference service counts what comes in the same bins. The features are
computed by the service's own code, so that no difference between two programs looks like drift.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.reference import share
from app.seen import light

SCHEMA: Final = 1
PARTS: Final = 5
"""Bins of equal share. Ten are usual for credit scores by the thousand; of few images each bin then
holds so few that chance alone looks like drift: see ``services/prometheus/rules/drift.yml``."""
DIGITS: Final = 4
PIXELS: Final = tuple(4**power for power in range(7, 12))
"""Edges for the size as sent, from 128 x 128 to 2048 x 2048: pictures of one size have no parts."""


def reference(images: NDArray[np.uint8], answers: NDArray[np.float32]) -> Mapping[str, Any]:
    """Of pictures [n, height, width, 3] that the model has not learnt from, and its answers."""
    height, width = images.shape[1:3]
    lights = [light(image.tobytes(), width, height) for image in images]
    brightness, contrast = ([float(x) for x in column] for column in zip(*lights, strict=True))
    confidences = [float(top) for top in answers.max(axis=1)]
    features: dict[str, tuple[Sequence[float], Sequence[float]]] = {
        "grade": (range(1, answers.shape[1]), answers.argmax(axis=1).tolist()),
        "confidence": (edges(confidences), confidences),
        "brightness": (edges(brightness), brightness),
        "contrast": (edges(contrast), contrast),
        "pixels": (PIXELS, [width * height] * len(images)),
    }
    return {
        "schema": SCHEMA,
        "images": len(images),
        "features": {
            name: {"edges": list(cuts), "share": share(cuts, values)}
            for name, (cuts, values) in features.items()
        },
    }


def edges(values: Sequence[float]) -> Sequence[float]:
    """Where to cut into parts of equal share; fewer parts where many values are the same.

    Rounded: the last digits of an answer depend on the machine, and the edges name the bins.
    """
    cuts = np.quantile(values, np.linspace(0, 1, PARTS + 1)[1:-1])
    return sorted({float(f"{cut:.{DIGITS}g}") for cut in cuts})
