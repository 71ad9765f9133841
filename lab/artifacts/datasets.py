"""Which data sets of a user's a model can learn from: its folder's ``data.json`` says by which file
each is known.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lab import paths
from lab.artifacts import store
from lab.errors import UsageError

_FILE: Final = "data.json"


def check(models: Sequence[str], data: Path) -> None:
    """Raise ``UsageError`` for a model that cannot learn from what lies in ``data``."""
    for model in models:
        if not learns_from(model, data):
            sets = [f"{file} ({name})" for file, name in _sets(model).items()]
            raise UsageError(
                f"{model} cannot learn from {data}: "
                + (f"it holds no {' or '.join(sets)}." if sets else "it takes no data set."),
                remedy="Give a folder with one of these, or name the models that are to learn.",
            )


def learns_from(model: str, data: Path) -> bool:
    """Whether ``data`` holds a data set that the model takes."""
    return any((data / file).is_file() for file in _sets(model))


def _sets(model: str) -> Mapping[str, str]:
    base, size = store.base(model)
    file = paths.MODELS / base.replace("-", "_") / _FILE
    if size is not None or not file.is_file():
        return {}
    sets: Mapping[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return sets
