"""What a comparison leaves behind: ``parity.json``. It changes only with its schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field

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


class InputResult(Frozen):
    """What both sides said of one input."""

    name: str
    max_abs_difference: float
    """The largest difference of a score."""
    reference_label: str
    compared_label: str


class ParityComparison(Frozen):
    """One variant, the engine's own platform against another."""

    variant: str
    archive: str
    """Which archive of the model both were given: the runtime's name."""
    archive_sha256: str
    reference: Side
    compared: Side
    inputs: tuple[InputResult, ...]
    max_abs_difference: float
    """Over all inputs."""
    worst: str
    """The input with this difference."""
    agreement: float
    """The share of inputs that both gave the same label, 0 to 1."""
    spread: float
    """By how much the reference's own answers differ from input to input, at most. Near 0 the
    model says the same of everything, and agreement proves nothing."""
    passed: bool


class Bounds(Frozen):
    """Beyond these, a comparison has failed."""

    max_abs_difference: float
    least_agreement: float


class Parity(Versioned):
    """A run of ``lab images parity``."""

    schema_version: int = Field(default=2, alias="schema")
    id: str
    created_at: str
    """UTC, ISO 8601."""
    model: str
    bounds: Bounds
    """The model's own: its card's ``tolerance``."""
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
