"""Whether a generator kept to its schedule: else what it measured is its own slowness."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lab.load.job import SenderState
from lab.load.requests import Requests

MOST_LATE_S: Final = 0.001
SHARE_OF_OBJECTIVE: Final = 0.05
_QUANTILE: Final = 0.99


@dataclass(frozen=True, kw_only=True)
class GeneratorHealth:
    """What the sender says of itself."""

    late_p99_s: float
    """Of ``sent - intended``."""
    late_max_s: float
    limit_s: float
    """What the p99 may be: 1 ms, or 5 % of the objective if that is less."""
    cpu_share: float
    """Of one processor."""
    priority: str
    overrun: int
    """Requests that were not sent: too many were under way."""
    reached_per_s: float
    """The most requests that it sent in a second in which it kept the limit."""
    behind: bool
    """It gave up: it was a second late."""

    @property
    def valid(self) -> bool:
        return not self.why_not

    @property
    def why_not(self) -> str:
        """Why the run says nothing of the target, as a clause; empty if it does."""
        if self.behind:
            return "the generator could not make the rate"
        if self.overrun:
            return f"{self.overrun} requests were not sent: too many were under way"
        if self.late_p99_s > self.limit_s:
            return (
                f"1 % of the requests were sent {self.late_p99_s * 1e3:.2f} ms late or more, "
                f"where {self.limit_s * 1e3:.2g} ms are allowed"
            )
        return ""


def health(
    requests: Requests, states: Sequence[SenderState], *, objective_s: float | None = None
) -> GeneratorHealth:
    """The verdict on an open loop; ``states`` are the last ones of its sittings."""
    late = requests.late_s
    limit_s = MOST_LATE_S
    if objective_s is not None:
        limit_s = min(limit_s, SHARE_OF_OBJECTIVE * objective_s)
    elapsed = sum(one.elapsed_s for one in states)
    return GeneratorHealth(
        late_p99_s=float(np.quantile(late, _QUANTILE)) if len(late) else 0.0,
        late_max_s=float(late.max()) if len(late) else 0.0,
        limit_s=limit_s,
        cpu_share=sum(one.cpu_s for one in states) / elapsed if elapsed else 0.0,
        priority=states[-1].priority if states else "",
        overrun=sum(one.overrun for one in states),
        reached_per_s=_reached(requests, limit_s),
        behind=any(one.ended == "behind" for one in states),
    )


def _reached(requests: Requests, limit_s: float) -> float:
    if not len(requests):
        return 0.0
    second = requests.sent_s.astype(np.int64)
    counts = np.bincount(second)
    kept = [
        counts[one]
        for one in np.unique(second)
        if np.quantile(requests.late_s[second == one], _QUANTILE) <= limit_s
    ]
    return float(max(kept, default=0))
