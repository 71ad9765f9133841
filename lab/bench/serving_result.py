"""What the serve bench found, in figures with intervals."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lab.bench.figures import Figure, figure_of
from lab.bench.serving import Round

OVERHEAD_TARGET_S: Final = 0.0015
THROUGHPUT_TARGET: Final = 0.94


@dataclass(frozen=True, kw_only=True)
class ServingResult:
    """Seconds and ratios."""

    overhead_s: Figure
    throughput_ratio: Figure
    http_p50_s: float
    inprocess_p50_s: float
    http_rps: float
    inprocess_rps: float
    emulated: bool = False
    """Nothing that was measured says anything of real hardware."""

    @property
    def overhead_reached(self) -> bool | None:
        """Whether HTTP adds no more than the lab promises; None where it is not judged."""
        return None if self.emulated else self.overhead_s.value <= OVERHEAD_TARGET_S

    @property
    def throughput_reached(self) -> bool | None:
        """Whether the server reaches what the lab promises of the in-process ceiling."""
        return None if self.emulated else self.throughput_ratio.value >= THROUGHPUT_TARGET


def summarise(rounds: Sequence[Round], *, emulated: bool = False) -> ServingResult:
    """Medians over the rounds; the two figures are formed within each round first."""
    return ServingResult(
        emulated=emulated,
        overhead_s=figure_of([r.overhead_s for r in rounds]),
        throughput_ratio=figure_of([r.throughput_ratio for r in rounds]),
        http_p50_s=statistics.median(r.http_p50_s for r in rounds),
        inprocess_p50_s=statistics.median(r.inprocess_p50_s for r in rounds),
        http_rps=statistics.median(r.http_rps for r in rounds),
        inprocess_rps=statistics.median(r.inprocess_rps for r in rounds),
    )
