"""What a comparison leaves behind: ``parity.json``. It changes only with its schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lab.runfiles import parse, read_bytes, write_whole
from lab.schema import Frozen, Versioned
from lab.spec import Platform

FILE: Final = "parity.json"


class Side(Frozen):
    """An image whose answers were compared."""

    platform: Platform
    image: str
    image_id: str
    emulated: bool


class PictureResult(Frozen):
    """What both sides said of one picture."""

    name: str
    max_abs_difference: float
    """The largest difference of a label's probability."""
    reference_grade: int
    compared_grade: int


class ParityComparison(Frozen):
    """One variant, the engine's own platform against another."""

    variant: str
    archive: str
    """Which archive of the model both were given: the runtime's name."""
    archive_sha256: str
    reference: Side
    compared: Side
    pictures: tuple[PictureResult, ...]
    max_abs_difference: float
    """Over all pictures."""
    worst: str
    """The picture with this difference."""
    agreement: float
    """The share of pictures that both gave the same grade, 0 to 1."""
    spread: float
    """By how much the reference's own answers differ from picture to picture, at most. Near 0 the
    model says the same of everything, and agreement proves nothing."""
    passed: bool


class Bounds(Frozen):
    """Beyond these, a comparison has failed."""

    max_abs_difference: float
    least_agreement: float


class Parity(Versioned):
    """A run of ``lab images parity``."""

    id: str
    created_at: str
    """UTC, ISO 8601."""
    model: str
    bounds: Bounds
    host: Mapping[str, Any]
    engine: Mapping[str, Any]
    comparisons: tuple[ParityComparison, ...] = ()
    """Those that were finished, in the order in which they were made."""


def save(parity: Parity, folder: Path) -> Path:
    """Write ``parity.json`` in one step; its path. Raises ``DiskFullError``, ``UsageError``."""
    return write_whole(folder / FILE, parity.to_json())


def load(folder: Path) -> Parity:
    """Read ``parity.json`` of a run folder. Raises ``UsageError`` when it is not this version's."""
    path = folder / FILE
    return parse(Parity, read_bytes(path), of=path)
