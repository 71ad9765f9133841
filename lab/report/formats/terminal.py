"""A run's results on a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lab.images.variants import BASELINE
from lab.report.comparisons import smallest_image
from lab.report.formats.markdown import target_value
from lab.report.model import (
    Against,
    Comparison,
    Finding,
    Quantity,
    Reached,
    Row,
    Severity,
    Summary,
)
from lab.report.rows import Group, groups
from lab.report.summary import Results, summarise
from lab.report.targets import worth_showing
from lab.report.words import (
    KINDS,
    PHASES,
    count_bytes,
    median_interval,
    percent,
    plural,
    seconds,
    tier,
    times,
)
from lab.spec import PHASE_COLOURS, Phase, Platform

_BAR = 16
_FINDINGS = 4


def summary_table(run_dir: Path) -> RenderableType:
    """The whole of it: a table per group, the answer, the figures to reach, the first findings.

    Raises ``UsageError`` for a folder that is no run.
    """
    return render(summarise(run_dir))


def render(results: Results) -> RenderableType:
    """The same, of results that are there already."""
    summary = results.summary
    aside = "" if summary.run.container else " — no container"
    timed = [one for one in results.measured if not one.row.emulated]
    parts: list[RenderableType] = []
    for group in groups(timed):
        parts += [_table(group, summary.comparisons, aside), ""]
    shown = [phase for phase in Phase if any(phase in one.row.phases_s for one in timed)]
    if shown:
        parts += [_legend(shown), ""]
    emulated = [row for row in summary.rows if row.emulated]
    if emulated:
        parts += [_emulated(emulated, aside), ""]
    sizes = [one for one in summary.comparisons if one.against is Against.PLATFORM]
    if sizes:
        parts += [_platforms(sizes, summary.rows, aside), ""]
    parts += [Text(summary.headline.text, style="bold"), Text(summary.headline.detail, "dim")]
    if worth_showing(summary.targets):
        parts += ["", _targets(summary, aside)]
    if summary.findings:
        parts += ["", *_findings(summary.findings)]
    return Lines(*parts)


def _table(group: Group, comparisons: Sequence[Comparison], aside: str) -> Table:
    """Fits 80 columns: a heading row per start kind, failures beside n where there are any."""
    title = f"{' and '.join(group.models)} · {group.platform} · {tier(group.tier)}{aside}"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    against = _reference(group)
    table.add_column("", no_wrap=True, max_width=26)
    table.add_column("image", justify="right", style="dim", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("median", justify="right", style="bold", no_wrap=True)
    table.add_column("interval", justify="right", style="dim")
    table.add_column(against.heading, justify="right", no_wrap=True)
    table.add_column("phases", no_wrap=True, min_width=_BAR)
    for kind in group.kinds:
        rows = [one.row for one in group.of(kind)]
        longest = max((sum(row.phases_s.values()) for row in rows), default=0.0)
        coverage = _common_coverage(rows)
        said = f"at {coverage}" if coverage else ""
        table.add_row(Text(KINDS[kind], "bold cyan"), "", "", "", said)
        for row in rows:
            table.add_row(
                f" {row.variant}",
                count_bytes(row.image_compressed_bytes or row.image_unpacked_bytes),
                _trials(row),
                "skipped" if row.skipped and not row.n else seconds(row.total_s.p50),
                median_interval(row).removesuffix(f" ({coverage})"),
                against.ratio(row, comparisons),
                _bar(row, longest),
            )
    return table


def _common_coverage(rows: Sequence[Row]) -> str | None:
    """What all the rows' intervals cover, if it is the same and less than 95 %: said once."""
    said = {
        "" if one.total_s.p50_ci95 is not None else percent(one.total_s.range_coverage or 0)
        for one in rows
        if one.n
    }
    only = said.pop() if len(said) == 1 else ""
    return only if only not in {"", percent(0)} else None


def _trials(row: Row) -> Text:
    text = Text(str(row.n))
    return text.append(f" ✗{row.failures}", "bold red") if row.failures else text


@dataclass(frozen=True, kw_only=True)
class _Reference:
    """What the ratio column divides by, or is divided by."""

    heading: str
    against: Against

    def ratio(self, row: Row, comparisons: Sequence[Comparison]) -> str:
        """The row's ratio, if there is one."""
        for one in comparisons:
            if self.against is Against.BASELINE:
                mine = (one.denominator, one.denominator_model) == (row.variant, row.model)
            else:
                mine = (one.numerator, one.model) == (row.variant, row.model)
            where = (one.platform, one.tier, one.start_kind)
            here = where == (row.platform, row.tier, row.start_kind)
            if one.against is self.against and mine and here:
                return times(one.ratio)
        return ""


def _reference(group: Group) -> _Reference:
    if any(one.row.variant == BASELINE for one in group.members):
        return _Reference(heading="baseline /", against=Against.BASELINE)
    least = smallest_image(group.members)
    return _Reference(heading=f"/ {least}" if least else "", against=Against.SMALLEST)


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


def _legend(shown: Sequence[Phase]) -> Text:
    text = Text()
    for phase in shown:
        text.append("█ ", PHASE_COLOURS[phase].either).append(f"{PHASES[phase]}  ", "dim")
    return text


def _emulated(rows: Sequence[Row], aside: str) -> RenderableType:
    """Labelled and apart: nothing that divides or ranks stands in this table."""
    table = Table(
        title=f"Emulated (QEMU): no times to go by{aside}",
        title_justify="left",
        title_style="bold yellow",
        box=None,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True, max_width=26)
    table.add_column("platform", no_wrap=True)
    table.add_column("tier", no_wrap=True)
    table.add_column("start", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("p50, emulated", justify="right", style="dim italic", no_wrap=True)
    for row in rows:
        table.add_row(
            *(f" {row.variant}", row.platform.arch, tier(row.tier), KINDS[row.start_kind]),
            _trials(row),
            "skipped" if row.skipped and not row.n else seconds(row.total_s.p50),
        )
    return table


def _platforms(found: Sequence[Comparison], rows: Sequence[Row], aside: str) -> Table:
    """Image bytes by platform: exact, emulated or not."""
    table = Table(
        title=f"Image sizes by platform{aside}",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True, max_width=26)
    table.add_column("")
    for heading in ("amd64", "arm64", "arm64 / amd64"):
        table.add_column(heading, justify="right", no_wrap=True)
    sizes = {
        (row.variant, row.platform, quantity): getattr(row, quantity)
        for row in rows
        for quantity in (Quantity.COMPRESSED, Quantity.UNPACKED)
    }
    for one in found:
        variant = one.variant or ""
        table.add_row(
            f" {variant}",
            "compressed" if one.quantity is Quantity.COMPRESSED else "unpacked",
            *(count_bytes(sizes[variant, each, one.quantity]) for each in Platform),
            times(one.ratio),
        )
    return table


def _targets(summary: Summary, aside: str) -> Table:
    table = Table(
        title=f"Figures to reach{aside}",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("")
    table.add_column("goal", justify="right", no_wrap=True)
    table.add_column("this run", justify="right", style="bold", no_wrap=True)
    table.add_column("")
    table.add_column("the study", style="dim")
    styles = {Reached.YES: "green", Reached.NO: "red", Reached.UNMEASURED: "dim"}
    for one in summary.targets:
        table.add_row(
            one.what,
            one.goal,
            target_value(one),
            Text(one.reached, styles[one.reached]),
            one.published or "",
        )
    return table


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
