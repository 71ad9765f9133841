"""The join on a terminal and as Markdown."""

from dataclasses import replace

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lab.report.document import Table, right, section
from lab.report.formats.tables import emulated as emulated_rows
from lab.report.formats.tables import platform_table
from lab.report.join.model import Joined, Machines, Quotient
from lab.report.join.view import JoinPanel, Line, panels, within
from lab.report.study import graviton, published_out
from lab.report.words import (
    EMULATED_WHY,
    NOTHING,
    count_bytes,
    median_interval,
    ratio_interval,
    seconds,
    times,
)


def to_terminal(joined: Joined) -> RenderableType:
    """The runs, what was measured natively side by side, and the answer."""
    parts: list[RenderableType] = []
    for run in joined.runs:
        text = Text(f"{run.letter}  ", "bold cyan").append(run.machine, "bold")
        text.append(f"  {run.id}", "dim")
        if run.against_first:
            text.append(f"  {run.against_first}", "yellow")
        parts.append(text)
    for panel in panels(joined):
        parts += ["", Text(_title(panel), "bold"), _panel(joined, panel).to_terminal()]
    emulated = sum(row.emulated for run in joined.runs for row in run.rows)
    if emulated:
        said = f"{emulated} rows ran under emulation (QEMU) and are in no table here."
        parts += ["", Text(said, "yellow")]
    parts += ["", Text(joined.headline.text, "bold"), Text(joined.headline.detail, "dim")]
    return Lines(*parts)


def to_markdown(joined: Joined) -> str:
    """``report.md`` of a join: the page's tables."""
    aside = "" if joined.container else " — partly no container"
    parts = [f"# {joined.headline.text}{aside}", joined.headline.detail]
    tables = [_runs(joined), *(_times(joined, panel) for panel in panels(joined)), _within(joined)]
    for table in tables:
        parts += section(f"{table.title}{aside}", table.to_markdown())
    emulated = _emulated(joined)
    if emulated.rows:
        body = f"{EMULATED_WHY}\n\n{emulated.to_markdown()}"
        parts += section(f"{emulated.title}{aside}", body)
    sizes = _sizes(joined)
    parts += section(f"{sizes.title}{aside}", sizes.to_markdown())
    if joined.repeats_study:
        parts += section(graviton.TITLE, published_out.document().body(level=3))
    first = joined.runs[0]
    for run in joined.runs:
        differences = Table(
            columns=["what", first.letter, run.letter],
            rows=[[one.what, one.first, one.second] for one in run.differences],
        )
        title = f"What is not in {run.letter} as in {first.letter}{aside}"
        parts += section(title, differences.to_markdown())
    return "\n\n".join(parts) + "\n"


def _panel(joined: Joined, panel: JoinPanel) -> Table:
    """For a terminal: medians alone, the intervals in columns of their own."""
    first, *rest = joined.runs
    each = [f"{run.letter}{'' if run.container else ', no container'}" for run in joined.runs]
    over = [f"{run.letter} over {first.letter}" for run in rest]
    interval = right("interval", style="dim", wrap=True)
    rows = []
    for line in panel.lines:
        cells = [f" {line.variant}"]
        cells += [seconds(_median(line, place)) for place in range(len(joined.runs))]
        for place in range(1, len(joined.runs)):
            one = _quotient(joined, line, place)
            cells += [times(one.ratio), ratio_interval(one)] if one else [NOTHING, ""]
        rows.append(cells)
    columns = ["", *each, *(one for name in over for one in (name, interval))]
    return Table(columns=columns, rows=rows)


def _title(panel: JoinPanel) -> str:
    return panel.title + (f" — {Machines.DIFFERENT}" if panel.different else "")


def _median(line: Line, place: int) -> float | None:
    return line.bars[place].row.total_s.p50 if place in line.bars else None


def _quotient(joined: Joined, line: Line, place: int) -> Quotient | None:
    found = line.quotients.get(place)
    return None if found is None else joined.quotients[found]


def _runs(joined: Joined) -> Table:
    return Table(
        title="The runs",
        columns=[
            *("", "run", "plan", "machine", "native platform"),
            f"against {joined.runs[0].letter}",
        ],
        rows=[
            [
                *(run.letter, f"`{run.id}`", run.plan),
                run.machine + ("" if run.container else ", no container"),
                *(run.engine_platform or NOTHING, run.against_first or NOTHING),
            ]
            for run in joined.runs
        ],
    )


def _times(joined: Joined, panel: JoinPanel) -> Table:
    first, *rest = joined.runs
    head = ["variant"]
    head += [f"{run.letter} ({run.engine_platform or 'unknown platform'})" for run in joined.runs]
    head += [f"{run.letter} over {first.letter}, {run.against_first}" for run in rest]
    rows = []
    for line in panel.lines:
        cells = [line.variant]
        for place in range(len(joined.runs)):
            row = line.bars[place].row if place in line.bars else None
            cell = f"{seconds(row.total_s.p50)}, {median_interval(row)}, n = {row.n}" if row else ""
            cells.append(cell or NOTHING)
        for place in range(1, len(joined.runs)):
            one = _quotient(joined, line, place)
            cells.append(f"{times(one.ratio)}, {ratio_interval(one)}" if one else NOTHING)
        rows.append(cells)
    return Table(title=_title(panel), columns=head, rows=rows)


def _within(joined: Joined) -> Table:
    rows = []
    for where, lines in within(joined).items():
        for name, places in lines.items():
            cells = [name, where]
            for run_place, run in enumerate(joined.runs):
                found = run.comparisons[places[run_place]] if run_place in places else None
                cells.append(f"{times(found.ratio)}, {ratio_interval(found)}" if found else NOTHING)
            rows.append(cells)
    columns = ["ratio", "where", *(run.letter for run in joined.runs)]
    return Table(title="Ratios of images, within each run", columns=columns, rows=rows)


def _emulated(joined: Joined) -> Table:
    each = [(run.letter, emulated_rows(run.rows)) for run in joined.runs]
    return replace(
        each[0][1],
        columns=["run", *each[0][1].columns],
        rows=[[letter, *cells] for letter, table in each for cells in table.rows],
    )


def _sizes(joined: Joined) -> Table:
    rows = []
    for one in joined.sizes:
        for name, ratio in (("compressed", one.compressed), ("unpacked", one.unpacked)):
            sizes = [
                f"{count_bytes(getattr(size, f'{name}_bytes'))} ({size.run})" if size else NOTHING
                for size in (one.amd64, one.arm64)
            ]
            rows.append([one.variant, name, *sizes, NOTHING if ratio is None else times(ratio)])
    return platform_table(rows)
