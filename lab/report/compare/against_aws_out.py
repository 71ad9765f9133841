"""A prediction against AWS, for a terminal, as Markdown and as JSON."""

from collections.abc import Sequence
from pathlib import Path

from lab.report.compare.against_aws import AgainstAws, PredictionLine
from lab.report.document import Document, Table, left
from lab.report.words import percent, seconds
from lab.runfiles import write_whole
from lab.stats.quantiles import CONFIDENCE


def write(result: AgainstAws, folder: Path) -> Path:
    """Write ``against-aws.json`` and ``against-aws.md`` into a folder; return the latter."""
    write_whole(folder / "against-aws.json", result.to_json())
    return write_whole(folder / "against-aws.md", document(result).to_markdown())


def document(result: AgainstAws) -> Document:
    """A table for each figure, the answer, and what else differs."""
    rows: dict[str, list[Sequence[str]]] = {}
    for one in result.lines:
        rows.setdefault(one.figure, []).append([f" {one.source}", *_cells(one)])
    head = (left("predicted by"), "predicted", "measured", "error", "its interval")
    return Document(
        title=f"Prediction {result.predicted} against measurement {result.measured}",
        about=f"{result.subject}.",
        answer=result.text,
        tables=[Table(title=name, columns=head, rows=cells) for name, cells in rows.items()],
        notes=result.notes,
    )


def _cells(line: PredictionLine) -> Sequence[str]:
    note = "" if line.statistic == "median" else f" ({line.statistic})"
    return (
        f"{seconds(line.predicted_s)}{note}",
        f"{seconds(line.measured_s)}{note}, n={line.measured_n}",
        _signed(line.error),
        _interval(line),
    )


def _interval(line: PredictionLine) -> str:
    if line.statistic == "mean":
        return "means only"
    if line.error_interval is None or line.coverage is None:
        return "too few samples"
    text = " to ".join(_signed(end) for end in line.error_interval)
    return text if line.coverage >= CONFIDENCE else f"{text} (at least {percent(line.coverage)})"


def _signed(share: float) -> str:
    return f"{'-' if share < 0 else '+'}{percent(abs(share))}"
