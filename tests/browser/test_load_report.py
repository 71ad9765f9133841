"""The page of a load as a reader has it: offline, in light and dark, on a phone."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from playwright.sync_api import Browser

from lab.report.load.write import write_report, write_steps
from tests.browser.test_report import (
    CONTRAST,
    DESK,
    LEAST_CONTRAST,
    PHONE,
    figures,
    opened,
    overflowing,
)
from tests.unit.report.load.loads import latencies, with_cold, write
from tests.unit.report.load.test_load_page import search

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser_load_report")]

Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module", params=["cold", "invalid", "closed", "none answered", "search"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("load")
    match request.param:
        case "cold":
            return write_report(with_cold(root))
        case "invalid":
            return write_report(write(root, latencies(), late_s=0.004))
        case "closed":
            return write_report(write(root, latencies(80), clients=1))
        case "search":
            return write_steps(search(), root)
        case _:
            return write_report(write(root, latencies(60), status=np.zeros(60)))


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "light"), (DESK, "dark")])
def test_it_is_sound_on_a_phone_and_on_a_desk(
    browser: Browser, report: Path, width: int, scheme: Scheme
) -> None:
    with opened(browser, report, width=width, scheme=scheme) as found:
        assert found.complaints == []
        assert [url for url in found.requests if not url.startswith("data:")] == [report.as_uri()]
        assert overflowing(found.page) == [0, []]
        assert found.page.evaluate(CONTRAST, LEAST_CONTRAST) == []
        assert figures(found.page)


def test_curves_bars_and_dots_are_drawn_within_their_plot(browser: Browser, tmp_path: Path) -> None:
    file = write_report(with_cold(tmp_path))
    with opened(browser, file) as found:
        out, drawn = found.page.evaluate(
            """() => {
              const all = [...document.querySelectorAll('.chart > .plot > svg')];
              const shapes = all.flatMap(svg => [...svg.querySelectorAll('polyline, rect, circle')]
                .map(one => [svg.getBoundingClientRect(), one.getBoundingClientRect()]));
              const out = shapes.filter(([box, one]) => one.left < box.left - 8
                || one.right > box.right + 8 || one.top < box.top - 8
                || one.bottom > box.bottom + 8 || one.width + one.height < 0.5);
              return [out.length, shapes.length];
            }"""
        )
    assert out == 0
    assert drawn > 60


def test_a_cold_start_tells_its_latency_when_pointed_at(browser: Browser, tmp_path: Path) -> None:
    file = write_report(with_cold(tmp_path))
    with opened(browser, file) as found:
        dot = found.page.locator("g.cold circle").first
        dot.scroll_into_view_if_needed()
        found.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        dot.hover()
        assert "3.00 s" in found.page.locator("#tip.on").inner_text()
