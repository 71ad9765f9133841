"""The published estimate for arm64 on a terminal and as Markdown; the page has a template."""

from collections.abc import Iterable, Sequence

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lab.report.markdown_table import table as markdown_table
from lab.report.study import graviton
from lab.report.study.published import NAMES, REAL_TIME, REQUESTS, SOURCE, YEAR
from lab.report.words import significant, times

_INSTANCES = (
    *("instance", "ISA", "USD/h", "model", "prediction, ms"),
    *("total, ms", "USD/1000"),
)
_RATIOS = ("arm64 / x86-64", "model", "prediction", "total", "hour", "a prediction")


def source() -> str:
    """Where the figures are from."""
    return f"{SOURCE}: SageMaker real-time endpoints, means of {REQUESTS} requests, {YEAR}'s prices"


def instance_lines() -> Iterable[Sequence[str]]:
    """Each model on each instance."""
    for one in REAL_TIME:
        yield (
            *(one.instance, one.platform.arch, f"{one.usd_per_hour:g}"),
            NAMES[one.model],
            f"{one.prediction_s * 1000:.1f} ({one.prediction_sd_s * 1000:.1f})",
            f"{one.total_s * 1000:.1f} ({one.total_sd_s * 1000:.1f})",
            significant(one.usd_per_1000),
        )


def ratio_lines() -> Iterable[Sequence[str]]:
    """Each Graviton instance over each x86-64 one."""
    for one in graviton.ratios():
        yield (
            *(one.pair, NAMES[one.model], times(one.prediction), times(one.total)),
            *(times(one.price), times(one.cost)),
        )


def to_terminal() -> RenderableType:
    """``lab report published``."""
    return Lines(
        Text(graviton.TITLE, style="bold"),
        Text(f"{source()}.", style="dim"),
        "",
        _table("Instances, mean (population s.d.)", _INSTANCES, instance_lines()),
        "",
        _table(
            "Graviton over x86-64: below 1x is less time, or less money", _RATIOS, ratio_lines()
        ),
        Text(f"{graviton.FORMULA}, {graviton.ASSUMES}.", style="dim"),
        "",
        *(Text(f"• {said}") for said in graviton.verdict()),
    )


def to_markdown() -> str:
    """The section's body."""
    told = "Nothing in this section was measured here, and no figure of this run is made of it."
    return "\n\n".join(
        [
            f"{source()}. {told}",
            markdown_table(_INSTANCES, instance_lines()),
            markdown_table(_RATIOS, ratio_lines()),
            f"{graviton.FORMULA}, {graviton.ASSUMES}.",
            "\n".join(f"- {said}" for said in graviton.verdict()),
        ]
    )


def _table(title: str, heads: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold cyan", box=None, pad_edge=False
    )
    for place, head in enumerate(heads):
        words = head == "model" or place == 0
        table.add_column(head, justify="left" if words else "right", overflow="fold")
    for cells in lines:
        table.add_row(*cells)
    return table
