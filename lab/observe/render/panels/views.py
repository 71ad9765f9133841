"""What panels are drawn from: finished texts, colours and shares; templates decide nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from lab.observe.render.ask import AnnotationEvent, QueryResult
from lab.observe.render.board import Panel
from lab.observe.render.templating import Scope


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What a kind of panel gets to draw from."""

    panel: Panel
    answer: QueryResult
    scope: Scope
    width: int
    height: int
    events: Sequence[AnnotationEvent] = ()
    uids: Sequence[str] = ()
    """Boards on the same page: links to them stay on it."""


@dataclass(frozen=True, kw_only=True)
class LegendEntry:
    """A line of a legend."""

    name: str
    colour: str
    traces: Sequence[int]
    """Which curves it shows and hides."""
    calcs: Sequence[str] = ()
    dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Legend:
    """Beside or below a plot."""

    entries: Sequence[LegendEntry]
    heads: Sequence[str] = ()
    right: bool = False


@dataclass(frozen=True, kw_only=True)
class ColorScale:
    """A heat map's colours, from the least to the most."""

    gradient: str
    low: str
    high: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Drawn by Plotly."""

    figure: Mapping[str, Any]
    legend: Legend | None = None
    scale: ColorScale | None = None
    kind: str = "plot"


@dataclass(frozen=True, kw_only=True)
class StatTile:
    """One large number."""

    value: str
    name: str
    ink: str
    size: int
    """Pixels of its letters."""
    ground: str = ""
    line: str = ""
    """A small curve as an SVG path in a box of 100 x 100."""
    area: str = ""
    change: str = ""


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """Large numbers side by side, or below each other."""

    tiles: Sequence[StatTile]
    downwards: bool
    kind: str = "tiles"


@dataclass(frozen=True, kw_only=True)
class Arc:
    """A piece of a dial, an SVG path."""

    path: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Dial:
    """A gauge."""

    value: str
    name: str
    ink: str
    filled: str
    """The path of the part that is reached; empty for none."""
    bands: Sequence[Arc]
    ends: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Gauges side by side."""

    dials: Sequence[Dial]
    kind: str = "dials"


@dataclass(frozen=True, kw_only=True)
class StateStrip:
    """A bar gauge's bar."""

    name: str
    value: str
    ink: str
    share: float
    """Per cent of the way from the least to the most."""
    fill: str


@dataclass(frozen=True, kw_only=True)
class StateStrips:
    """A bar gauge."""

    strips: Sequence[StateStrip]
    upright: bool
    valued: bool
    track: bool
    kind: str = "strips"


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """A cell of a table."""

    text: str
    ink: str = ""
    ground: str = ""
    share: float | None = None
    """Per cent of a bar inside it."""
    bar: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """The head of a table's column."""

    name: str
    numeric: bool


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[TableCell]]
    headed: bool = True
    footer: Sequence[str] = field(default_factory=list)
    kind: str = "table"


@dataclass(frozen=True, kw_only=True)
class Words:
    """Text."""

    html: Markup
    kind: str = "words"


View = Plot | Tiles | Dials | StateStrips | Table | Words
