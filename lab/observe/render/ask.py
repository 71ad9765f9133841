"""What a panel asks: its queries filled in, sent, and made into frames."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock

from lab.errors import UsageError
from lab.observe.render.board import Annotation, GrafanaBoard, Panel, PanelQuery
from lab.observe.render.frames import Frame, from_answer, single_value
from lab.observe.render.prometheus import Prometheus, QueryRefusedError, Series
from lab.observe.render.timespan import QueryStep, Span, seconds_of
from lab.observe.render.transform import transformed
from lab.observe.render.variables import Scope


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A query as it was sent, and whether anything came of it."""

    ref: str
    expr: str
    empty: bool
    refused: str = ""
    """Prometheus's own words."""


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """What a panel is drawn from."""

    frames: Sequence[Frame]
    asked: Sequence[Asked]
    span: Span


@dataclass(frozen=True, kw_only=True)
class AnnotationEvent:
    """Something that happened, at a moment or for a while (seconds since 1970)."""

    start: float
    end: float
    title: str
    text: str
    colour: str


class Oracle:
    """Asks each distinct query once, however many panels show it. Safe for several threads."""

    def __init__(self, prometheus: Prometheus, *, scrape: float) -> None:
        self.prometheus = prometheus
        self._scrape = scrape
        self._lock = Lock()
        self._known: dict[tuple[object, ...], Future[Sequence[Series]]] = {}

    def panel(self, panel: Panel, scope: Scope, *, span: Span) -> QueryResult:
        """All queries of a panel, with its transformations applied.

        A refused query is told in ``asked`` rather than raised: the rest of the page is drawn.
        Raises ``UsageError`` for a variable that stands for nothing.
        """
        if panel.since:
            span = span.reaching_back(seconds_of(panel.since.removeprefix("now-")))
        pace = QueryStep.of(span, points=panel.width, scrape=self._scrape)
        filled = scope.at(span, pace)
        frames: list[Frame] = []
        asked = []
        for target in panel.targets:
            if unknown := filled.unknown(target.expr):
                raise UsageError(
                    f"The variable {', '.join(unknown)} is not read here.",
                    remedy="Say what it is: --var NAME=VALUE.",
                )
            expr = filled.query(target.expr)
            try:
                series = self._series(target, expr, span=span, step=pace.step)
            except QueryRefusedError as error:
                asked.append(Asked(ref=target.ref, expr=expr, empty=True, refused=error.what))
                continue
            named = target.model_copy(update={"expr": expr, "legend": scope.words(target.legend)})
            made = from_answer(named, series, step=pace.step)
            frames += made
            asked.append(Asked(ref=target.ref, expr=expr, empty=all(frame.empty for frame in made)))
        shown = transformed(single_value(frames), panel.source.get("transformations") or [])
        return QueryResult(frames=shown, asked=asked, span=span)

    def events(self, board: GrafanaBoard, scope: Scope, *, span: Span) -> Sequence[AnnotationEvent]:
        """What the board's annotations find. Raises ``QueryRefusedError``."""
        found: list[AnnotationEvent] = []
        for annotation in board.annotations:
            step = max(seconds_of(annotation.step), span.seconds / 2000)
            pace = QueryStep.of(span, points=2000, scrape=self._scrape)
            expr = scope.at(span, pace).query(annotation.expr)
            try:
                series = self.prometheus.range(expr, span=span, step=step)
            except QueryRefusedError as error:
                raise QueryRefusedError(
                    f"{board.title}, annotation {annotation.name}: Prometheus refuses {expr}:"
                    f" {error.what}"
                ) from error
            for one in series:
                found += _events(annotation, one, span=span, step=step)
        return sorted(found, key=lambda event: event.start)

    def _series(
        self, target: PanelQuery, expr: str, *, span: Span, step: float
    ) -> Sequence[Series]:
        key = (expr, span, None if target.instant else step)
        with self._lock:
            future = self._known.get(key)
            mine = future is None
            if future is None:
                future = self._known[key] = Future()
        if mine:
            try:
                future.set_result(
                    self.prometheus.instant(expr, at=span.end)
                    if target.instant
                    else self.prometheus.range(expr, span=span, step=step)
                )
            except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
                future.set_exception(error)
        return future.result()


def _events(
    annotation: Annotation, series: Series, *, span: Span, step: float
) -> Sequence[AnnotationEvent]:
    if annotation.value_is_time:
        moments = sorted({value / 1000 for _, value in series.points})
        spans: Sequence[tuple[float, float]] = [
            (at, at) for at in moments if span.start <= at <= span.end
        ]
    else:
        spans = _runs([at for at, value in series.points if value], step)
    title = _filled(annotation.title, series.labels) or annotation.name
    text = _filled(annotation.text, series.labels)
    return [
        AnnotationEvent(start=start, end=end, title=title, text=text, colour=annotation.colour)
        for start, end in spans
    ]


def _runs(times: Sequence[float], step: float) -> Sequence[tuple[float, float]]:
    """Moments that follow each other without a gap are one event that lasts."""
    runs: list[tuple[float, float]] = []
    for at in times:
        if runs and at - runs[-1][1] <= step * 1.5:
            runs[-1] = (runs[-1][0], at)
        else:
            runs.append((at, at))
    return runs


def _filled(text: str, labels: Mapping[str, str]) -> str:
    for key, value in labels.items():
        text = text.replace(f"{{{{{key}}}}}", value)
    return text
