"""What a load sends: files, folders of files, and how often each."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lab.contenttype import content_type_of
from lab.errors import UsageError
from lab.loadtest.targets.api import LoadPayload
from lab.runfiles import read_bytes

WEIGHTS: Final = "weights.csv"
"""In a folder of payloads: ``name,weight`` a line. What it does not name weighs 1."""
PAYLOAD_HELP: Final = (
    f"What to send: FILE, FILE:WEIGHT, or a folder of files ({WEIGHTS} in it says how often each); "
    "repeatable. Without it what clients of the lab's model send."
)


def read_payloads(given: Sequence[str], content_type: str | None = None) -> Sequence[LoadPayload]:
    """All that were named. Raises ``UsageError`` for a file that cannot be read, whose type cannot
    be told, or a weight that is none.
    """
    return [one for text in given for one in _of(text, content_type)]


def _of(text: str, content_type: str | None) -> Sequence[LoadPayload]:
    name, colon, said = text.rpartition(":")
    path, weight = Path(text), 1.0
    if colon and not path.exists():
        path, weight = Path(name), _weight(said, text)
    if not path.is_dir():
        return [_file(path, content_type, weight)]
    if weight != 1.0:
        raise UsageError(
            f"{path} is a folder, which has no weight of its own.",
            remedy=f"Write {WEIGHTS} in it: a line NAME,WEIGHT for each file.",
        )
    files = sorted(
        one
        for one in path.iterdir()
        if one.is_file() and not one.name.startswith(".") and one.name != WEIGHTS
    )
    if not files:
        raise UsageError(f"There is no file in {path}.", remedy="Correct --payload.")
    weights = _weights(path / WEIGHTS, [one.name for one in files])
    return [_file(one, content_type, weights.get(one.name, 1.0)) for one in files]


def _file(path: Path, content_type: str | None, weight: float) -> LoadPayload:
    body = read_bytes(path, remedy="Correct --payload.")
    kind = content_type_of(path, content_type)
    return LoadPayload(name=path.name, body=body, content_type=kind, weight=weight)


def _weights(path: Path, names: Sequence[str]) -> Mapping[str, float]:
    if not path.exists():
        return {}
    found: dict[str, float] = {}
    lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    for number, row in enumerate(csv.reader(lines), start=1):
        where = f"{path}, line {number}"
        if not row or row == ["name", "weight"]:
            continue
        if len(row) != 2:
            raise UsageError(
                f"{where}: {','.join(row)!r} is not NAME,WEIGHT.", remedy="Correct it."
            )
        if row[0] not in names:
            raise UsageError(f"{where}: there is no file {row[0]}.", remedy="Correct it.")
        found[row[0]] = _weight(row[1], where)
    return found


def _weight(said: str, where: str) -> float:
    try:
        weight = float(said)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise UsageError(
            f"{where}: {said!r} is no weight, or there is no such file.",
            remedy="Write a number above 0.",
        )
    return weight
