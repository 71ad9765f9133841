"""A measurement of an endpoint for a terminal and as Markdown: ``lab push measure``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Column

from lab.aws.measure.folder import MeasureFolder
from lab.aws.measure.record import AwsRun, Protocol
from lab.aws.measure.summary import COUNTED_S, summarise
from lab.aws.model import PushTarget
from lab.report.document import Document, Table
from lab.report.words import NOTHING, plural, seconds, seconds_pair
from lab.runfiles import write_whole

_NAMES: Final = {
    "total_s": "total, at the client",
    "prediction_s": "the container's own clock",
    "model_latency_s": "ModelLatency",
    "overhead_s": "OverheadLatency",
    "setup_s": "ModelSetupTime",
}
_TOGETHER: Final = "CloudWatch, all together"


def write(folder: MeasureFolder) -> Path:
    """Write ``report.md`` into the run's folder."""
    return write_whole(folder.path / "report.md", document(folder).to_markdown())


def document(folder: MeasureFolder) -> Document:
    """A table for each protocol, and what there is to say of it."""
    # From the samples: a run that was cut off may have no summary of its last ones.
    run = folder.run()
    summary = summarise(run, folder.samples(), folder.metrics())
    where = run.subject.region if run.subject.target is PushTarget.AWS else "the lab's emulator"
    return Document(
        title=f"{run.id}: {run.subject}, on {where}",
        tables=[
            Table(
                title=_heading(row),
                columns=[
                    *(Column("figure"), "n", "median", "95 % interval"),
                    *("mean", "s.d.", "min", "max"),
                ],
                page_only=["min", "max"],
                rows=_lines(row),
            )
            for row in summary["rows"]
        ],
        notes=_notes(run, summary),
    )


def _heading(row: Mapping[str, Any]) -> str:
    failed = f", {plural(row['failures'], 'failure')}" if row["failures"] else ""
    return f"{row['protocol']}: {plural(row['n'], 'request')}{failed}"


def _lines(row: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    lines = [_line(_NAMES[name], row[name]) for name in COUNTED_S if name in row]
    told = row["cloudwatch"]
    if told is not None:
        # Sums by the minute: a mean is all that can be made of them.
        lines += [
            [
                f" {_NAMES[name]} ({_TOGETHER})",
                str(told["requests"]),
                *(NOTHING, NOTHING, seconds(told[name]), NOTHING, NOTHING, NOTHING),
            ]
            for name in ("model_latency_s", "overhead_s")
            if told[name] is not None
        ]
    return lines


def _line(name: str, of: Mapping[str, Any]) -> Sequence[str]:
    held = of["p50_ci95"]
    return [
        f" {name}",
        str(of["n"]),
        seconds(of["p50"]),
        seconds_pair(None if held is None else (held[0], held[1])),
        *(seconds(of[key]) for key in ("mean", "sd", "min", "max")),
    ]


def _notes(run: AwsRun, summary: Mapping[str, Any]) -> Sequence[str]:
    notes = []
    for row in summary["rows"]:
        if row["protocol"] == Protocol.COLD and row["not_cold"]:
            notes.append(
                f"{plural(row['not_cold'], 'request')} found a container still running and "
                "count for nothing: more idle time is needed."
            )
        if row["protocol"] == Protocol.COLD and row["untold"]:
            notes.append(
                f"Of {plural(row['untold'], 'request')} nothing told whether it was cold: the "
                "metrics were late or several fell into a minute."
            )
        if row["protocol"] == Protocol.WARM and row["cold"]:
            notes.append(
                f"{plural(row['cold'], 'request')} meant to be warm waited for a container and "
                "is not among the figures."
            )
    if run.emulated:
        notes.append("Emulated: seconds under QEMU stand for nothing.")
    if run.subject.target is PushTarget.AWS:
        notes.append(f"It cost at most {summary['usd']:.4f} USD, by the prices in {run.id}.")
    notes.append("Totals hold the way between the endpoint and the machine that asked.")
    return notes
