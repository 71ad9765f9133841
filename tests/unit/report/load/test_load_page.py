"""The page and its Markdown twin: figures are the summary's, labels stand where they must."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.load.statistics import QuantileFigure
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import Objective
from lab.loadtest.summary import LoadStep, LoadSteps, read_steps
from lab.report.load import plots
from lab.report.load.summary import results
from lab.report.load.write import write_report, write_steps
from lab.report.page.figures import lookup
from tests.unit.report.load.loads import TARGET, latencies, with_cold, write

_FIGURE = re.compile(r'<data data-path="([^"]+)" value="([^"]+)">')


def page_of(folder: LoadFolder) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def test_every_figure_of_the_page_is_that_of_the_file(tmp_path: Path) -> None:
    folder = with_cold(tmp_path)
    found = _FIGURE.findall(page_of(folder))
    document = json.loads((folder.path / "summary.json").read_text())
    assert len(found) > 40
    for path, value in found:
        assert value == repr(lookup(document, path)), path


def test_the_page_fetches_nothing(tmp_path: Path) -> None:
    page = page_of(with_cold(tmp_path))
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert "@import" not in page
    assert "url(" not in page


def test_an_invalid_load_says_so_beside_every_heading_of_figures(tmp_path: Path) -> None:
    folder = write(tmp_path, latencies(), late_s=0.004)
    page = page_of(folder)
    assert "Latency — invalid" in page
    assert "invalid: 1 % of the requests were sent" in page
    assert "Generator invalid" in (folder.path / "report.md").read_text()


def test_a_valid_generator_is_shown_too(tmp_path: Path) -> None:
    folder = write(tmp_path, latencies())
    assert "generator valid" in page_of(folder)
    assert "Generator valid" in (folder.path / "report.md").read_text()


def test_a_closed_loop_is_labelled_closed_everywhere(tmp_path: Path) -> None:
    folder = write(tmp_path, latencies(80), clients=1)
    page = page_of(folder)
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", page)
    assert all("closed loop" in one for one in headings if one != "How to read this")
    assert "closed loop" in (folder.path / "report.md").read_text().splitlines()[0]


def test_cold_starts_are_drawn_each_or_counted_where_they_lie_on_each_other(
    tmp_path: Path,
) -> None:
    found = plots.over_time(results(with_cold(tmp_path)))
    assert [one.name for one in found] == [
        *("Latency", "What became of requests", "The target's containers")
    ]
    assert len(found[0].marks) == 12
    latency = np.full(1000, 3.0)
    crowded = write(tmp_path, latency, cold=np.ones(1000), name="crowded", per_s=1000)
    (dots, *_) = plots.over_time(results(crowded))
    told = [re.search(r"the longest of (\d+) here", one.tip) for one in dots.marks]
    assert sum(int(one[1]) if one else 1 for one in told) == 1000
    assert len(dots.marks) < 400


def test_the_distribution_has_a_curve_for_cold_and_warm(tmp_path: Path) -> None:
    found = plots.distribution(results(with_cold(tmp_path)))
    assert found is not None
    assert [one.look for one in found.curves] == ["every", "warm", "cold"]
    assert dict(found.legend)["cold"] == "cold, 12"
    plain = plots.distribution(results(write(tmp_path, latencies(), name="plain")))
    assert plain is not None
    assert [one.look for one in plain.curves] == ["every"]


def test_bars_of_what_became_of_requests_stand_on_each_other(tmp_path: Path) -> None:
    status = np.full(1200, 200)
    status[::2] = 429
    (_, rates) = plots.over_time(results(write(tmp_path, latencies(), status=status)))
    by_place: dict[float, float] = {}
    for bar in rates.bars:
        by_place[bar.x] = by_place.get(bar.x, 0.0) + bar.height
        assert bar.y >= 0
    tops = {bar.x: min(one.y for one in rates.bars if one.x == bar.x) for bar in rates.bars}
    for x, height in by_place.items():
        assert 100 - tops[x] == pytest.approx(height, abs=0.01)


def test_cells_of_foreign_texts_are_escaped(tmp_path: Path) -> None:
    status = np.full(100, 200)
    status[3] = 0
    folder = write(tmp_path, latencies(100), status=status, errors="<script>x</script>|")
    page = page_of(folder)
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page


# --- searches and sweeps -------------------------------------------------------------------------


def step(per_s: float, p95_s: float, *, clients: int | None = None, **more: Any) -> LoadStep:
    quantiles = tuple(
        QuantileFigure(
            q=q, seconds=s, low_s=s * 0.9, high_s=s * 1.1, effective_n=500, correlation=0.0
        )
        for q, s in ((0.5, p95_s / 2), (0.95, p95_s))
    )
    return LoadStep(
        offered_per_s=None if clients else per_s,
        clients=clients,
        achieved_per_s=per_s,
        n=1000,
        quantiles=quantiles,
        **more,
    )


def search() -> LoadSteps:
    return LoadSteps(
        id="20261120T120000Z-search",
        started_at="2026-11-20T12:00:00+00:00",
        target=TARGET,
        objective=Objective(q=0.95, seconds=0.2),
        said="Search for the highest rate",
        steps=(
            step(10, 0.1, passed=True),
            step(20, 0.15, passed=True),
            step(40, 0.4, passed=False, why="its p95 may be 440 ms"),
        ),
        knee=1,
    )


def test_a_search_names_its_knee_in_sentence_plot_and_table(tmp_path: Path) -> None:
    page = write_steps(search(), tmp_path).read_text()
    assert "retinopathy at 2048 MB keeps p95 at most 200 ms up to 20 requests/s." in page
    assert "the knee" in page
    plot = plots.throughput(search())
    assert plot is not None
    assert [one.tip[:17] for one in plot.marks if one.label == "knee"] == ["20/s asked: 20 re"]
    assert plot.level is not None
    assert {one.look for one in plot.marks} == {*("warm", "every"), "warm missed", "every missed"}
    markdown = (tmp_path / "report.md").read_text()
    assert "20/s asked (knee)" in markdown
    assert "broken: its p95 may be 440 ms" in markdown
    assert read_steps(tmp_path) == search()


def test_a_sweep_of_closed_loops_is_labelled_closed(tmp_path: Path) -> None:
    steps = (step(50, 0.02, clients=1), step(80, 0.03, clients=2))
    found = search().model_copy(update={"steps": steps, "knee": None, "objective": None})
    page = write_steps(found, tmp_path).read_text()
    assert "answers 80 requests/s at most, to 2 clients in a closed loop" in page
    assert "Throughput against latency — closed loops" in page
    assert "2 clients, closed" in (tmp_path / "report.md").read_text()


def test_a_search_that_found_no_rate_says_so(tmp_path: Path) -> None:
    found = search().model_copy(update={"steps": search().steps[2:], "knee": None})
    assert "at no rate tried" in write_steps(found, tmp_path).read_text()
