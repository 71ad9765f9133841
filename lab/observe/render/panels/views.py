"""What panels are drawn from: finished texts, colours and shares; templates decide nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.observe.render.ask import AnnotationEvent, QueryResult
from lab.observe.render.board import Panel
from lab.observe.render.variables import Scope


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What a kind of panel gets to draw from."""

    panel: Panel
    answer: QueryResult
    scope: Scope
    events: Sequence[AnnotationEvent] = ()


@dataclass(frozen=True, kw_only=True)
class LegendEntry:
    """A curve's name below a plot; it shows and hides the curve of the same place."""

    name: str
    colour: str
    dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Drawn by Plotly."""

    figure: Mapping[str, Any]
    legend: Sequence[LegendEntry] = ()
    kind: str = "plot"


@dataclass(frozen=True, kw_only=True)
class StatTile:
    """One large number."""

    value: str
    name: str
    ink: str


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """Large numbers side by side."""

    tiles: Sequence[StatTile]
    kind: str = "tiles"


@dataclass(frozen=True, kw_only=True)
class BarView:
    """A bar gauge's bar."""

    name: str
    value: str
    share: float
    """Per cent of the way from the least to the most."""
    fill: str


@dataclass(frozen=True, kw_only=True)
class Bars:
    """A bar gauge."""

    bars: Sequence[BarView]
    kind: str = "bars"


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """A cell of a table."""

    text: str
    share: float | None = None
    """Per cent of a bar inside it."""
    fill: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """The head of a table's column."""

    name: str
    numeric: bool


@dataclass(frozen=True, kw_only=True)
class TableView:
    """Rows of cells."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[TableCell]]
    kind: str = "table"


@dataclass(frozen=True, kw_only=True)
class Words:
    """Text, in Markdown."""

    text: str
    kind: str = "words"


View = Plot | Tiles | Bars | TableView | Words
