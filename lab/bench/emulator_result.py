"""What the endpoint bench found, in figures with intervals."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.bench.emulator import Arm, Burst, EmulatorBenchOptions, Measured
from lab.bench.figures import Figure, figure_of
from lab.stats.ratios import Ratio, ratio_of_medians

OVERHEAD_TARGET_S: Final = 0.002
"""By boto3, whose own work (signing, parsing, its pool) is most of it."""
EMULATOR_TARGET_S: Final[Mapping[str, float]] = {"small": 0.0007, "real": 0.0015}
"""The emulator's own part, by payload."""
LOAD_TARGET_RPS: Final = 1000.0
COLD_TARGET: Final = 1.10


@dataclass(frozen=True, kw_only=True)
class OverheadResult:
    """For one payload; seconds."""

    payload: str
    direct_p50_s: float
    through_p50_s: float
    """By boto3."""
    overhead_s: Figure
    """boto3 through the emulator, minus the container called directly."""
    emulator_s: Figure
    """The part that is the emulator's: a plain client through it, minus directly."""

    @property
    def reached(self) -> bool:
        """Whether it is no more than the lab promises, by boto3 and without."""
        return self.overhead_s.value <= OVERHEAD_TARGET_S and self.emulator_reached

    @property
    def emulator_reached(self) -> bool:
        """Whether the emulator's own part is."""
        return self.emulator_s.value <= EMULATOR_TARGET_S[self.payload]


@dataclass(frozen=True, kw_only=True)
class EmulatorResult:
    """Everything; seconds and ratios."""

    overheads: Sequence[OverheadResult]
    rps: Figure
    requests: int
    errors: int
    cold_endpoint_s: float
    cold_direct_s: float
    cold_ratio: Ratio
    bursts: Sequence[Burst]

    @property
    def load_reached(self) -> bool:
        """Fast enough, and not one error."""
        return self.rps.value >= LOAD_TARGET_RPS and self.errors == 0

    @property
    def cold_reached(self) -> bool:
        """Whether a cold start through the endpoint takes little longer than one by hand."""
        return self.cold_ratio.value <= COLD_TARGET

    @property
    def burst_reached(self) -> bool:
        """Whether every request had exactly one outcome, and the right one."""
        return all(burst.exact for burst in self.bursts)

    @property
    def reached(self) -> bool:
        return (
            all(one.reached for one in self.overheads)
            and self.load_reached
            and self.cold_reached
            and self.burst_reached
        )


def summarise(measured: Measured, options: EmulatorBenchOptions) -> EmulatorResult:
    """Medians over the rounds; differences are formed within each round first."""
    payloads = dict.fromkeys(one.payload for one in measured.overheads)
    ratio = ratio_of_medians(
        {number: [cold.endpoint_s] for number, cold in enumerate(measured.colds)},
        {number: [cold.direct_s] for number, cold in enumerate(measured.colds)},
        seed=options.seed,
    )
    return EmulatorResult(
        overheads=[_overhead(payload, measured) for payload in payloads],
        rps=figure_of([load.requests / load.seconds for load in measured.loads]),
        requests=sum(load.requests for load in measured.loads),
        errors=sum(load.errors for load in measured.loads),
        cold_endpoint_s=statistics.median(cold.endpoint_s for cold in measured.colds),
        cold_direct_s=statistics.median(cold.direct_s for cold in measured.colds),
        cold_ratio=ratio,
        bursts=measured.bursts,
    )


@dataclass(frozen=True, kw_only=True)
class FigureRow:
    """A line of the table."""

    what: str
    found: str
    figure: str
    promised: str
    reached: bool


def rows(result: EmulatorResult) -> Sequence[FigureRow]:
    """The result as a table for people."""
    found = []
    for one in result.overheads:
        found += [
            FigureRow(
                what=f"what the emulator adds to a warm request, p50, {one.payload} payload",
                found=f"{_ms(one.direct_p50_s)} directly",
                figure=f"+{one.emulator_s.words(1e3, 2)} ms",
                promised=f"≤ {EMULATOR_TARGET_S[one.payload] * 1e3:g} ms",
                reached=one.emulator_reached,
            ),
            FigureRow(
                what=f"the same with boto3's own work, {one.payload} payload",
                found=f"{_ms(one.through_p50_s)} by boto3",
                figure=f"+{one.overhead_s.words(1e3, 2)} ms",
                promised=f"≤ {OVERHEAD_TARGET_S * 1e3:g} ms",
                reached=one.overhead_s.value <= OVERHEAD_TARGET_S,
            ),
        ]
    found.append(
        FigureRow(
            what="small requests on one emulator process",
            found=f"{result.requests} requests, {result.errors} errors",
            figure=f"{result.rps.words(1, 0)} /s",
            promised=f"≥ {LOAD_TARGET_RPS:g} /s, no errors",
            reached=result.load_reached,
        )
    )
    cold = Figure(value=result.cold_ratio.value, interval=result.cold_ratio.interval)
    found.append(
        FigureRow(
            what="cold start through the endpoint against one by hand",
            found=f"{result.cold_endpoint_s:.3f} s and {result.cold_direct_s:.3f} s; "
            f"{result.cold_ratio.verdict.value}",
            figure=f"x {cold.words(1, 3)}",
            promised=f"≤ x {COLD_TARGET:.2f}",
            reached=result.cold_reached,
        )
    )
    found += [_burst_row(burst) for burst in result.bursts]
    return found


def _burst_row(burst: Burst) -> FigureRow:
    counted = "" if burst.counted is None else f", {burst.counted} counted by the containers"
    return FigureRow(
        what=f"clients at once against MaxConcurrency, {burst.what} containers",
        found=f"{burst.sent} sent: {burst.answered} answered{counted}",
        figure=f"{burst.throttled} throttled, {burst.lost} lost",
        promised="exactly the excess throttled, none lost, none answered twice",
        reached=burst.exact,
    )


def _overhead(payload: str, measured: Measured) -> OverheadResult:
    rounds = [one.p50_s for one in measured.overheads if one.payload == payload]
    return OverheadResult(
        payload=payload,
        direct_p50_s=statistics.median(one[Arm.DIRECT] for one in rounds),
        through_p50_s=statistics.median(one[Arm.BOTO3] for one in rounds),
        overhead_s=figure_of([one[Arm.BOTO3] - one[Arm.DIRECT] for one in rounds]),
        emulator_s=figure_of([one[Arm.EMULATOR] - one[Arm.DIRECT] for one in rounds]),
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"
