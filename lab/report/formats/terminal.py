"""A run's results on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Column
from rich.text import Text

from lab.coldstart.summary import (
    Against,
    Comparison,
    Finding,
    Row,
    Severity,
    Summary,
)
from lab.images.variants import BASELINE
from lab.report.boots import story
from lab.report.catalogue import out as catalogue
from lab.report.comparisons import smallest_image
from lab.report.document import Cell, Document, Table, right
from lab.report.formats import tables
from lab.report.predict import out, section
from lab.report.rows import Group, groups
from lab.report.summary import summarise
from lab.report.words import (
    KINDS,
    PHASES,
    SIGNS,
    count_bytes,
    median_interval,
    percent,
    plural,
    ratio_or_sign,
    seconds,
    tier,
)
from lab.spec import FLOOR, PHASE_COLOURS, Phase, StartKind

_BAR = 16
_FINDINGS = 4


def summary_table(run_dir: Path) -> RenderableType:
    """The whole of it: a table per group, the answer, the figures to reach, the first findings.

    Raises ``UsageError`` for a folder that is no run.
    """
    results = summarise(run_dir)
    summary = results.summary
    aside = "" if summary.run.container else " — no container"
    parts: list[RenderableType] = []
    shown_tables = [_group_table(one, summary.comparisons, aside) for one in groups(results.native)]
    for table in shown_tables:
        parts += [table.to_terminal(), ""]
    shown = [phase for phase in Phase if any(phase in one.row.phases_s for one in results.native)]
    if shown:
        parts += [_legend(shown), ""]
    parts += _boots([one.row for one in results.native])
    parts += [Text(note, "dim") for note in _notes(summary, shown_tables)]
    for table in (
        *(tables.bytes_read(summary.rows), tables.emulated(summary.rows)),
        tables.sizes_by_platform(summary),
    ):
        parts += _titled(table, aside)
    parts += _by_size(catalogue.document(summary), aside)
    parts += _predicted(section.of(results))
    parts += [Text(summary.headline.text, style="bold"), Text(summary.headline.detail, "dim")]
    parts += ["", *_titled(tables.targets(summary.targets), aside)][:-1]
    if summary.findings:
        parts += ["", *_findings(summary.findings)]
    return Lines(*parts)


def _titled(table: Table, aside: str) -> Sequence[RenderableType]:
    """Nothing at all when it has no rows."""
    titled = replace(table, title=f"{table.title}{aside}")
    return [titled.to_terminal(), ""] if table.rows else []


def _group_table(group: Group, comparisons: Sequence[Comparison], aside: str) -> Table:
    """Fits 80 columns: a heading row per start kind, failures beside n where there are any."""
    heading, ratios = _ratios(group, comparisons)
    rows: list[Sequence[Cell]] = []
    for kind in group.kinds:
        members = [one.row for one in group.of(kind)]
        longest = max((sum(row.phases_s.values()) for row in members), default=0.0)
        coverage = _common_coverage(members)
        said = f"at {coverage}" if coverage else ""
        rows.append([Text(KINDS[kind], "bold cyan"), "", "", "", said, "", ""])
        rows += [
            [
                Text(f" {row.variant}", "dim" if row.reference else ""),
                count_bytes(row.image_compressed_bytes or row.image_unpacked_bytes),
                _trials(row),
                _median(row),
                median_interval(row).removesuffix(f" ({coverage})"),
                "busy" if row.busy else ratios.get((row.variant, row.model, row.start_kind), ""),
                _bar(row, longest),
            ]
            for row in members
        ]
    return Table(
        title=f"{group.title}{aside}",
        columns=[
            *("", right("image", style="dim"), "n", right("median", style="bold")),
            *(right("interval", style="dim", wrap=True), heading),
            Column("phases", no_wrap=True, min_width=_BAR),
        ],
        rows=rows,
    )


def _common_coverage(rows: Sequence[Row]) -> str | None:
    """What all the rows' intervals cover, if it is the same and less than 95 %: said once."""
    said = {
        "" if one.total_s.p50_ci95 is not None else percent(one.total_s.range_coverage or 0)
        for one in rows
        if one.n
    }
    only = said.pop() if len(said) == 1 else ""
    return only if only not in {"", percent(0)} else None


def _median(row: Row) -> str:
    if row.n or not (row.failures or row.skipped):
        return seconds(row.total_s.p50)
    return "failed" if row.failures else "skipped"


def _trials(row: Row) -> Text:
    text = Text(str(row.n))
    return text.append(f" ✗{row.failures}", "bold red") if row.failures else text


def _ratios(
    group: Group, comparisons: Sequence[Comparison]
) -> tuple[str, Mapping[tuple[str, str | None, StartKind | None], str]]:
    """What the ratio column divides or is divided by, and each row's ratio, if it has one."""
    variants = {one.row.variant for one in group.own}
    least = smallest_image(group.own)
    if {one.row.variant for one in group.members} - variants - {FLOOR}:
        over, heading = variants, "yours /"
    elif BASELINE in variants:
        over, heading = {BASELINE}, "baseline /"
    else:
        over, heading = set(), f"/ {least}" if least and len(variants) > 1 else ""
    against = (Against.REFERENCE, Against.BASELINE) if over else (Against.SMALLEST,)
    found: dict[tuple[str, str | None, StartKind | None], str] = {}
    for one in comparisons:
        if one.against in against and (one.platform, one.tier) == (group.platform, group.tier):
            if over and one.numerator not in over:
                continue
            mine = (one.denominator, one.denominator_model) if over else (one.numerator, one.model)
            found.setdefault((*mine, one.start_kind), ratio_or_sign(one))
    return heading, found


def _notes(summary: Summary, told: Sequence[Table]) -> Sequence[str]:
    """What the tables' signs and dim rows mean, of those that there are."""
    beside = dict.fromkeys(row.variant for row in summary.rows if row.reference)
    cells = {str(cell) for table in told for row in table.rows for cell in row}
    signs = [f"{sign}  {verdict}" for verdict, sign in SIGNS.items() if sign in cells]
    return [
        *([f"Measured to compare with: {', '.join(beside)}."] if beside else []),
        *signs,
        *([""] if beside or signs else []),
    ]


def _bar(row: Row, longest: float) -> Text:
    text = Text()
    if not longest:
        return text
    drawn = 0
    begin = 0.0
    for phase in Phase:
        begin += row.phases_s.get(phase, 0.0)
        end = round(begin / longest * _BAR)
        text.append("█" * (end - drawn), PHASE_COLOURS[phase].either)
        drawn = max(end, drawn)
    return text if drawn else Text("▏", "dim")


def _by_size(document: Document | None, aside: str) -> Iterator[RenderableType]:
    if document is not None:
        for table, said in zip(document.tables, document.answer.split("\n\n"), strict=True):
            yield from _titled(table, aside)
            yield from (Text(said, "bold"), "")


def _predicted(document: Document | None) -> Iterator[RenderableType]:
    """The variants on AWS; constants and errors are for ``lab report predict``."""
    if document is not None:
        for table in out.of_variants(document):
            yield from (table.to_terminal(), "")
        yield from (Text(document.answer, "dim"), "")


def _legend(shown: Sequence[Phase]) -> Text:
    text = Text()
    for phase in shown:
        text.append("█ ", PHASE_COLOURS[phase].either).append(f"{PHASES[phase]}  ", "dim")
    return text


def _boots(rows: Sequence[Row]) -> Iterator[RenderableType]:
    told = [row for row in rows if row.variant != FLOOR and row.n and story(row)]
    for row in told:
        taken = seconds(row.phases_s.get(Phase.BOOT))
        text = Text(f"boot of {row.variant}, {KINDS[row.start_kind]}, {tier(row.tier)}: {taken}. ")
        yield text.append(story(row), "dim")
    if told:
        yield ""


def _findings(findings: Sequence[Finding]) -> Iterator[RenderableType]:
    styles = {Severity.SERIOUS: "red", Severity.WARNING: "yellow", Severity.HINT: "cyan"}
    for one in findings[:_FINDINGS]:
        text = Text("● ", styles[one.severity]).append(one.title, "bold")
        if one.stake_s is not None:
            text.append(f" ({seconds(one.stake_s)} at stake)", "dim")
        yield text.append(f"\n  → {one.remedy}", "dim")
    if len(findings) > _FINDINGS:
        yield Text(
            f"  and {plural(len(findings) - _FINDINGS, 'finding')} more in the report", "dim"
        )
