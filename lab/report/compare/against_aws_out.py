"""A prediction against AWS as a terminal table, as Markdown and as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab.report.compare.against_aws import AgainstAws, PredictionLine
from lab.report.markdown_table import table as markdown_table
from lab.report.words import percent, seconds
from lab.runfiles import write_whole

_HEAD = ("predicted by", "predicted", "measured", "error", "its interval")


def write(result: AgainstAws, folder: Path) -> Path:
    """Write ``against-aws.json`` and ``against-aws.md`` into a folder; return the latter."""
    write_whole(folder / "against-aws.json", json.dumps(_plain(result), indent=1) + "\n")
    return write_whole(folder / "against-aws.md", to_markdown(result))


def to_terminal(result: AgainstAws) -> RenderableType:
    """A table for each figure, the answer, and what else differs."""
    parts: list[RenderableType] = [Text(_title(result), "bold"), Text(result.subject, "dim")]
    for figure, lines in _by_figure(result.lines):
        table = Table(
            title=figure, title_justify="left", title_style="cyan", box=None, pad_edge=False
        )
        for number, heading in enumerate(_HEAD):
            table.add_column(heading, justify="right" if number else "left", no_wrap=True)
        for line in lines:
            table.add_row(f" {line.source}", *_cells(line))
        parts += ["", table]
    parts += ["", Text(result.text, "bold")]
    parts += [Text(f"• {note}", "dim") for note in result.notes]
    return Group(*parts)


def to_markdown(result: AgainstAws) -> str:
    """``against-aws.md``."""
    rows = [[str(line.figure), line.source, *_cells(line)] for line in result.lines]
    notes = "\n".join(f"- {note}" for note in result.notes)
    return (
        "\n\n".join(
            (
                f"# {_title(result)}",
                f"{result.subject}. {result.text}",
                markdown_table(["figure", *_HEAD], rows),
                notes,
            )
        )
        + "\n"
    )


def error_of(line: PredictionLine) -> str:
    """``+12 %``, ``-3 %``: how far the prediction is off."""
    return _signed(line.error)


def _cells(line: PredictionLine) -> Sequence[str]:
    note = "" if line.statistic == "median" else f" ({line.statistic})"
    return (
        f"{seconds(line.predicted_s)}{note}",
        f"{seconds(line.measured_s)}{note}, n={line.measured_n}",
        error_of(line),
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


def _title(result: AgainstAws) -> str:
    return f"Prediction {result.predicted} against measurement {result.measured}"


def _by_figure(lines: Sequence[PredictionLine]) -> Sequence[tuple[str, Sequence[PredictionLine]]]:
    figures = dict.fromkeys(line.figure for line in lines)
    return [(str(one), [line for line in lines if line.figure is one]) for one in figures]


def _plain(result: AgainstAws) -> dict[str, Any]:
    return {
        "schema": 1,
        "predicted": result.predicted,
        "measured": result.measured,
        "subject": result.subject,
        "lines": [
            {
                "figure": line.figure.name.lower(),
                "source": line.source,
                "statistic": line.statistic,
                "predicted_s": line.predicted_s,
                "measured_s": line.measured_s,
                "predicted_n": line.predicted_n,
                "measured_n": line.measured_n,
                "error": line.error,
                "error_interval": None
                if line.ratio is None or line.ratio.interval is None
                else [line.ratio.interval.low - 1, line.ratio.interval.high - 1],
                "coverage": None
                if line.ratio is None or line.ratio.interval is None
                else line.ratio.interval.coverage,
            }
            for line in result.lines
        ],
        "notes": list(result.notes),
    }
