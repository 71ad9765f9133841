"""Samples that are JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from models.common.built import Samples

_HELD_OUT: Final = "samples/held-out"


def write_json(folder: Path, held_out: Sequence[object]) -> Samples:
    """Leave a file for each body of ``held_out`` in a model's ``folder``; the first one is the
    payload, too.
    """
    (folder / _HELD_OUT).mkdir(parents=True)
    names = [f"{_HELD_OUT}/{at:04d}.json" for at in range(len(held_out))]
    for name, body in zip(names, held_out, strict=True):
        (folder / name).write_text(json.dumps(body) + "\n")
    return Samples(payload=names[0], held_out=_HELD_OUT)
