"""A figure of a bench, a median with its interval; and where figures are kept."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab import paths
from lab.engine.api import Engine
from lab.host import host_facts
from lab.runfiles import write_whole
from lab.stats.quantiles import Interval, interval


@dataclass(frozen=True, kw_only=True)
class Figure:
    """The median over the rounds, and where the true median lies with 95 % confidence."""

    value: float
    interval: Interval | None

    def words(self, scale: float, digits: int) -> str:
        """``1.20 (1.10 to 1.31)``, times ``scale``; without an interval that says nothing."""
        text = f"{self.value * scale:.{digits}f}"
        if self.interval is None or not self.interval.confident:
            return text
        low, high = self.interval.low * scale, self.interval.high * scale
        return f"{text} ({low:.{digits}f} to {high:.{digits}f})"


def figure_of(values: Sequence[float]) -> Figure:
    """The median and its interval."""
    return Figure(value=statistics.median(values), interval=interval(values))


def keep(
    name: str,
    *,
    subject: Mapping[str, Any],
    engine: Engine,
    options: Any,
    rounds: Any,
    summary: Mapping[str, Any],
) -> Path:
    """Write what was measured on what as JSON, in a folder of its own; the file.

    ``options`` is a dataclass; ``rounds`` are the readings that ``summary`` is made of.
    """
    content = {
        "schema": 1,
        "measured": {**subject, "host": host_facts(), "engine": asdict(engine.facts())},
        "options": asdict(options),
        "rounds": rounds,
        "summary": summary,
    }
    folder = paths.runs() / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"
    return write_whole(folder / f"{name}.json", json.dumps(content, indent=2, default=str) + "\n")
