"""A run of the bench as gauges: what is pushed when it ends, and replayed later."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from lab.coldstart.folder import RunFolder
from lab.coldstart.record import Cell, Outcome, Run, Sample, same_link
from lab.coldstart.summary import SUMMARY_FILE, Row, Summary, read_summary
from lab.errors import UsageError

_QUANTILES: Final = {"0.5": "p50", "0.75": "p75", "0.9": "p90", "0.95": "p95", "0.99": "p99"}
_MACHINE: Final = ("cpu_model", "cpus", "machine")
_MEMORY_LIKE: Final = 0.1
_NS: Final = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The value of one gauge."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    value: float
    at: float | None = None
    """Seconds since the epoch; None is now."""


@dataclass(frozen=True, kw_only=True)
class BenchReadings:
    """A run that has its report."""

    folder: Path
    run: Run
    summary: Summary
    samples: Sequence[Sample]

    @property
    def finished(self) -> bool:
        """Whether every planned trial was made."""
        return self.summary.run.recorded >= self.summary.run.planned

    @property
    def began(self) -> float:
        """When the run began, in seconds since the epoch."""
        return seconds(self.run.started_at)

    @property
    def ended(self) -> float:
        """When its last trial ended."""
        return max((end_of(sample) for sample in self.samples), default=self.began)


def read(folder: Path) -> BenchReadings:
    """Read a run folder. Raises ``UsageError`` for one without a report, or of another schema."""
    summary, found = read_summary(folder), RunFolder(folder)
    return BenchReadings(folder=folder, run=found.run(), summary=summary, samples=found.samples())


def readings(bench: BenchReadings, *, previous: BenchReadings | None = None) -> Iterator[Reading]:
    """The run's figures, without a time."""
    before = _medians(previous) if previous is not None else {}
    images: dict[tuple[str, str], Row] = {}
    for row in bench.summary.rows:
        images.setdefault((row.variant, row.platform.value), row)
        yield from _figures(row)
        told = before.get(_key(row))
        if told is not None and previous and same_link(bench.run, previous.run, row.start_kind):
            yield Reading(name="lab_bench_previous_start_seconds", labels=_labels(row), value=told)
    for (variant, platform), row in images.items():
        labels = {"variant": variant, "platform": platform}
        for name, size in (
            ("lab_bench_image_compressed_bytes", row.image_compressed_bytes),
            ("lab_bench_image_unpacked_bytes", row.image_unpacked_bytes),
        ):
            if size is not None:
                yield Reading(name=name, labels=labels, value=size)
    yield Reading(name="lab_bench_run_info", labels=run_labels(bench), value=1)
    yield Reading(name="lab_bench_end_timestamp_seconds", value=bench.ended)


def trials(bench: BenchReadings) -> Iterator[Reading]:
    """Each start that counts, at the time when it ended; the warm-up block is not among them."""
    for sample in bench.samples:
        if sample.outcome is Outcome.OK and not sample.warm_up and sample.total_s is not None:
            yield Reading(
                name="lab_bench_trial_start_seconds",
                labels=cell_labels(sample.cell, emulated=sample.emulated),
                value=sample.total_s,
                at=end_of(sample),
            )


def previous(bench: BenchReadings, root: Path) -> BenchReadings | None:
    """The newest finished run before this one, of the same plan, on a machine like this one's."""
    for other in _others(bench, root):
        if other.finished and other.began < bench.began and comparable(other.run, bench.run):
            return other
    return None


def following(bench: BenchReadings, root: Path) -> BenchReadings | None:
    """The run of the same plan that came next: from its end on, its figures are the newest."""
    after = [other for other in _others(bench, root) if other.began > bench.began]
    return min(after, key=lambda other: other.ended, default=None)


def comparable(one: Run, other: Run) -> bool:
    """Whether processor, memory and kind of engine are alike: a slower start is then news."""
    if any(one.host.get(key) != other.host.get(key) for key in _MACHINE):
        return False
    if one.engine.get("kind") != other.engine.get("kind"):
        return False
    memory = [_number(run.host.get("memory_bytes")) for run in (one, other)]
    return abs(memory[0] - memory[1]) <= _MEMORY_LIKE * max(memory)


def cell_labels(cell: Cell, *, emulated: bool) -> Mapping[str, str]:
    """A cell as labels."""
    return {
        "variant": cell.variant,
        "model": cell.model,
        "platform": cell.platform.value,
        "tier": cell.tier,
        "start_kind": cell.start_kind.value,
        "emulated": "true" if emulated else "false",
    }


def run_labels(bench: BenchReadings) -> Mapping[str, str]:
    """What is told of the run, once."""
    return {
        "run": bench.run.id,
        "plan": bench.run.plan_name,
        "engine": str(bench.run.engine.get("name", "")),
        "commit": (bench.run.git_commit or "")[:12],
    }


def end_of(sample: Sample) -> float:
    """When a trial ended, in seconds since the epoch."""
    if sample.marks:
        return max(sample.marks.values()) / _NS
    return seconds(sample.started_at) + (sample.wall_s or sample.total_s or 0.0)


def seconds(stamp: str) -> float:
    """ISO 8601 as seconds since the epoch."""
    return datetime.fromisoformat(stamp).timestamp()


def _labels(row: Row) -> Mapping[str, str]:
    return cell_labels(row, emulated=row.emulated)


def _figures(row: Row) -> Iterator[Reading]:
    labels = _labels(row)
    for q, name in _QUANTILES.items():
        value: float | None = getattr(row.total_s, name)
        if value is not None:
            yield Reading(
                name="lab_bench_start_seconds", labels={**labels, "quantile": q}, value=value
            )
    if row.total_s.p50_ci95 is not None:
        low, high = row.total_s.p50_ci95
        yield Reading(name="lab_bench_start_seconds_lower", labels=labels, value=low)
        yield Reading(name="lab_bench_start_seconds_upper", labels=labels, value=high)
    for phase, value in row.phases_s.items():
        yield Reading(
            name="lab_bench_start_phase_seconds",
            labels={**labels, "phase": phase.value},
            value=value,
        )
    if row.chunks is not None:
        for name, told in (
            ("lab_bench_chunks", row.chunks.fetched),
            ("lab_bench_chunk_wait_seconds", row.chunks.waited_s),
        ):
            for phase, value in told.items():
                yield Reading(name=name, labels={**labels, "phase": phase.value}, value=value)
    if row.image_read_bytes is not None:
        yield Reading(name="lab_bench_image_read_bytes", labels=labels, value=row.image_read_bytes)
    yield Reading(name="lab_bench_samples", labels=labels, value=row.n)
    yield Reading(name="lab_bench_failures", labels=labels, value=row.failures)


def _others(bench: BenchReadings, root: Path) -> Iterator[BenchReadings]:
    """Runs of the same plan, newest first; what cannot be read is no run to compare with."""
    for path in sorted(root.glob(f"*/{SUMMARY_FILE}"), reverse=True):
        folder = path.parent
        if folder.is_symlink() or folder.name == bench.run.id:
            continue
        try:
            run = RunFolder(folder).run()
            if run.plan_name != bench.run.plan_name or run.id == bench.run.id:
                continue
            yield read(folder)
        except UsageError:
            continue


def _medians(bench: BenchReadings) -> Mapping[tuple[Any, ...], float]:
    return {_key(row): row.total_s.p50 for row in bench.summary.rows if row.total_s.p50 is not None}


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(sorted(_labels(row).items()))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
