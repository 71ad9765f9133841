"""A board: its panels laid out in rows of 24 columns, its variables, links and annotations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from lab.observe.boards import panels
from lab.observe.boards.panels import BLUE, GREY, ORANGE, SOURCE
from lab.observe.names import Tag

COLUMNS: Final = 24

TITLES: Final = {
    "lab-endpoints": "Endpoints",
    "lab-coldstart": "Cold start anatomy",
    "lab-container": "Container",
    "lab-model": "Model",
    "lab-compare": "Compare",
    "lab-load": "Load",
}
"""Every board by its uid, in the order in which they are linked."""

CHANGES: Final = "Endpoints change state"
COLD: Final = "Cold starts"
_FROM_PROMETHEUS: Final = (
    (CHANGES, "sagemaker_endpoint_status_timestamp_seconds * 1000", GREY),
    (COLD, "sum by (endpoint) (increase(sagemaker_cold_starts_total[30s])) > 0", ORANGE),
)
DETAILS: Final[Mapping[str, Mapping[str, Any]]] = {
    CHANGES: {
        "step": "15s",
        "tagKeys": "endpoint",
        "titleFormat": "{{endpoint}} is {{status}}",
        "useValueForTime": "on",
    },
    COLD: {"step": "15s", "tagKeys": "endpoint", "titleFormat": "{{endpoint}} started cold"},
}
"""What Prometheus's annotations have and the SDK's type of an annotation lacks, by their name."""


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """Panels side by side, with their widths in columns; together they fill the board."""

    height: int
    widths: Sequence[int]
    panels: Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class Board:
    """What a module of a board says."""

    uid: str
    about: str
    note: str
    """What to look for, in Markdown: above all else."""
    variables: Sequence[dashboard.QueryVariable]
    rows: Sequence[BoardRow]
    since: str = "now-1h"


def variable(
    name: str, query: str, *, label: str = "", several: bool = False, first: str | None = None
) -> dashboard.QueryVariable:
    """A choice among the values that a label has; ``several`` begins with all of them."""
    made = (
        dashboard.QueryVariable(name)
        .label(label or name.replace("_", " ").capitalize())
        .datasource(SOURCE)
        .query({"query": query, "refId": f"variable-{name}"})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
    )
    if several:
        everything = models.VariableOption(selected=True, text=["All"], value=["$__all"])
        made = made.multi(True).include_all(True).all_value(".+")  # noqa: FBT003 - the SDK's way
        return made.current(everything)
    if first is not None:
        return made.current(models.VariableOption(selected=True, text=first, value=first))
    return made


def assemble(board: Board) -> models.Dashboard:
    """The board as Grafana reads it."""
    made = (
        dashboard.Dashboard(TITLES[board.uid])
        .uid(board.uid)
        .description(board.about)
        .tags([Tag.LAB.value])
        .editable()
        .timezone("browser")
        .time(board.since, "now")
        .refresh("10s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .variables(list(board.variables))
        .annotations(list(_annotations()))
        .links([_link(uid) for uid in TITLES if uid != board.uid])
    )
    number, top = 0, 0
    note = BoardRow(height=4, widths=(COLUMNS,), panels=[panels.note(board.note)])
    for row in (note, *board.rows):
        left = 0
        for panel, width in zip(row.panels, row.widths, strict=True):
            number += 1
            place = models.GridPos(h=row.height, w=width, x=left, y=top)
            made = made.with_panel(panel.id(number).grid_pos(place))
            left += width
        top += row.height
    return made.build()


def _link(uid: str) -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink(TITLES[uid])
        .type(models.DashboardLinkType.LINK)
        .icon("dashboard")
        .tooltip(f"Go to the board {TITLES[uid]}")
        .url(f"/d/{uid}")
        .include_vars(True)  # noqa: FBT003 - the SDK's way
        .keep_time(True)  # noqa: FBT003
    )


def _annotations() -> Sequence[dashboard.AnnotationQuery]:
    """Benches write theirs into Grafana; what endpoints do is in Prometheus, who needs no key."""
    tagged = dashboard.AnnotationTarget().type("tags").limit(100).match_any(False)  # noqa: FBT003
    benches = (
        _annotation("Benches", BLUE)
        .datasource(models.DataSourceRef(type_val="grafana", uid="-- Grafana --"))
        .target(tagged.tags([Tag.LAB.value, Tag.BENCH.value]))
    )
    others = [
        _annotation(name, colour).datasource(SOURCE).expr(expr)
        for name, expr, colour in _FROM_PROMETHEUS
    ]
    return [benches, *others]


def _annotation(name: str, colour: str) -> dashboard.AnnotationQuery:
    return dashboard.AnnotationQuery().name(name).enable(True).icon_color(colour)  # noqa: FBT003
