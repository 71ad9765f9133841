"""Which pictures both platforms are sent."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Final

from lab.artifacts import store
from lab.errors import UsageError
from lab.runfiles import read_bytes

COUNT: Final = 200
_TYPES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
_GRADE: Final = re.compile(r"-grade-(\d+)$")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A request's body."""

    name: str
    content_type: str
    body: bytes


def choose(model: str, count: int, given: Sequence[Path] = ()) -> Sequence[Picture]:
    """``count`` pictures that the model was tested on, one grade after the other; the one of a
    camera's size, which the server has to decode from JPEG and make smaller; those ``given``.

    Raises ``UsageError`` when there are not so many, or one given is no JPEG or PNG file.
    """
    given_pictures = [_picture(path) for path in given]
    held_out = store.pictures(model)
    if count > len(held_out):
        raise UsageError(
            f"{model} has {len(held_out)} pictures, not {count}.",
            remedy=f"Ask for --count {len(held_out)} at most; --payload sends further ones.",
        )
    return [
        *(_picture(path) for path in mixed(held_out)[:count]),
        _picture(store.payload(model).path),
        *given_pictures,
    ]


def mixed(paths: Sequence[Path]) -> Sequence[Path]:
    """Grades by turns, so that a few of them hold every grade."""
    by_grade: dict[str, list[Path]] = {}
    for path in paths:
        found = _GRADE.search(path.stem)
        by_grade.setdefault(found[1] if found else "", []).append(path)
    turns = zip_longest(*(by_grade[grade] for grade in sorted(by_grade)))
    return [path for path in chain.from_iterable(turns) if path is not None]


def _picture(path: Path) -> Picture:
    kind = _TYPES.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path} is no picture.", remedy="Send files named .jpg, .jpeg or .png.")
    body = read_bytes(path, remedy="Name a file that is there.")
    return Picture(name=path.name, content_type=kind, body=body)
