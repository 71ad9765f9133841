"""Dashboard files as Grafana 11 writes them, read into what drawing needs."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final

from lab.errors import UsageError

_GRAFANAS_OWN: Final = frozenset({"grafana", "datasource"})
_COLUMNS: Final = 24
_GAP: Final = 8
_PAGE: Final = 1280
_MARGIN: Final = 32
"""Pixels, but for the columns."""


@dataclass(frozen=True, kw_only=True)
class PanelQuery:
    """One query of a panel."""

    ref: str
    expr: str
    legend: str = "__auto"
    instant: bool = False
    format: str = "time_series"
    """``time_series``, ``table`` or ``heatmap``."""


@dataclass(frozen=True, kw_only=True)
class GridPosition:
    """Where a panel stands, in cells of a grid of 24 columns."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel as its file has it; foreign parts stay as JSON."""

    title: str
    kind: str
    place: GridPosition
    description: str = ""
    targets: Sequence[PanelQuery] = ()
    since: str = ""
    """A range of its own instead of the board's, such as ``24h``."""
    json: Mapping[str, Any] = field(default_factory=dict)
    """All of it, but for what is switched off."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What its kind alone has."""
        return self.json.get("options") or {}

    @property
    def defaults(self) -> Mapping[str, Any]:
        """How its columns are shown, unless an override says otherwise."""
        return (self.json.get("fieldConfig") or {}).get("defaults") or {}

    @property
    def width(self) -> int:
        """Pixels on a page of 1280."""
        column = (_PAGE - _MARGIN - (_COLUMNS - 1) * _GAP) / _COLUMNS
        return round(self.place.w * (column + _GAP) - _GAP)


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A choice at the top of a board."""

    name: str
    kind: str
    label: str = ""
    query: str = ""
    regex: str = ""
    multi: bool = False
    include_all: bool = False
    all_value: str = ""
    sort: int = 0
    current: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """Moments that Prometheus knows, drawn over every curve."""

    name: str
    expr: str
    colour: str
    title: str = ""
    text: str = ""
    step: str = "60s"
    value_is_time: bool = False


@dataclass(frozen=True, kw_only=True)
class BoardLink:
    """A link at the top of a board."""

    title: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    panels: Sequence[Panel]
    description: str = ""
    variables: Sequence[Variable] = ()
    annotations: Sequence[Annotation] = ()
    elsewhere: Sequence[str] = ()
    """Annotations that only Grafana keeps, by name: they cannot be drawn from Prometheus."""
    links: Sequence[BoardLink] = ()
    since: str = "now-1h"
    until: str = "now"


def find(folder: Path, chosen: Sequence[str] = ()) -> Sequence[Board]:
    """The boards of a folder in the order of their links, or those chosen by uid, title or file.

    Raises ``UsageError`` for a folder without boards, a name that none has, or a broken file.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise UsageError(
            f"There is no dashboard in {folder}.", remedy="Make them: lab observe boards."
        )
    known = {file: read(file) for file in files}
    if not chosen:
        return _as_linked(list(known.values()))
    found = []
    for name in chosen:
        fits = [b for f, b in known.items() if name in (b.uid, b.title, f.name, f.stem)]
        fits += [b for b in known.values() if b.uid == f"lab-{name}" and b not in fits]
        if not fits:
            there = ", ".join(board.uid for board in known.values())
            raise UsageError(f"No board is called {name!r}.", remedy=f"There are: {there}.")
        found.append(fits[0])
    return found


def _as_linked(boards: Sequence[Board]) -> Sequence[Board]:
    """As the boards' own links have them; a board does not link to itself, two do for all."""
    after: dict[str, set[str]] = {board.uid: set() for board in boards}
    for board in boards:
        order = [link.url.rsplit("/", 1)[-1] for link in board.links]
        for place, uid in enumerate(order):
            if uid in after:
                after[uid] |= set(order[:place])
    return sorted(boards, key=lambda board: (len(after[board.uid]), board.title))


def read(file: Path) -> Board:
    """A dashboard's file. Raises ``UsageError`` that names it when it is none."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return parse(document)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{file} is no dashboard of Grafana's: {type(error).__name__} {error}.",
            remedy="Make it again: lab observe boards.",
        ) from error


def parse(document: Mapping[str, Any]) -> Board:
    """A dashboard's JSON. Raises ``KeyError`` and the like when it is none."""
    time = document.get("time") or {}
    marks = (document.get("annotations") or {}).get("list") or []
    marks = [mark for mark in marks if mark.get("enable", True) and not mark.get("builtIn")]
    return Board(
        uid=str(document["uid"]),
        title=str(document["title"]),
        description=document.get("description") or "",
        panels=[_panel(panel) for panel in document.get("panels") or []],
        variables=[_variable(one) for one in (document.get("templating") or {}).get("list") or []],
        annotations=[_annotation(mark) for mark in marks if not _of_grafana(mark)],
        elsewhere=[str(mark.get("name", "")) for mark in marks if _of_grafana(mark)],
        links=[
            BoardLink(title=link.get("title") or "", url=link.get("url") or "")
            for link in document.get("links") or []
            if link.get("url")
        ],
        since=time.get("from") or "now-1h",
        until=time.get("to") or "now",
    )


def _of_grafana(mark: Mapping[str, Any]) -> bool:
    source = mark.get("datasource")
    return isinstance(source, Mapping) and source.get("type") in _GRAFANAS_OWN


def _panel(raw: Mapping[str, Any]) -> Panel:
    grid = raw.get("gridPos") or {}
    targets = [one for one in raw.get("targets") or [] if not one.get("hide")]
    changes = [one for one in raw.get("transformations") or [] if not one.get("disabled")]
    return Panel(
        title=raw.get("title") or "",
        kind=str(raw["type"]),
        place=GridPosition(
            x=int(grid.get("x", 0)),
            y=int(grid.get("y", 0)),
            w=int(grid.get("w", 12)),
            h=int(grid.get("h", 8)),
        ),
        description=raw.get("description") or "",
        targets=[_target(one, place) for place, one in enumerate(targets) if "expr" in one],
        since=raw.get("timeFrom") or "",
        json={**raw, "targets": targets, "transformations": changes},
    )


def _target(raw: Mapping[str, Any], place: int) -> PanelQuery:
    return PanelQuery(
        ref=raw.get("refId") or ascii_uppercase[place % len(ascii_uppercase)],
        expr=raw["expr"],
        legend=raw.get("legendFormat") or "__auto",
        # With both, Grafana draws the range; the instant one is for tables in Explore.
        instant=bool(raw.get("instant")) and not raw.get("range"),
        format=raw.get("format") or "time_series",
    )


def _variable(raw: Mapping[str, Any]) -> Variable:
    current = (raw.get("current") or {}).get("value")
    values = current if isinstance(current, list) else [] if current in (None, "") else [current]
    query = raw.get("query")
    return Variable(
        name=raw["name"],
        kind=raw["type"],
        label=raw.get("label") or "",
        query=(query.get("query") or "") if isinstance(query, Mapping) else str(query or ""),
        regex=raw.get("regex") or "",
        multi=bool(raw.get("multi")),
        include_all=bool(raw.get("includeAll")),
        all_value=raw.get("allValue") or "",
        sort=int(raw.get("sort") or 0),
        current=[str(value) for value in values],
    )


def _annotation(raw: Mapping[str, Any]) -> Annotation:
    return Annotation(
        name=raw.get("name") or "",
        expr=raw.get("expr") or (raw.get("target") or {}).get("expr") or "",
        colour=raw.get("iconColor") or "blue",
        title=raw.get("titleFormat") or "",
        text=raw.get("textFormat") or "",
        step=raw.get("step") or "60s",
        value_is_time=raw.get("useValueForTime") in (True, "on", "true"),
    )


def link_to(url: str, uids: Sequence[str]) -> str:
    """A link to a board on the same page; empty for one to anywhere else of Grafana."""
    found = re.match(r"^(?:https?://[^/]+)?/?d/([^/?#]+)", url)
    if found:
        return f"#{found[1]}" if found[1] in uids else ""
    return url if url.startswith(("https://", "http://")) else ""
