"""``summary.json`` of a tuning: what is known of each size, and which to take."""

from collections.abc import Sequence
from enum import StrEnum, unique

from lab.load.statistics import Latencies
from lab.loadtest.record import Objective
from lab.schema import Frozen, Versioned
from lab.spec import Platform, StartKind
from lab.stats.ratios import Ratio, RatioVerdict
from lab.tune.record import TrafficRecord, TunedSize

Pair = tuple[float, float]


@unique
class SizeOutcome(StrEnum):
    """How an image gets on at a size."""

    SERVES = "serves"
    KILLED = "killed"
    """For want of memory."""
    FAILS = "fails"


@unique
class WarmSource(StrEnum):
    """Which containers' latencies count."""

    BOTH = "resized and new"
    NEW = "new"


class RatioFigure(Frozen):
    """A ratio and what it shows."""

    value: float
    interval: Pair | None
    coverage: float | None
    n: int
    """Pairs of blocks."""
    verdict: RatioVerdict

    @classmethod
    def of(cls, ratio: Ratio, n: int) -> "RatioFigure":
        held = ratio.interval
        return cls(
            value=ratio.value,
            interval=None if held is None else (held.low, held.high),
            coverage=None if held is None else held.coverage,
            n=n,
            verdict=ratio.verdict,
        )


class ColdFigures(Frozen):
    """Cold starts of one size: medians in seconds."""

    kind: StartKind
    n: int
    failed: int
    total_s: float
    """To the end of the first prediction."""
    total_ci95: Pair | None
    """None where the starts are too few."""
    first_prediction_s: float
    disturbed: int
    """Starts beside which others took much of the machine."""


class MemoryFigures(Frozen):
    """Bytes of a container after its warm block."""

    limit: int
    peak: int
    """Median of the kernel's peaks: with pages of files that it could drop."""
    used: int | None
    """The most, without those."""
    room: int
    """Limit less peak; less what is used where files' pages have filled the peak up."""


class MoneyFigures(Frozen):
    """Dollars. None where a price is missing or nothing was said of the traffic."""

    usd_per_million: float | None
    """Requests, cold ones among them as the traffic has them."""
    usd_per_day: float | None
    usd_per_month: float | None
    unbilled_usd_per_day: float | None = None
    """Serverless, if AWS did not bill a container's start; the figures above bill it."""
    cold_share: float | None = None
    """Of the requests; None for instances, and without traffic."""
    peak_containers: int | None = None
    """Serverless: at once, busy or idle."""
    instances: int | None = None
    missing: tuple[str, ...] = ()
    """Items without a price."""
    why_not: str = ""
    """Why there is no price, as a clause, where it is not the table's fault."""


class SizeResult(Frozen):
    """What is known of one size."""

    size: TunedSize
    outcome: SizeOutcome
    failure: str = ""
    """The last one, where it does not serve."""
    missed_by: int | None = None
    """Bytes that a killed one lacked: peak of the smallest size that lived, less the limit."""
    cold: ColdFigures | None = None
    warm: Latencies | None = None
    source: WarmSource | None = None
    source_why: str = ""
    resized: RatioFigure | None = None
    """Mean latency of resized over new containers."""
    memory: MemoryFigures | None = None
    throughput_per_s: float | None = None
    """Serverless: of a container, which takes one request at a time; else at the objective."""
    throughput_how: str = ""
    money: MoneyFigures | None = None
    keeps_objective: bool | None = None
    """None where there is none, or no figure to judge."""

    @property
    def name(self) -> str:
        return self.size.name

    @property
    def p95_s(self) -> float | None:
        """Warm."""
        found = None if self.warm is None else self.warm.at(0.95)
        return None if found is None else found.seconds

    def at(self, q: float) -> float | None:
        """A quantile of the warm latency; None where the requests were too few."""
        found = None if self.warm is None else self.warm.at(q)
        return None if found is None else found.seconds

    @property
    def cost(self) -> float | None:
        """What sizes are compared by: a day's price, or without traffic a million requests'."""
        if self.money is None:
            return None
        day = self.money.usd_per_day
        return self.money.usd_per_million if day is None else day


class StorageFigures(Frozen):
    """A month of what is kept, whatever the size."""

    usd_per_month: float | None
    image_bytes: int
    """Unpacked: ECR counts compressed ones, which are fewer."""
    archive_bytes: int


class PushFlags(Frozen):
    """What ``make push-aws`` needs to be told."""

    flags: tuple[str, ...]
    command: str
    note: str = ""


class TuneResult(Versioned):
    """``summary.json``."""

    id: str
    created_at: str
    lab_version: str
    name: str
    image: str
    image_id: str
    model: str | None
    platform: Platform
    emulated: bool
    payload: str
    payload_bytes: int
    answer_bytes: int
    objective: Objective | None
    traffic: TrafficRecord | None
    idle_life_s: float
    price_region: str
    price_origin: str
    sizes: Sequence[SizeResult]
    resized: RatioFigure | None
    """Over all sizes: what proves that resized containers tell what new ones do."""
    frontier: Sequence[str]
    """Sizes than which none is both cheaper and quicker, the cheapest first."""
    chosen: str | None
    sentence: str
    push: PushFlags | None
    storage: StorageFigures
    steps: int
    planned: int
    """Steps; fewer were measured where it was stopped."""
    took_s: float
    notes: Sequence[str]

    def size(self, name: str) -> SizeResult:
        return next(one for one in self.sizes if one.name == name)
