"""The join on a terminal and as Markdown."""

from collections.abc import Iterator, Sequence

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lab.coldstart.summary import Row
from lab.report.join.model import Joined, Machines, Quotient
from lab.report.join.view import JoinPanel, Line, panels, within
from lab.report.markdown_table import table as markdown_table
from lab.report.study import graviton, published_out
from lab.report.words import (
    EMULATED_WHY,
    KINDS,
    NOTHING,
    count_bytes,
    median_interval,
    percent,
    ratio_interval,
    ratio_pair,
    seconds,
    tier,
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
        machines = f" — {Machines.DIFFERENT}" if panel.different else ""
        parts += ["", Text(f"{panel.title}{machines}", "bold"), _panel(joined, panel)]
    emulated = list(_emulated(joined))
    if emulated:
        said = f"{len(emulated)} rows ran under emulation (QEMU) and are in no table here."
        parts += ["", Text(said, "yellow")]
    parts += ["", Text(joined.headline.text, "bold"), Text(joined.headline.detail, "dim")]
    return Lines(*parts)


def to_markdown(joined: Joined) -> str:
    """``report.md`` of a join: the page's tables."""
    aside = "" if joined.container else " — partly no container"
    parts = [f"# {joined.headline.text}{aside}", joined.headline.detail]
    parts += [f"## The runs{aside}", _runs(joined)]
    for panel in panels(joined):
        machines = f" — {Machines.DIFFERENT}" if panel.different else ""
        parts += [f"## {panel.title}{machines}{aside}", _times(joined, panel)]
    ratios = _within(joined)
    if ratios:
        parts += [f"## Ratios of images, within each run{aside}", ratios]
    emulated = list(_emulated(joined))
    if emulated:
        head = ["run", "variant", "model", "platform", "tier", "start"]
        head += ["n", "failed", "p50, emulated"]
        parts += [f"## Emulated (QEMU), in no other table{aside}", EMULATED_WHY]
        parts += [markdown_table(head, emulated)]
    parts += [f"## Image sizes by platform{aside}", _sizes(joined)]
    parts += [f"## {graviton.TITLE}", published_out.to_markdown()]
    for run in joined.runs:
        if run.differences:
            title = f"## What is not in {run.letter} as in {joined.runs[0].letter}{aside}"
            head = ["what", joined.runs[0].letter, run.letter]
            lines = ([one.what, one.first, one.second] for one in run.differences)
            parts += [title, markdown_table(head, lines)]
    return "\n\n".join(parts) + "\n"


def interval_of(one: Quotient) -> str:
    """The interval, with its coverage when below 95 %."""
    if one.interval is None:
        return "too few samples"
    text = ratio_pair(one.interval)
    if one.ci95 is None and one.coverage is not None:
        return f"{text} (at least {percent(one.coverage)})"
    return text


def _panel(joined: Joined, panel: JoinPanel) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True, max_width=26)
    first = joined.runs[0].letter
    for run in joined.runs:
        aside = "" if run.container else ", no container"
        table.add_column(f"{run.letter}{aside}", justify="right", no_wrap=True)
    for run in joined.runs[1:]:
        table.add_column(f"{run.letter} over {first}", justify="right", no_wrap=True)
        table.add_column("interval", justify="right", style="dim")
    for line in panel.lines:
        cells = [seconds(_median(line, place)) for place in range(len(joined.runs))]
        for place in range(1, len(joined.runs)):
            one = _quotient(joined, line, place)
            cells += [times(one.ratio), interval_of(one)] if one else [NOTHING, ""]
        table.add_row(f" {line.variant}", *cells)
    return table


def _median(line: Line, place: int) -> float | None:
    return line.cells[place].row.total_s.p50 if place in line.cells else None


def _quotient(joined: Joined, line: Line, place: int) -> Quotient | None:
    found = line.quotients.get(place)
    return None if found is None else joined.quotients[found]


def _runs(joined: Joined) -> str:
    return markdown_table(
        ["", "run", "plan", "machine", "native platform", f"against {joined.runs[0].letter}"],
        (
            [
                *(run.letter, f"`{run.id}`", run.plan),
                run.machine + ("" if run.container else ", no container"),
                *(run.engine_platform or NOTHING, run.against_first or NOTHING),
            ]
            for run in joined.runs
        ),
    )


def _times(joined: Joined, panel: JoinPanel) -> str:
    first, *rest = joined.runs
    head = ["variant"]
    head += [f"{run.letter} ({run.engine_platform or 'unknown platform'})" for run in joined.runs]
    head += [f"{run.letter} over {first.letter}, {run.against_first}" for run in rest]
    lines = []
    for line in panel.lines:
        cells = [line.variant]
        for place in range(len(joined.runs)):
            row = line.cells[place].row if place in line.cells else None
            cells.append(_with_interval(row) if row else NOTHING)
        for place in range(1, len(joined.runs)):
            one = _quotient(joined, line, place)
            cells.append(f"{times(one.ratio)}, {interval_of(one)}" if one else NOTHING)
        lines.append(cells)
    return markdown_table(head, lines)


def _with_interval(row: Row) -> str:
    return f"{seconds(row.total_s.p50)}, {median_interval(row)}, n = {row.n}"


def _within(joined: Joined) -> str:
    lines = []
    for block in within(joined):
        for one in block.lines:
            cells = [one.name, block.where]
            for place, run in enumerate(joined.runs):
                found = run.comparisons[one.cells[place]] if place in one.cells else None
                cells.append(f"{times(found.ratio)}, {ratio_interval(found)}" if found else NOTHING)
            lines.append(cells)
    return markdown_table(["ratio", "where", *(run.letter for run in joined.runs)], lines)


def _emulated(joined: Joined) -> Iterator[Sequence[str]]:
    for run in joined.runs:
        for row in run.rows:
            if row.emulated:
                yield (
                    *(run.letter, row.variant, row.model, row.platform, tier(row.tier)),
                    *(KINDS[row.start_kind], str(row.n), str(row.failures)),
                    seconds(row.total_s.p50),
                )


def _sizes(joined: Joined) -> str:
    head = ["image"]
    for what in ("compressed", "unpacked"):
        head += [f"{what}, amd64", f"{what}, arm64", f"{what}, arm64 / amd64"]
    lines = []
    for one in joined.sizes:
        cells = [one.variant]
        for key, ratio in (
            ("compressed_bytes", one.compressed),
            ("unpacked_bytes", one.unpacked),
        ):
            for size in (one.amd64, one.arm64):
                told = NOTHING if size is None else count_bytes(getattr(size, key))
                cells.append(told if size is None else f"{told} ({size.run})")
            cells.append(NOTHING if ratio is None else times(ratio))
        lines.append(cells)
    return markdown_table(head, lines)
