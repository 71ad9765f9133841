"""A run folder in, ``summary.json`` out."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.coldstart.summary import LADDER_NAMES, Pair, RunFacts, Summary
from lab.report.comparisons import compare
from lab.report.findings import find
from lab.report.headline import headline
from lab.report.load import Recorded, load
from lab.report.rows import MeasuredRow, container, gather
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
        targets=targets(rows, comparisons),
        findings=find(recorded, measured),
    )
    return Results(recorded=recorded, measured=measured, summary=summary)


def to_csv(summary: Summary) -> str:
    """A line per row, a column per number; empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    quantiles = [(name, f"{name}_ci95") for name in LADDER_NAMES]
    writer.writerow(
        [
            *("variant", "model", "platform", "tier", "start_kind", "engine", "emulated"),
            *("n", "failures", "skipped", "warm_up", "outliers"),
            *(
                column
                for name, _ in quantiles
                for column in (
                    f"total_{name}_s",
                    f"total_{name}_ci95_low_s",
                    f"total_{name}_ci95_high_s",
                )
            ),
            *("total_min_s", "total_max_s", "second_prediction_p50_s"),
            *(f"{phase}_s" for phase in Phase),
            *("peak_memory_bytes", "throttled_s", "cpu_s"),
            *("image_compressed_bytes", "image_unpacked_bytes"),
        ]
    )
    for row in summary.rows:
        spread = row.total_s
        numbers: list[float | None] = []
        for name, interval in quantiles:
            pair: Pair | None = getattr(spread, interval)
            numbers += [getattr(spread, name), *(pair or (None, None))]
        writer.writerow(
            [
                *(row.variant, row.model, row.platform, row.tier, row.start_kind),
                *(summary.run.engine, row.emulated),
                *(row.n, row.failures, row.skipped, row.warm_up, len(row.outliers)),
                *numbers,
                *(spread.min, spread.max, row.second_prediction_s.p50),
                *(row.phases_s.get(phase) for phase in Phase),
                *(row.peak_memory_bytes, row.throttled_s, row.cpu_s),
                *(row.image_compressed_bytes, row.image_unpacked_bytes),
            ]
        )
    return text.getvalue()
