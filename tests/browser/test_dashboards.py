"""The page of dashboards in a browser: every plot is drawn, in light and dark, with no network."""

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from lab.observe.render import draw, page
from lab.runfiles import write_whole
from tests.unit.observe.render.recorded import NOW, Record, board, instant, panel

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser_dashboards")]

A, B = {"job": "a", "le": "0.5"}, {"job": "b", "le": "+Inf"}
RECORD = Record(
    series={"x": [(A, 4.0), (B, 6.0)]}, curves={"x": [1.0, 4.0, None, 2.0, 3.0, 6.0, None, 2.0]}
)
MATRIX = {"rowField": "job", "columnField": "le", "valueField": "Value", "emptyValue": "null"}
STACKED = {"stacking": {"mode": "normal"}, "fillOpacity": 40}
STEPS = [{"color": "green", "value": None}, {"color": "red", "value": 5}]
LIMITED = {"thresholdsStyle": {"mode": "dashed"}, "fillOpacity": 10}


def at(x: int, y: int, one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "gridPos": {"x": x, "y": y, "w": 8, "h": 7}, "title": f"{one['type']} {x} {y}"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = board(
        at(0, 0, panel("timeseries", "x", defaults={
            "unit": "s", "custom": LIMITED, "thresholds": {"mode": "absolute", "steps": STEPS}})),
        at(8, 0, panel("timeseries", "x", defaults={"custom": STACKED})),
        at(16, 0, panel("timeseries", "x", defaults={"custom": {"drawStyle": "bars"}})),
        at(0, 7, panel("stat", "x")),
        at(8, 7, panel("gauge", "x", query=instant(), defaults={"max": 10})),
        at(16, 7, panel("bargauge", "x", query=instant())),
        at(0, 14, panel("barchart", "x", query=instant("table"),
                        transformations=[{"id": "groupingToMatrix", "options": MATRIX}])),
        at(8, 14, panel("table", "x", query=instant("table"))),
        at(16, 14, panel("heatmap", "x", query={"format": "heatmap"})),
        at(0, 21, panel("piechart", "x", query=instant())),  # a box that names it
        at(8, 21, panel("text", options={"content": "**Look** here, `code`"})),
        at(16, 21, panel("stat", "gone")),
    )  # fmt: skip
    drawn = draw.draw([made], RECORD.server(), draw.DrawOptions(range="10m", now=NOW))
    return write_whole(
        tmp_path_factory.mktemp("dashboards") / "a.html", page.render(drawn, source="a test")
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_every_plot_is_drawn_and_nothing_sticks_out(
    browser: Browser, file: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    shown = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(file.as_uri())
    shown.wait_for_selector("html[data-drawn=all]", state="attached")
    assert complaints == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [file.as_uri()]
    assert shown.locator(".plot").count() == shown.locator(".plot .main-svg:first-child").count()
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    tall = shown.eval_on_selector_all(".plot", "all => all.map(one => one.clientHeight)")
    assert min(tall) > 60
    ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in ground.strip("rgb()").split(",")) / 3
    assert (light < 60) is (scheme == "dark")
    context.close()


def test_a_legend_hides_and_shows_its_curve(browser: Browser, file: Path) -> None:
    shown = browser.new_page()
    shown.goto(file.as_uri())
    shown.wait_for_selector("html[data-drawn=all]", state="attached")
    first = shown.locator(".panel").first
    lines = first.locator(".scatterlayer .js-line")
    before = lines.count()
    first.locator("[data-trace]").first.click()
    assert lines.count() < before
    first.locator("[data-trace]").first.click()
    assert lines.count() == before
    shown.close()


def test_a_unified_hover_tells_values_in_their_units(browser: Browser, file: Path) -> None:
    shown = browser.new_page(viewport={"width": 1280, "height": 800})
    shown.goto(file.as_uri())
    shown.wait_for_selector("html[data-drawn=all]", state="attached")
    box = shown.locator(".plot").first.bounding_box()
    assert box is not None
    shown.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    hover = shown.locator(".hoverlayer .legendtext").first
    hover.wait_for()
    assert " s" in (hover.text_content() or "")
    shown.close()
