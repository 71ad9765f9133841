"""The boards in a real Grafana: they load, and every panel's query finds something.

GrafanaBoard files are read and variables filled in by the code that draws without Grafana
(``lab.observe.render``); the queries themselves go through Grafana's own query API.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.errors import LabError
from lab.observe.grafana.api import SOURCE, Grafana, GrafanaRefusedError
from lab.observe.render.board import GrafanaBoard, Panel
from lab.observe.render.prometheus import Prometheus
from lab.observe.render.timespan import Span, seconds_of
from lab.observe.render.variables import Scope, resolve
from lab.process import run

ALERT: Final = "lab-prometheus-alerts"
CONTACT: Final = "lab"
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_WIDTH, _CELL, _HEAD = 1280, 38, 200
"""Pixels: of the window, of a row of the grid, of what is above it."""
_DRAWN_MS: Final = 20_000
_BROWSER_S: Final = 90.0


@dataclass(frozen=True, kw_only=True)
class BoardFault:
    """One thing that was checked."""

    what: str
    good: bool
    seen: str


def check(
    grafana: Grafana, prometheus: Prometheus, boards: Sequence[GrafanaBoard], *, since: str
) -> Iterator[BoardFault]:
    """Every finding, as it is made. Raises ``NoGrafanaError`` before the first."""
    health = grafana.health()
    yield BoardFault(
        what="health",
        good=health.get("database") == "ok",
        seen=f"Grafana {health.get('version', 'of an unknown version')}, database"
        f" {health.get('database')}",
    )
    yield _source(grafana)
    yield from _alerts(grafana)
    for board in boards:
        yield _board(grafana, board)
        yield from _panels(grafana, prometheus, board, since)


def browser() -> str | None:
    """A Chromium on this machine."""
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def screenshot(
    program: str, url: str, board: GrafanaBoard, into: Path, *, since: str
) -> BoardFault:
    """A picture of a whole board, as anyone on this machine sees it."""
    into.mkdir(parents=True, exist_ok=True)
    file = into / f"{board.uid}.png"
    file.unlink(missing_ok=True)
    rows = max((panel.place.y + panel.place.h for panel in board.panels), default=0)
    what = f"{board.title}: screenshot"
    try:
        run(
            [
                *(program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--no-first-run", "--disable-background-networking", "--disable-sync"),
                f"--window-size={_WIDTH},{_HEAD + rows * _CELL}",
                f"--virtual-time-budget={_DRAWN_MS}",
                f"--screenshot={file.resolve()}",
                f"{url}/d/{board.uid}?kiosk&from={since}&to=now",
            ],
            timeout_s=_BROWSER_S,
        )
    except LabError as error:
        return BoardFault(what=what, good=False, seen=error.what)
    if not file.is_file():
        return BoardFault(what=what, good=False, seen=f"{program} wrote no {file}")
    return BoardFault(what=what, good=True, seen=str(file))


def _source(grafana: Grafana) -> BoardFault:
    what = f"data source {SOURCE}"
    try:
        said = grafana.get(f"/api/datasources/uid/{SOURCE}/health")
    except GrafanaRefusedError as error:
        return BoardFault(what=what, good=False, seen=error.what)
    return BoardFault(what=what, good=said.get("status") == "OK", seen=str(said.get("message")))


def _alerts(grafana: Grafana) -> Iterator[BoardFault]:
    for what, path, wanted, key in (
        ("alert rule", "/api/v1/provisioning/alert-rules", ALERT, "uid"),
        ("contact point", "/api/v1/provisioning/contact-points", CONTACT, "name"),
    ):
        try:
            names = [one.get(key) for one in grafana.get(path)]
        except GrafanaRefusedError as error:
            yield BoardFault(what=what, good=False, seen=error.what)
            continue
        seen = f"{wanted} is provisioned" if wanted in names else f"{wanted} is not among {names}"
        yield BoardFault(what=what, good=wanted in names, seen=seen)


def _board(grafana: Grafana, board: GrafanaBoard) -> BoardFault:
    try:
        said = grafana.get(f"/api/dashboards/uid/{board.uid}")
    except GrafanaRefusedError as error:
        return BoardFault(what=board.title, good=False, seen=error.what)
    there = len(said.get("dashboard", {}).get("panels") or ())
    provisioned = bool(said.get("meta", {}).get("provisioned"))
    seen = f"{there} panels, {'' if provisioned else 'not '}provisioned"
    if there != len(board.panels):
        seen += f"; the file has {len(board.panels)}"
    return BoardFault(what=board.title, good=provisioned and there == len(board.panels), seen=seen)


def _panels(
    grafana: Grafana, prometheus: Prometheus, board: GrafanaBoard, since: str
) -> Iterator[BoardFault]:
    now = time.time()
    span = Span(start=now - seconds_of(since.removeprefix("now-")), end=now)
    try:
        scope = resolve(board, prometheus=prometheus, span=span, given={})
    except LabError as error:
        yield BoardFault(what=f"{board.title}: variables", good=False, seen=error.what)
        return
    for panel in (one for one in board.panels if one.targets):
        yield _panel(grafana, board, panel, scope, f"now-{panel.since}" if panel.since else since)


def _panel(
    grafana: Grafana, board: GrafanaBoard, panel: Panel, scope: Scope, since: str
) -> BoardFault:
    """A panel is good when no query is refused and one at least finds something."""
    what = f"{board.title} / {scope.words(panel.title)}"
    series = values = 0
    for target in panel.targets:
        # Of what is in it, $__range and its like are left for Grafana to fill in.
        expr = scope.query(target.expr)
        try:
            found = grafana.query(target, expr, since=since)
        except GrafanaRefusedError as error:
            return BoardFault(what=what, good=False, seen=f"{error.what}: {expr}")
        series, values = series + found.series, values + found.values
    said = panel.defaults.get("noValue")
    if not values and said:
        return BoardFault(what=what, good=True, seen=f"no data, shown as “{said}”")
    seen = f"{series} series, {values} values" if values else "no data"
    return BoardFault(what=what, good=values > 0, seen=seen)
