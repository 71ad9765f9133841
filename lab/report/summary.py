"""A run folder in, ``summary.json`` out."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.coldstart.summary import LADDER_NAMES, Row, RunFacts, Summary
from lab.report.catalogue.figures import catalogues
from lab.report.comparisons import compare
from lab.report.findings import find
from lab.report.headline import headline
from lab.report.recorded import Recorded, load
from lab.report.rows import MeasuredRow, container, gather
from lab.report.study import published
from lab.report.targets import targets
from lab.spec import Phase


@dataclass(frozen=True, kw_only=True)
class Results:
    """A run, its samples by row, and what they amount to."""

    recorded: Recorded
    measured: Sequence[MeasuredRow]
    summary: Summary

    @property
    def native(self) -> Sequence[MeasuredRow]:
        """The rows whose times mean something: those that did not run under QEMU."""
        return [one for one in self.measured if not one.row.emulated]


def summarise(folder: Path) -> Results:
    """Read a run folder and work everything out. Raises ``UsageError`` for unreadable files."""
    return results(load(folder))


def results(recorded: Recorded) -> Results:
    """Everything that follows from a run's records; the same records give the same results."""
    run = recorded.run
    measured = gather(recorded)
    rows = [one.row for one in measured]
    comparisons = compare(measured, seed=run.seed)
    summary = Summary(
        run=RunFacts(
            id=run.id,
            started_at=run.started_at,
            plan=run.plan_name,
            seed=run.seed,
            git_commit=run.git_commit,
            engine=str(run.engine.get("name", "unknown engine")),
            container=container(run),
            planned=len(run.order),
            recorded=len(recorded.samples),
        ),
        headline=headline(measured, comparisons, container=container(run)),
        rows=rows,
        comparisons=comparisons,
        targets=targets(rows, comparisons) if published.repeated(rows) else [],
        findings=find(recorded, measured),
        catalogues=catalogues(run, measured),
    )
    return Results(recorded=recorded, measured=measured, summary=summary)


def to_csv(summary: Summary) -> str:
    """A line per row, a column per number; empty where there is none."""
    text = io.StringIO()
    lines = [_csv_line(row, summary.run.engine) for row in summary.rows]
    writer = csv.DictWriter(text, lines[0] if lines else (), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _csv_line(row: Row, engine: str) -> Mapping[str, object]:
    spread = row.total_s
    quantiles: dict[str, float | None] = {}
    for name in LADDER_NAMES:
        low, high = getattr(spread, f"{name}_ci95") or (None, None)
        quantiles[f"total_{name}_s"] = getattr(spread, name)
        quantiles |= {f"total_{name}_ci95_low_s": low, f"total_{name}_ci95_high_s": high}
    resources = ("peak_memory_bytes", "throttled_s", "cpu_s")
    images = ("image_compressed_bytes", "image_unpacked_bytes", "image_read_bytes")
    return {
        **dict(row.cell),
        "engine": engine,
        **{
            key: getattr(row, key)
            for key in ("emulated", "reference", "n", "failures", "skipped", "warm_up", "disturbed")
        },
        "outliers": len(row.outliers),
        **quantiles,
        "total_min_s": spread.min,
        "total_max_s": spread.max,
        "second_prediction_p50_s": row.second_prediction_s.p50,
        **{f"{phase}_s": row.phases_s.get(phase) for phase in Phase},
        **{key: getattr(row, key) for key in (*resources, *images)},
        "chunks": row.chunks.count if row.chunks else None,
        "chunk_wait_s": row.chunk_wait_s,
    }
