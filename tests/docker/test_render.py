"""Boards drawn from a real Prometheus that scrapes a page whose every figure is known."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from lab.engine.docker.engine import DockerEngine
from lab.observe.render import page
from lab.observe.render.draw import DrawnBoard, DrawOptions, PanelState, draw
from lab.observe.render.panels.views import Bars, Plot, TableView, Tiles
from lab.observe.render.prometheus import Prometheus
from tests.docker import known
from tests.timing import wait_until
from tests.unit.observe.render.recorded import board, instant, panel

# Prometheus needs at least two samples for a rate; a few more make a curve.
SCRAPE_S = 0.25
FOR_S = 3.0

PAGE = """\
# TYPE known_bytes gauge
known_bytes{shelf="a.b",kind="book"} 2e9
known_bytes{shelf="c|d",kind="book"} 1e9
# TYPE known_share gauge
known_share 0.5
# TYPE known_wait_seconds histogram
known_wait_seconds_bucket{le="0.1"} 3
known_wait_seconds_bucket{le="1"} 9
known_wait_seconds_bucket{le="+Inf"} 10
known_wait_seconds_sum 8
known_wait_seconds_count 10
"""


class _Page(BaseHTTPRequestHandler):
    begun = time.monotonic()

    def do_GET(self) -> None:
        # 20 a second, whenever it is scraped.
        counted = f"# TYPE known_total counter\nknown_total {20 * self.age():.3f}\n"
        body = (PAGE + counted).encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def age(self) -> float:
        return time.monotonic() - self.begun

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def prometheus(
    engine: DockerEngine,
    built: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    page_server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=page_server.serve_forever, daemon=True).start()
    config = tmp_path_factory.mktemp("prometheus") / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: {SCRAPE_S * 1000:.0f}ms, scrape_timeout: 250ms}}\n"
        "scrape_configs:\n  - job_name: known\n    static_configs:\n"
        f'      - targets: ["127.0.0.1:{page_server.server_port}"]\n'
    )
    try:
        image = built("prometheus")
        with known.prometheus(engine, image, config.parent, owner="test-render") as url:
            _wait_for_samples(url)
            with Prometheus(url) as server:
                yield server
    finally:
        page_server.shutdown()
        page_server.server_close()


def _wait_for_samples(url: str) -> None:
    query = {"query": "count_over_time(known_share[1m])"}

    def enough() -> bool:
        found = httpx.get(f"{url}/api/v1/query", params=query).json()["data"]["result"]
        return bool(found) and float(found[0]["value"][1]) >= FOR_S / SCRAPE_S

    wait_until(enough, despite=(httpx.TransportError, ValueError, KeyError))


SHELF = {
    "name": "shelf", "type": "query", "query": "label_values(known_bytes, shelf)",
    "multi": True, "includeAll": True, "sort": 1,
    "current": {"value": ["$__all"], "text": ["All"]},
}  # fmt: skip


def drawn(prometheus: Prometheus, *panels: Any, given: Any = None) -> DrawnBoard:
    boards = [board(*panels, templating={"list": [SHELF]})]
    options = DrawOptions(range="1m", given=given or {})
    found = draw(boards, prometheus, options)
    assert "Test" in page.render(found, source="a test")
    return found[0]


def test_the_step_follows_the_scrape_interval_of_the_server(prometheus: Prometheus) -> None:
    assert prometheus.scrape_interval() == SCRAPE_S


def test_a_rate_over_its_own_interval_is_that_of_the_page(prometheus: Prometheus) -> None:
    shown = drawn(
        prometheus,
        panel("timeseries", "rate(known_total[$__rate_interval])", defaults={"unit": "reqps"}),
    )
    view = shown.panels[0].view
    assert isinstance(view, Plot)
    values = [value for value in view.figure["data"][0]["y"] if value is not None]
    assert len(values) > 4
    assert sorted(values)[len(values) // 2] == pytest.approx(20, rel=0.25)


def test_numbers_are_those_of_the_page(prometheus: Prometheus) -> None:
    share = {"unit": "percentunit", "min": 0, "max": 1}
    size = {"unit": "decbytes", "min": 0}
    asked = instant()
    dropped = dict.fromkeys(("Time", "__name__", "instance", "job"), True)
    shown = drawn(
        prometheus,
        panel("stat", "known_share", query=asked, defaults=share),
        panel("gauge", "known_share", query=asked, defaults=share),
        panel("bargauge", 'sort_desc(known_bytes{shelf=~"$shelf"})', defaults=size,
              query={**asked, "legendFormat": "{{shelf}}"}),
        panel("table", 'known_bytes{shelf=~"$shelf"}', query=instant("table"),
              options={"sortBy": [{"displayName": "Value"}]},
              transformations=[{"id": "organize", "options": {"excludeByName": dropped}}]),
    )  # fmt: skip
    stat, dial, bars, table = (one.view for one in shown.panels)
    assert isinstance(stat, Tiles)
    assert stat.tiles[0].value == "50%"
    assert isinstance(dial, Plot)
    assert dial.figure["layout"]["annotations"][0]["text"] == "<b>50%</b>"
    assert isinstance(bars, Bars)
    found = [(one.name, one.value, one.share) for one in bars.bars]
    assert found == [("a.b", "2 GB", 100.0), ("c|d", "1 GB", 50.0)]
    assert isinstance(table, TableView)
    cells = [[cell.text for cell in row] for row in table.rows]
    assert cells == [["book", "c|d", "1000000000"], ["book", "a.b", "2000000000"]]


def test_chosen_values_are_matched_letter_by_letter(prometheus: Prometheus) -> None:
    one = panel("stat", 'known_bytes{shelf=~"$shelf"}', query=instant())
    for chosen, count in ((["a.b"], 1), (["c|d"], 1), (["a.b", "c|d"], 2), (["axb"], 0)):
        found = drawn(prometheus, one, given={"shelf": chosen}).panels[0]
        tiles = found.view.tiles if isinstance(found.view, Tiles) else []
        assert len(tiles) == count, chosen


def test_a_histogram_is_drawn_by_bucket(prometheus: Prometheus) -> None:
    query = {"format": "heatmap", "legendFormat": "{{le}}"}
    shown = drawn(prometheus, panel("heatmap", "sum by (le) (known_wait_seconds_bucket)",
                                    query=query))  # fmt: skip
    view = shown.panels[0].view
    assert isinstance(view, Plot)
    told = [row[-1] for row in view.figure["data"][0]["customdata"]]
    assert told == ["up to 0.1: 3", "0.1 to 1: 6", "1 to ∞: 1"]


def test_a_real_refusal_is_told_and_the_rest_is_drawn(prometheus: Prometheus) -> None:
    shown = drawn(
        prometheus,
        panel("stat", "sum(known_share", query=instant()),
        panel("stat", "known_share", query=instant()),
        panel("stat", "absent_metric", query=instant()),
    )
    assert [one.state for one in shown.panels] == [
        PanelState.FAILED,
        PanelState.DRAWN,
        PanelState.EMPTY,
    ]
    assert "query A, sum(known_share: bad_data" in shown.panels[0].trouble
