"""A prediction against AWS, for a terminal, as Markdown and as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.report.compare.against_aws import AgainstAws, PredictionLine
from lab.report.document import Document, Table, left
from lab.report.words import percent, seconds
from lab.runfiles import write_whole


def write(result: AgainstAws, folder: Path) -> Path:
    """Write ``against-aws.json`` and ``against-aws.md`` into a folder; return the latter."""
    write_whole(folder / "against-aws.json", json.dumps(_plain(result), indent=1) + "\n")
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
    if line.ratio is None:
        return "means only"
    held = line.ratio.interval
    if held is None:
        return "too few samples"
    text = f"{_signed(held.low - 1)} to {_signed(held.high - 1)}"
    return text if held.confident else f"{text} (at least {percent(held.coverage)})"


def _signed(share: float) -> str:
    return f"{'-' if share < 0 else '+'}{percent(abs(share))}"


def _plain(result: AgainstAws) -> dict[str, Any]:
    return {
        "schema": 1,
        "predicted": result.predicted,
        "measured": result.measured,
        "subject": result.subject,
        "lines": [_plain_line(line) for line in result.lines],
        "notes": list(result.notes),
    }


def _plain_line(line: PredictionLine) -> dict[str, Any]:
    held = line.ratio.interval if line.ratio else None
    return {
        "figure": line.figure.name.lower(),
        "source": line.source,
        "statistic": line.statistic,
        "predicted_s": line.predicted_s,
        "measured_s": line.measured_s,
        "predicted_n": line.predicted_n,
        "measured_n": line.measured_n,
        "error": line.error,
        "error_interval": [held.low - 1, held.high - 1] if held else None,
        "coverage": held.coverage if held else None,
    }
