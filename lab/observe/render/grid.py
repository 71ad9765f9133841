"""Where panels stand: Grafana's 24 columns, rows that head sections, panels and rows repeated."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lab.observe.render.board import Board, GridPosition, Panel
from lab.observe.render.templating import Scope

COLUMNS: Final = 24
CELL: Final = 30
GAP: Final = 8
"""Pixels, as in Grafana: a panel of 8 rows is 8 * 30 + 7 * 8 high."""
PAGE: Final = 1280
_MARGIN: Final = 32


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A panel at its place within its section, with the variables that hold there."""

    panel: Panel
    scope: Scope

    @property
    def width(self) -> int:
        """Pixels on a page of 1280."""
        column = (PAGE - _MARGIN - (COLUMNS - 1) * GAP) / COLUMNS
        return round(self.panel.place.w * (column + GAP) - GAP)

    @property
    def height(self) -> int:
        return self.panel.place.h * (CELL + GAP) - GAP


@dataclass(frozen=True, kw_only=True)
class Section:
    """What stands below a row's title, or above the first row."""

    title: str
    placed: Sequence[Placed]


def sections(board: Board, scope: Scope) -> Sequence[Section]:
    """The whole board; folded rows are unfolded, for a page cannot ask again."""
    found = []
    for row, panels in _by_row(board.panels):
        for inside in _scopes(row, scope):
            title = inside.words(row.title) if row else ""
            found.append(Section(title=title, placed=_lay(panels, inside)))
    return [section for section in found if section.placed or section.title]


def _by_row(panels: Sequence[Panel]) -> Sequence[tuple[Panel | None, Sequence[Panel]]]:
    groups: list[tuple[Panel | None, list[Panel]]] = [(None, [])]
    for panel in sorted(panels, key=lambda one: (one.place.y, one.place.x)):
        if panel.kind == "row":
            groups.append((panel, list(panel.collapsed)))
        else:
            groups[-1][1].append(panel)
    return groups


def _scopes(panel: Panel | None, scope: Scope) -> Sequence[Scope]:
    """One for each value of the variable that repeats it."""
    name = panel.repeat if panel else ""
    if not name or name not in scope.chosen:
        return [scope]
    return [scope.only(name, value) for value in scope.chosen[name].values]


def _lay(panels: Sequence[Panel], scope: Scope) -> Sequence[Placed]:
    """With repeated panels in their places, and what was below them moved down."""
    top = min((panel.place.y for panel in panels), default=0)
    moved, placed = 0, []
    for panel in sorted(panels, key=lambda one: (one.place.y, one.place.x)):
        at = replace(panel.place, y=panel.place.y - top + moved)
        copies = [
            Placed(panel=replace(panel, place=place), scope=inside)
            for place, inside in _copies(panel, at, scope)
        ]
        placed += copies
        bottom = max((one.panel.place.y + one.panel.place.h for one in copies), default=at.y + at.h)
        moved += bottom - (at.y + at.h)
    return placed


def _copies(panel: Panel, at: GridPosition, scope: Scope) -> Iterator[tuple[GridPosition, Scope]]:
    scopes = _scopes(panel, scope)
    if not panel.repeat or panel.repeat not in scope.chosen:
        yield at, scope
        return
    if panel.downwards:
        for place, inside in enumerate(scopes):
            yield replace(at, y=at.y + place * at.h), inside
        return
    across = max(1, min(len(scopes), panel.per_row))
    width = math.floor(COLUMNS / across)
    for place, inside in enumerate(scopes):
        down, right = divmod(place, across)
        yield GridPosition(x=right * width, y=at.y + down * at.h, w=width, h=at.h), inside
