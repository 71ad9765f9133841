"""``summary.json``: what a run amounts to. Other tools read it, so it changes only with its schema.

Seconds, bytes and plain ratios throughout; every cell of a table, a plot or a sentence of the
report is one of these numbers.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum, unique
from pathlib import Path
from typing import Any, Final, Self

from lab.coldstart.catalogue import Catalogue
from lab.coldstart.record import Cell, Chunks
from lab.errors import UsageError
from lab.runfiles import parse, read_bytes
from lab.schema import Frozen, Versioned
from lab.spec import Phase, Platform, StartKind
from lab.start.boot import Boot
from lab.stats.ratios import Method, Ratio, RatioVerdict

SUMMARY_FILE: Final = "summary.json"

LADDER_NAMES: Final = ("p50", "p75", "p90", "p95", "p99")

Pair = tuple[float, float]


class Spread(Frozen):
    """A measured quantity. A quantile that n does not support is None, and so is its interval."""

    p50: float | None = None
    p50_ci95: Pair | None = None
    """None for fewer than six samples: see ``range_coverage``."""
    p75: float | None = None
    p75_ci95: Pair | None = None
    p90: float | None = None
    p90_ci95: Pair | None = None
    p95: float | None = None
    p95_ci95: Pair | None = None
    p99: float | None = None
    p99_ci95: Pair | None = None
    min: float | None = None
    max: float | None = None
    range_coverage: float | None = None
    """With what probability smallest to largest holds the true median; None below one half."""
    relative_spread: float | None = None
    """MAD / 0.6745 / median: a coefficient of variation that outliers do not inflate."""


class Row(Cell):
    """A cell of the run, whose trials were repeats of each other. Warm-up is only counted."""

    n: int
    """Trials that succeeded and are not warm-up: all figures are theirs."""
    failures: int
    skipped: int
    warm_up: int
    total_s: Spread
    second_prediction_s: Spread
    phases_s: Mapping[Phase, float]
    """Median of each phase. Their sum is near ``total_s.p50``, not equal to it."""
    phases_ci95: Mapping[Phase, Pair | None]
    peak_memory_bytes: int | None
    """The largest of all trials."""
    throttled_s: float | None
    """Median, summed over CPUs as the kernel counts it."""
    cpu_s: float | None
    outliers: Sequence[int]
    """Numbers of the trials whose total is far out; they are part of all figures."""
    probe_interval_s: float | None
    image_compressed_bytes: int | None
    image_unpacked_bytes: int | None
    chunks: Chunks | None = None
    """Of on-demand starts: what the median one fetched, and waited for, by phase."""
    image_read_bytes: int | None = None
    """All that it fetched, in whole chunks: of the unpacked bytes, not of the compressed."""
    chunk_wait_s: float | None = None
    """All that it waited for them."""
    emulated: bool
    """Under QEMU: such seconds stand in the table of emulated rows and nowhere else."""
    reference: bool = False
    """Measured to compare with: the floor, and the lab's variants beside a user's image. No finding
    is about it."""
    disturbed: int = 0
    """How many of the ``n`` trials ran while others took much of the machine."""
    boot: Boot | None = None
    """What was seen of a container that tells nothing of itself, in the trial whose ``boot`` is
    nearest to the median."""

    @property
    def busy(self) -> bool:
        """Whether most of its trials were disturbed: what rests on time is then not judged."""
        return 2 * self.disturbed > self.n

    @property
    def timed(self) -> bool:
        """Whether its seconds say something of the image."""
        return not self.emulated and not self.busy

    @property
    def cell(self) -> Cell:
        """What its trials had in common."""
        return Cell(**{name: getattr(self, name) for name in Cell.model_fields})

    @property
    def group(self) -> tuple[str, Platform, str]:
        """Model, platform and tier."""
        return self.model, self.platform, self.tier


@unique
class Against(StrEnum):
    """Why two rows are compared."""

    BASELINE = "baseline"
    """``baseline`` over a variant: what packaging is worth."""
    FLOOR = "floor"
    """A variant over the floor: what is left to gain."""
    REFERENCE = "reference"
    """A user's image over a variant of the lab's that was measured beside it."""
    SMALLEST = "smallest"
    """A variant (the baseline aside, see above) over the one with the smallest image."""
    BYTES = "bytes"
    """Image bytes, which are exact: no interval."""
    TIER = "tier"
    """Less memory over more memory, all else equal."""
    PLATFORM = "platform"
    """Bytes of a variant's arm64 image over its amd64 image: exact, emulated or not."""


@unique
class Quantity(StrEnum):
    """What a comparison divides."""

    TOTAL = "total_s"
    COMPRESSED = "image_compressed_bytes"
    UNPACKED = "image_unpacked_bytes"


class RatioFigures(Frozen):
    """What is known of a ratio."""

    ratio: float
    ci95: Pair | None = None
    """None for exact quantities and when the samples are too few for 95 %."""
    interval: Pair | None = None
    coverage: float | None = None
    """What ``interval`` reaches at least: 0.95, or less with few samples."""
    method: Method
    verdict: RatioVerdict

    @property
    def shown(self) -> bool:
        """Whether there is a ratio to speak of: no sentence has one where no difference shows."""
        return self.verdict in (RatioVerdict.DIFFERENT, RatioVerdict.LIKELY)


def ratio_fields(found: Ratio) -> dict[str, Any]:
    """The same, of samples."""
    held = found.interval
    pair = (held.low, held.high) if held else None
    return {
        "ratio": found.value,
        "ci95": pair if held and held.confident else None,
        "interval": pair,
        "coverage": held.coverage if held else None,
        "method": found.method,
        "verdict": found.verdict,
    }


class Comparison(RatioFigures):
    """A ratio of two medians (or of two image sizes) within the run."""

    against: Against
    quantity: Quantity
    numerator: str
    """The variant above the line (for ``tier`` the tier, for ``platform`` the platform)."""
    denominator: str
    variant: str | None = None
    """For ``tier`` and ``platform``: whose."""
    model: str | None = None
    """The numerator's."""
    denominator_model: str | None = None
    """Another one only beside a user's own image."""
    platform: Platform
    tier: str | None = None
    start_kind: StartKind | None = None

    def turned(self) -> Self:
        """The same with the denominator above the line."""

        def over(pair: Pair | None) -> Pair | None:
            return None if pair is None else (1 / pair[1], 1 / pair[0])

        return self.model_copy(
            update={
                "ratio": 1 / self.ratio,
                "ci95": over(self.ci95),
                "interval": over(self.interval),
                "numerator": self.denominator,
                "denominator": self.numerator,
                "model": self.denominator_model,
                "denominator_model": self.model,
            }
        )


@unique
class Severity(StrEnum):
    """How much a finding matters."""

    SERIOUS = "serious"
    WARNING = "warning"
    HINT = "hint"


@unique
class FindingKind(StrEnum):
    """What a finding is about."""

    FAILURES = "failures"
    PULL_DOMINATES = "pull_dominates"
    CHUNKS_DOMINATE = "chunks_dominate"
    UNREAD = "unread"
    IMPORTS_DOMINATE = "imports_dominate"
    MODEL_LOAD_DOMINATES = "model_load_dominates"
    BOOT_OPAQUE = "boot_opaque"
    THROTTLED = "throttled"
    LAZY_MODEL = "lazy_model"
    SLOW_FIRST_REQUEST = "slow_first_request"
    BYTES_AND_TIME = "bytes_and_time"
    INT8_NOT_FASTER = "int8_not_faster"
    FLOOR_SHARE = "floor_share"
    MEMORY = "memory"
    CPU_CAPPED = "cpu_capped"
    DRIFT = "drift"
    OUTLIERS = "outliers"
    NOISE = "noise"
    FEW_SAMPLES = "few_samples"
    BUSY = "busy"
    CLOCK = "clock"
    PROBE = "probe"
    EMULATED = "emulated"
    SKIPPED = "skipped"
    NO_CONTAINER = "no_container"
    INCOMPLETE = "incomplete"


class Finding(Frozen):
    """A doubt or an opportunity, with what to do about it."""

    kind: FindingKind
    severity: Severity
    title: str
    seen: str
    why: str
    remedy: str
    stake_s: float | None = None
    """Seconds of a start that it is about; None when it is not about seconds."""
    cells: Sequence[str] = ()


@unique
class Reached(StrEnum):
    """What became of a figure to reach."""

    YES = "reached"
    NO = "not reached"
    UNMEASURED = "not measured in this run"


class Goal(Frozen):
    """A figure to reach, and what this run measured."""

    id: str
    what: str
    goal: str
    aim: str | None
    value: float | None
    ci95: Pair | None
    unit: str
    """``x`` for a ratio, ``B`` for bytes."""
    reached: Reached
    published: str | None
    """The published study's figure, as it is quoted."""


class Headline(Frozen):
    """The one-sentence answer, and what it rests on."""

    text: str
    detail: str


class RunFacts(Frozen):
    """Enough of ``run.json`` to name the run."""

    id: str
    started_at: str
    plan: str
    seed: int
    git_commit: str | None
    engine: str
    container: bool
    """False for plain processes: every table and plot says *no container*."""
    planned: int
    recorded: int


class Summary(Versioned):
    """``summary.json``, whole."""

    run: RunFacts
    headline: Headline
    rows: Sequence[Row]
    comparisons: Sequence[Comparison]
    targets: Sequence[Goal]
    findings: Sequence[Finding]
    catalogues: Sequence[Catalogue] = ()
    """Of models that were measured in at least three sizes."""


def read_summary(folder: Path) -> Summary:
    """A run's summary. Raises ``UsageError`` when there is none or it is of another schema."""
    path = folder / SUMMARY_FILE
    try:
        return parse(Summary, read_bytes(path), of=path)
    except UsageError as error:
        raise UsageError(error.what, remedy=f"Make it: lab report {folder.name}") from error
