"""A load as gauges: what is pushed when it ends, in a group of its target and schedule."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from lab.load.statistics import Latencies
from lab.loadtest.summary import LoadSummary, read_load_summary
from lab.observe.runs.readings import Reading, seconds

JOB: Final = "load"

_Told = tuple[str, float | None, Mapping[str, str]]


def read(folder: Path) -> LoadSummary:
    """Raises ``UsageError`` for a folder without a report, or of another schema."""
    return read_load_summary(folder)


def group(summary: LoadSummary) -> Mapping[str, str]:
    """What makes loads the same series: the next of them takes this one's place."""
    closed = summary.closed
    return {
        "target": summary.target.name,
        "size": summary.target.size or "",
        "schedule": f"{closed.clients} clients" if closed else summary.schedule or "",
        "loop": "closed" if closed else "open",
        "emulated": "true" if summary.target.emulated else "false",
    }


def readings(summary: LoadSummary) -> Iterator[Reading]:
    """The figures, without a time; of an invalid load only that it is one."""
    figures, labels = summary.figures, group(summary)
    plain = {
        "valid": float(summary.valid),
        "end_timestamp_seconds": seconds(summary.started_at) + figures.seconds,
        "late_seconds": summary.generator.late_p99_s if summary.generator else None,
    }
    if summary.valid:
        plain |= {
            "offered_per_second": figures.offered_per_s,
            "achieved_per_second": figures.achieved_per_s,
            "cold_ratio": figures.cold_share if figures.told else None,
        }
    told: list[_Told] = [(name, value, {}) for name, value in plain.items()]
    told.append(("run_info", 1.0, {"run": summary.id}))
    if summary.valid:
        told += [
            ("requests", float(getattr(figures, outcome)), {"outcome": outcome})
            for outcome in ("answered", "throttled", "failed")
        ]
        told += _quantiles("all", figures.latency)
        told += _quantiles("warm", figures.warm_latency)
        told += _quantiles("cold", figures.cold_latency)
    for name, value, more in told:
        if value is not None:
            yield Reading(name=f"lab_load_{name}", labels={**labels, **more}, value=value)


def _quantiles(of: str, found: Latencies | None) -> Iterator[_Told]:
    for one in found.quantiles if found else ():
        where = {"requests": of, "quantile": f"{one.q:g}"}
        yield "latency_seconds", one.seconds, where
        yield "latency_seconds_lower", one.low_s, where
        yield "latency_seconds_upper", one.high_s, where
