"""``advise.json``: what an image costs a start, package by package, and what to do about it."""

from collections.abc import Sequence
from typing import Final

from lab.advice.packages import PackageRow
from lab.advice.recording import Stage
from lab.advice.rules.model import Advice, StepPatch
from lab.schema import Frozen, Versioned
from lab.spec import Platform, StartKind

ADVICE_FILE: Final = "advise.json"


class MeasuredStart(Frozen):
    """One kind of start of the whole image."""

    kind: StartKind
    total_s: float | None
    """To the first prediction; None where it was not measured."""
    image_s: float
    """Of these the image's bytes: pulled and unpacked, or waited for on demand."""
    measured: bool
    """Else ``image_s`` is what the recorded chunks took, or the link alone would take."""
    note: str = ""
    """Why it was not measured."""


class CostRow(Frozen):
    """A package or a folder. Bytes and seconds."""

    manager: str
    """Empty: a folder, or what no container sees."""
    name: str
    largest: str
    layers: Sequence[int]
    files: int
    compressed_bytes: int
    unpacked_bytes: int
    read_bytes: int
    opened: Stage | None
    """When the run first opened a file of it; None: never."""
    import_s: float | None
    pull_s: float | None
    ondemand_s: float | None
    seconds: float
    """Of the kind of start that it costs most, imports included."""
    advice: Sequence[int]
    """Which advice is about it; counts from 1."""

    @classmethod
    def of(cls, row: PackageRow, advice: Sequence[int]) -> "CostRow":
        manager, name = row.package
        return cls(
            manager=manager,
            name=name,
            largest=row.largest,
            layers=tuple(row.layers),
            files=row.files,
            compressed_bytes=row.compressed,
            unpacked_bytes=row.size,
            read_bytes=row.read_bytes,
            opened=row.opened,
            import_s=row.import_s,
            pull_s=row.pull_s,
            ondemand_s=row.ondemand_s,
            seconds=row.seconds,
            advice=tuple(place + 1 for place in advice),
        )


class AdviceReport(Versioned):
    """``advise.json``, whole."""

    id: str
    created_at: str
    """UTC, ISO 8601."""
    lab_version: str
    image: str
    image_id: str
    platform: Platform
    emulated: bool
    payloads: Sequence[str]
    views: Sequence[str]
    bandwidth_bits_per_s: int
    chunk_latency_s: float
    compressed_bytes: int
    unpacked_bytes: int
    read_bytes: int
    """Fetched of it before the first prediction."""
    starts: Sequence[MeasuredStart]
    rows: Sequence[CostRow]
    """Those first that cost most seconds."""
    advice: Sequence[Advice]
    """That first which saves most."""
    steps: Sequence[StepPatch]
    """Each step with all changes to it, but for what is to be tried."""
    notes: Sequence[str]
    """What could not be seen or measured, in sentences."""
