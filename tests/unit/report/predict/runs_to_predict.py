"""Runs of study-quick with known work: what a quiet machine showed, rounded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.coldstart.record import Chunks, Sample
from lab.report.summary import Results, summarise
from lab.spec import FLOOR, Mark, Phase, StartKind
from tests.unit.report import synthetic
from tests.unit.report.synthetic import Script

MOBILENET = "retinopathy-mobilenet"
VGG19 = "retinopathy-vgg19"
CHUNK = 524_288
SECOND = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Known:
    """CPU seconds and chunks of a start."""

    start: float
    load: float
    first: float
    later: float
    fetch: float
    chunks: int


KNOWN: Mapping[tuple[str, str], Known] = {
    ("slim", MOBILENET): Known(
        start=2.70, load=0.38, first=0.26, later=0.039, fetch=0.09, chunks=1300
    ),
    ("slim", VGG19): Known(start=2.70, load=0.17, first=0.55, later=0.42, fetch=0.56, chunks=1300),
    ("baseline", MOBILENET): Known(
        start=4.46, load=0.35, first=0.27, later=0.039, fetch=0.09, chunks=1900
    ),
    ("baseline", VGG19): Known(
        start=4.46, load=0.17, first=0.55, later=0.40, fetch=0.56, chunks=1900
    ),
    ("onnx-slim", MOBILENET): Known(
        start=0.20, load=0.05, first=0.02, later=0.010, fetch=0.09, chunks=110
    ),
}


def known(sample: Sample) -> Sample:
    """The sample with the work that is known of its variant; a quota makes its phases longer."""
    cell = sample.cell
    mine = KNOWN.get((cell.variant, cell.model))
    if mine is None:
        return sample
    slow = max(1.0, 1769 / int(cell.tier)) if cell.tier.isdecimal() else 1.0
    phases = {
        Phase.MODEL_FETCH: mine.fetch,
        Phase.CREATE: 0.02,
        Phase.START: 0.2,
        Phase.IMPORTS: mine.start * slow,
        Phase.MODEL_LOAD: (mine.load + mine.first) * slow,
        Phase.FIRST_PREDICTION: mine.later * slow,
    }
    chunks = Chunks(
        chunk_bytes=CHUNK,
        bandwidth_bits_per_s=1_000_000_000,
        latency_s=0.0005,
        image_bytes=10 * mine.chunks * CHUNK,
        fetched={Phase.IMPORTS: mine.chunks},
        waited_s={Phase.IMPORTS: mine.chunks * 0.0047},
    )
    return sample.model_copy(
        update={
            "phases_s": phases,
            "total_s": sum(phases.values()),
            "wall_s": sum(phases.values()),
            "marks": {
                Mark.MODEL_LOADED: SECOND,
                Mark.WARMED_UP: SECOND + round(mine.first * slow * SECOND),
            },
            "second_prediction_s": mine.later * slow,
            "cpu_seconds": mine.start + mine.load + mine.first + 2 * mine.later,
            "chunks": chunks if cell.start_kind is StartKind.ONDEMAND else None,
        }
    )


def quick(
    *,
    variants: tuple[str, ...] = ("slim", "baseline", FLOOR),
    models: tuple[str, ...] = (MOBILENET, VGG19),
    kinds: tuple[StartKind, ...] = (StartKind.FRESH, StartKind.ONDEMAND),
    tiers: tuple[str, ...] = ("1024", "2048", "3072"),
    edit: Callable[[Sample], Sample] = known,
    emulated: bool = False,
) -> Script:
    """A run of study-quick."""
    return Script(
        variants=variants,
        models=models,
        kinds=kinds,
        tiers=tiers,
        blocks=3,
        edit=edit,
        emulated=emulated,
        id="20261120T120501Z-study-quick",
    )


def measured(folder: Path, script: Script | None = None) -> Results:
    """The run, written and read again."""
    return summarise(synthetic.write(folder / "run", script or quick()))
