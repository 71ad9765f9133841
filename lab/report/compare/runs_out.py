"""A comparison of two runs for a terminal, as Markdown and as one HTML file."""

from pathlib import Path
from typing import Final

from rich.table import Column
from rich.text import Text

from lab.report.compare.runs import Change, RunComparison
from lab.report.document import Cell, Document, Table
from lab.report.page.html import page
from lab.report.page.scale import relative
from lab.report.words import KINDS, ratio_interval, seconds, tier, times
from lab.runfiles import write_whole
from lab.stats.ratios import RatioVerdict

_STYLES: Final = {
    RatioVerdict.DIFFERENT: "bold",
    RatioVerdict.LIKELY: "",
    RatioVerdict.SAME: "dim",
    RatioVerdict.UNKNOWN: "dim",
}


def write_comparison(comparison: RunComparison, folder: Path) -> Path:
    """Write ``compare.md`` and ``compare.html`` into a folder; return the latter."""
    write_whole(folder / "compare.md", document(comparison).to_markdown())
    return write_whole(folder / "compare.html", to_html(comparison))


def document(comparison: RunComparison) -> Document:
    """A table for each kind of start, the answer, and what else differs."""
    aside = _aside(comparison)
    rows: dict[str, list[list[Cell]]] = {}
    for one in comparison.changes:
        cells = (
            *(f" {one.cell.variant}", seconds(one.first_s), seconds(one.second_s)),
            *(times(one.ratio), ratio_interval(one), verdict_of(one)),
        )
        heading = f"{KINDS[one.cell.start_kind]}, {_where(one)}{aside}"
        rows.setdefault(heading, []).append([Text(cell, _STYLES[one.verdict]) for cell in cells])
    # As wide in each table, so that they stand below one another.
    columns = [
        Column("variant", no_wrap=True, min_width=14, max_width=26),
        *(
            Column(name, justify="right", no_wrap=True, min_width=7)
            for name in ("first", "second", "ratio")
        ),
        Column("interval", justify="right", min_width=14),
        Column("verdict", min_width=19),
    ]
    return Document(
        title=f"{comparison.second} against {comparison.first}{aside}",
        answer=comparison.text,
        tables=[Table(title=name, columns=columns, rows=cells) for name, cells in rows.items()],
        notes_title=f"What else differs{aside}",
        notes=[
            *(f"{one.what}: {one.first} → {one.second}" for one in comparison.differences),
            *([] if comparison.differences else ["Nothing that was recorded."]),
            *([_left_out(comparison)] if comparison.emulated else []),
        ],
    )


def _left_out(comparison: RunComparison) -> str:
    cells = comparison.emulated
    return f"Emulated, so not compared: {', '.join(str(cell) for cell in cells)}."


def to_html(comparison: RunComparison) -> str:
    """``compare.html``: self-contained, like the report."""
    ends = [end for one in comparison.changes for end in (one.ratio, *(one.interval or ()))]
    return page(
        "compare.html.j2",
        comparison,
        comparison=comparison,
        scale=relative(min(ends), max(ends), middle="same"),
        verdict=verdict_of,
        where=_where,
        aside=_aside(comparison),
        left_out=_left_out(comparison) if comparison.emulated else "",
    )


def verdict_of(change: Change) -> str:
    """``slower``, ``quicker``, or that it is not shown."""
    way = "slower" if change.ratio > 1 else "quicker"
    match change.verdict:
        case RatioVerdict.DIFFERENT:
            return way
        case RatioVerdict.LIKELY:
            return f"{way}, likely (few samples)"
        case RatioVerdict.SAME | RatioVerdict.UNKNOWN:
            return str(change.verdict)


def _where(change: Change) -> str:
    cell = change.cell
    return f"{cell.model} · {cell.platform.arch} · {tier(cell.tier)}"


def _aside(comparison: RunComparison) -> str:
    said = " — different machines" if comparison.different_machines else ""
    return said if comparison.container else f"{said} — no container"
