"""Boards and a live Prometheus in, one HTML page and an account of every panel out."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from typing import Final

from lab.errors import LabError, UsageError
from lab.observe.render.ask import AnnotationEvent, Asked, Oracle
from lab.observe.render.board import GrafanaBoard, Panel
from lab.observe.render.drawable import undrawn
from lab.observe.render.panels import bars, curves, heat, numbers, table, words
from lab.observe.render.panels.views import Sheet, View
from lab.observe.render.prometheus import Prometheus, QueryRefusedError
from lab.observe.render.timespan import Span, moment, seconds_of
from lab.observe.render.variables import Scope, resolve

_AT_ONCE: Final = 4
_KINDS: Final[Mapping[str, Callable[[Sheet], View]]] = {
    "timeseries": curves.timeseries,
    "stat": numbers.stat,
    "gauge": numbers.gauge,
    "bargauge": numbers.bar_gauge,
    "barchart": bars.barchart,
    "table": table.table,
    "text": words.text,
    "heatmap": heat.heatmap,
}


@unique
class PanelState(StrEnum):
    """What became of a panel."""

    DRAWN = "drawn"
    EMPTY = "empty"
    """No query found anything."""
    QUIET = "quiet"
    """No query found anything, and the board says what that means (``noValue``)."""
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class DrawOptions:
    """What is drawn, and for when."""

    range: str = ""
    """How far back, such as ``1h``; else as far as each board does."""
    given: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Values of variables by name."""
    now: float | None = None
    """Seconds since 1970; else the present."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A panel on the page."""

    panel: Panel
    title: str
    description: str
    state: PanelState
    view: View | None = None
    asked: Sequence[Asked] = ()
    trouble: str = ""

    @property
    def missing(self) -> Sequence[Asked]:
        """Queries that found nothing."""
        return [one for one in self.asked if one.empty and not one.refused]


@dataclass(frozen=True, kw_only=True)
class DrawnBoard:
    """A board on the page."""

    board: GrafanaBoard
    scope: Scope
    span: Span
    panels: Sequence[Drawn]

    def of(self, *states: PanelState) -> Sequence[Drawn]:
        """Panels that ended so."""
        return [panel for panel in self.panels if panel.state in states]


class PanelsError(LabError):
    """Panels that could not be drawn: each with its board, its query and what was said of it."""

    exit_code = 11


class EmptyPanelsError(LabError):
    """Panels without data, where data was required."""

    exit_code = 12


def draw(
    boards: Sequence[GrafanaBoard], prometheus: Prometheus, options: DrawOptions
) -> Sequence[DrawnBoard]:
    """Ask all that the boards ask, and lay it out.

    Raises ``PrometheusError`` when none answers, ``UsageError`` for a variable or a range that is
    none. A panel that cannot be drawn is told in its state.
    """
    prometheus.check()
    _refuse_unknown(boards, options.given)
    now = time.time() if options.now is None else options.now
    oracle = Oracle(prometheus, scrape=prometheus.scrape_interval())
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [_board(board, oracle, pool, options, now=now) for board in boards]


def refuse_failed(drawn: Sequence[DrawnBoard]) -> None:
    """Raise ``PanelsError`` that names every panel that could not be drawn, and why."""
    found = [
        f"{board.board.title} / {panel.title}: {panel.trouble}"
        for board in drawn
        for panel in board.of(PanelState.FAILED)
    ]
    if found:
        raise PanelsError("\n  ".join([f"{_count(found)} could not be drawn.", *found]))


def refuse_empty(drawn: Sequence[DrawnBoard]) -> None:
    """Raise ``EmptyPanelsError`` that names every panel without data."""
    found = [
        f"{board.board.title} / {panel.title}"
        for board in drawn
        for panel in board.of(PanelState.EMPTY)
    ]
    if found:
        raise EmptyPanelsError(
            "\n  ".join([f"{_count(found)} without data.", *found]),
            remedy="Make some (lab demo), or look further back: --range 24h.",
        )


def _count(found: Sequence[str]) -> str:
    return f"{len(found)} panel{'s' * (len(found) != 1)}"


def _refuse_unknown(boards: Sequence[GrafanaBoard], given: Mapping[str, Sequence[str]]) -> None:
    known = {variable.name for board in boards for variable in board.variables}
    for name in given:
        if name not in known:
            raise UsageError(
                f"No board has a variable {name}.", remedy=f"There are: {', '.join(sorted(known))}."
            )


def _board(
    board: GrafanaBoard,
    oracle: Oracle,
    pool: ThreadPoolExecutor,
    options: DrawOptions,
    *,
    now: float,
) -> DrawnBoard:
    span = _span(board, options, now)
    scope = resolve(board, prometheus=oracle.prometheus, span=span, given=options.given)
    events = oracle.events(board, scope, span=span)

    def one(panel: Panel) -> Drawn:
        return _panel(panel, oracle, scope, span=span, events=events)

    ordered = sorted(board.panels, key=lambda panel: (panel.place.y, panel.place.x))
    return DrawnBoard(board=board, scope=scope, span=span, panels=list(pool.map(one, ordered)))


def _span(board: GrafanaBoard, options: DrawOptions, now: float) -> Span:
    if options.range:
        return Span(start=now - seconds_of(options.range), end=now)
    return Span(start=moment(board.since, now), end=moment(board.until, now))


def _panel(
    panel: Panel,
    oracle: Oracle,
    scope: Scope,
    *,
    span: Span,
    events: Sequence[AnnotationEvent],
) -> Drawn:
    drawn = Drawn(
        panel=panel,
        title=scope.words(panel.title),
        description=scope.words(panel.description),
        state=PanelState.FAILED,
    )
    if unknown := undrawn(panel.source):
        return replace(drawn, trouble="; ".join(unknown))
    try:
        answer = oracle.panel(panel, scope, span=span)
    except QueryRefusedError:
        raise
    except UsageError as error:
        return replace(drawn, trouble=str(error))
    drawn = replace(drawn, asked=answer.asked)
    if refused := [one for one in answer.asked if one.refused]:
        told = "; ".join(f"query {one.ref}, {one.expr}: {one.refused}" for one in refused)
        return replace(drawn, trouble=told)
    nothing = all(one.empty for one in answer.asked) or all(f.empty for f in answer.frames)
    if answer.asked and nothing:
        said = str(panel.defaults.get("noValue") or "")
        return replace(drawn, state=PanelState.QUIET if said else PanelState.EMPTY, trouble=said)
    sheet = Sheet(panel=panel, answer=answer, scope=scope, events=events)
    return replace(drawn, state=PanelState.DRAWN, view=_KINDS[panel.kind](sheet))
