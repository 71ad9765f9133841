"""A comparison of two runs as a terminal table, as Markdown and as one HTML file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lab.report import words
from lab.report.compare.runs import Change, RunComparison
from lab.report.markdown_table import table as markdown_table
from lab.report.page.figures import Figures
from lab.report.page.html import environment
from lab.report.page.scale import Scale, relative
from lab.report.words import KINDS, percent, ratio_pair, seconds, tier, times
from lab.runfiles import write_whole
from lab.stats.ratios import RatioVerdict

_STYLES: Final = {
    RatioVerdict.DIFFERENT: "bold",
    RatioVerdict.LIKELY: "",
    RatioVerdict.SAME: "dim",
    RatioVerdict.UNKNOWN: "dim",
}


@dataclass(frozen=True, kw_only=True)
class ComparisonLine:
    """A cell in the plot of ratios."""

    place: int
    change: Change
    name: str
    at: float
    low_at: float | None
    high_at: float | None


def write_comparison(comparison: RunComparison, folder: Path) -> Path:
    """Write ``compare.md`` and ``compare.html`` into a folder; return the latter."""
    write_whole(folder / "compare.md", to_markdown(comparison))
    return write_whole(folder / "compare.html", to_html(comparison))


def to_terminal(comparison: RunComparison) -> RenderableType:
    """The table, the answer, and what else differs."""
    title = f"{comparison.second} against {comparison.first}{_aside(comparison)}"
    parts: list[RenderableType] = [Text(title, "bold")]
    table = Table()
    last = ""
    for one in comparison.changes:
        cell = one.cell
        where = f"{cell.model} · {cell.platform.arch} · {tier(cell.tier)}"
        heading = f"{KINDS[cell.start_kind]}, {where}{_aside(comparison)}"
        if heading != last:
            table = _changes(heading)
            parts += ["", table]
            last = heading
        table.add_row(
            *(f" {cell.variant}", seconds(one.first_s), seconds(one.second_s)),
            *(times(one.ratio), interval_of(one), verdict_of(one)),
            style=_STYLES[one.verdict],
        )
    parts += ["", Text(comparison.text, "bold")]
    parts += [
        Text(f"• {one.what}: {one.first} → {one.second}", "dim") for one in comparison.differences
    ]
    if comparison.emulated:
        parts += [Text(_left_out(comparison), "yellow")]
    return Lines(*parts)


def _left_out(comparison: RunComparison) -> str:
    cells = comparison.emulated
    return f"Emulated, so not compared: {', '.join(str(cell) for cell in cells)}."


def _changes(heading: str) -> Table:
    table = Table(title=heading, title_justify="left", title_style="cyan", box=None, pad_edge=False)
    table.add_column("", no_wrap=True, min_width=14, max_width=26)
    for name in ("first", "second", "ratio"):
        table.add_column(name, justify="right", no_wrap=True, min_width=7)
    table.add_column("interval", justify="right", min_width=14)
    table.add_column("verdict", min_width=19)
    return table


def to_markdown(comparison: RunComparison) -> str:
    """``compare.md``."""
    head = ["cell", "first", "second", "second / first", "interval", "verdict"]
    cells = markdown_table(
        head,
        (
            [
                *(str(one.cell), seconds(one.first_s), seconds(one.second_s)),
                *(times(one.ratio), interval_of(one), verdict_of(one)),
            ]
            for one in comparison.changes
        ),
    )
    differences = markdown_table(
        ["differs", "first", "second"],
        ([one.what, one.first, one.second] for one in comparison.differences),
    )
    return (
        "\n\n".join(
            [
                f"# {comparison.second} against {comparison.first}{_aside(comparison)}",
                comparison.text,
                cells,
                f"## What else differs{_aside(comparison)}",
                differences or "Nothing that was recorded.",
                *([_left_out(comparison)] if comparison.emulated else []),
            ]
        )
        + "\n"
    )


def to_html(comparison: RunComparison) -> str:
    """``compare.html``: self-contained, like the report."""
    scale = relative(min(_ends(comparison.changes)), max(_ends(comparison.changes)), middle="same")
    figures = Figures(comparison.model_dump(mode="json"))
    return (
        environment()
        .get_template("compare.html.j2")
        .render(
            comparison=comparison,
            number=figures.number,
            pair=figures.pair,
            lines=[_line(place, one, scale) for place, one in enumerate(comparison.changes)],
            scale=scale,
            words=words,
            verdict=verdict_of,
            aside=_aside(comparison),
            left_out=_left_out(comparison) if comparison.emulated else "",
        )
    )


def interval_of(change: Change) -> str:
    """The ratio's interval, with its coverage when below 95 %."""
    if change.interval is None:
        return "too few samples"
    text = ratio_pair(change.interval)
    if change.ci95 is None and change.coverage is not None:
        return f"{text} (at least {percent(change.coverage)})"
    return text


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


def _line(place: int, change: Change, scale: Scale) -> ComparisonLine:
    low, high = change.interval or (None, None)
    cell = change.cell
    return ComparisonLine(
        place=place,
        change=change,
        name=f"{cell.model} · {cell.platform.arch} · {tier(cell.tier)}",
        at=scale.at(change.ratio),
        low_at=None if low is None else scale.at(low),
        high_at=None if high is None else scale.at(high),
    )


def _ends(changes: Sequence[Change]) -> Sequence[float]:
    return [end for one in changes for end in (one.ratio, *(one.interval or ()))]


def _aside(comparison: RunComparison) -> str:
    said = " — different machines" if comparison.different_machines else ""
    return said if comparison.container else f"{said} — no container"
