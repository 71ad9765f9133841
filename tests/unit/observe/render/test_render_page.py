"""The page and the command: one file without a network, and an account of what is missing."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lab.cli import observe
from lab.errors import UsageError
from lab.observe.render import account, draw, page
from lab.observe.render import prometheus as api
from lab.observe.render.board import find, read
from tests.unit.observe.render.recorded import NOW, Record, board, instant, panel

RECORD = Record(
    series={"x": [({"job": "</script><b>"}, 1.0)]}, refused={"bad(": "no such function"}
)
FULL = [panel("timeseries", "x"), panel("stat", "x", query=instant(), title="<i>now</i>")]


def drawn(*panels: Any, **more: Any) -> list[draw.DrawnBoard]:
    options = draw.DrawOptions(range="10m", now=NOW)
    return list(draw.draw([board(*panels, **more)], RECORD.server(), options))


def test_the_page_holds_plotly_once_and_fetches_nothing() -> None:
    text = page.render(drawn(*FULL), source="a test")
    assert text.count("plotly.js v") == 1
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="(?!#)', own)
    assert "default-src 'none'" in own


def test_nothing_that_prometheus_says_becomes_markup() -> None:
    text = page.render(drawn(*FULL), source="<u>a test</u>")
    assert "<i>now</i>" not in text
    assert "<u>a test" not in text
    data = re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    figures = json.loads(data[1])
    name = figures["lab-test-0"]["data"][0]["name"]
    assert name == "&lt;/script&gt;&lt;b&gt;"


def test_without_a_plot_the_page_needs_no_plotly() -> None:
    text = page.render(drawn(panel("text", options={"content": "hello"})), source="a test")
    assert "plotly.js v" not in text
    assert len(text) < 60_000


def test_links_to_boards_elsewhere_are_left_out() -> None:
    links = [
        {"title": "Here", "url": "/d/lab-test"},
        {"title": "Away", "url": "/d/else"},
        {"title": "Docs", "url": "https://example.com/docs"},
        {"title": "Bad", "url": "javascript:alert(1)"},
    ]
    text = page.render(drawn(*FULL, links=links), source="a test")
    assert re.findall(r'href="([^"]+)"', text.split("<script", 1)[0]) == [
        "#lab-test",
        "https://example.com/docs",
    ]


def test_the_account_names_what_is_missing() -> None:
    found = drawn(
        *FULL,
        panel("stat", "gone", title="Gone"),
        panel("stat", "gone", title="Quiet", defaults={"noValue": "none yet"}),
        panel("timeseries", "x", "gone", title="Half"),
    )
    assert list(account.notes(found)) == [
        "no data: Test / Gone",
        "quiet: Test / Quiet (none yet)",
        "partly: Test / Half (query B)",
    ]
    draw.refuse_failed(found)
    with pytest.raises(draw.EmptyPanelsError, match=r"1 panel without data\.\n  Test / Gone"):
        draw.refuse_empty(found)


def test_a_refused_query_is_an_error_that_names_board_panel_and_query() -> None:
    with pytest.raises(draw.PanelsError, match=r"Test / Bad: query A, bad\(: .*no such function"):
        draw.refuse_failed(drawn(panel("stat", "bad(", title="Bad")))


@pytest.fixture
def dashboards(tmp_path: Path) -> Callable[..., Path]:
    def write(*panels: Any) -> Path:
        document = {"uid": "lab-one", "title": "One", "panels": list(panels)}
        (tmp_path / "one.json").write_text(json.dumps(document), encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command, with the recorded server behind it."""

    def invoke(folder: Path, *flags: str) -> Any:
        monkeypatch.setattr(api, "Prometheus", lambda url: RECORD.server())
        arguments = ["render", "--dashboards", str(folder), "--out", str(folder / "a.html"), *flags]
        return CliRunner().invoke(observe.app, arguments)

    return invoke


def test_the_command_writes_the_page(
    dashboards: Callable[..., Path], run: Callable[..., Any]
) -> None:
    folder = dashboards(*FULL)
    result = run(folder, "--board", "one", "--range", "5m", "--require-data")
    assert result.exit_code == 0, result.exception
    assert "plotly.js v" in (folder / "a.html").read_text(encoding="utf-8")


def test_the_command_fails_on_an_empty_panel_only_when_data_are_required(
    dashboards: Callable[..., Path], run: Callable[..., Any]
) -> None:
    folder = dashboards(panel("stat", "gone"))
    assert run(folder).exit_code == 0
    assert isinstance(run(folder, "--require-data").exception, draw.EmptyPanelsError)


def test_the_command_writes_the_page_before_it_tells_of_a_refused_query(
    dashboards: Callable[..., Path], run: Callable[..., Any]
) -> None:
    folder = dashboards(panel("stat", "bad("))
    assert isinstance(run(folder).exception, draw.PanelsError)
    assert "no such function" in (folder / "a.html").read_text(encoding="utf-8")


def test_a_variable_that_no_board_has_is_refused(
    dashboards: Callable[..., Path], run: Callable[..., Any]
) -> None:
    assert isinstance(run(dashboards(*FULL), "--var", "nobody=1").exception, UsageError)


def test_boards_are_found_by_uid_title_or_file(tmp_path: Path) -> None:
    for uid, title, links in (("lab-b", "B", ["lab-a"]), ("lab-a", "A", ["lab-b"])):
        document = {
            "uid": uid, "title": title, "panels": [],
            "links": [{"title": one, "url": f"/d/{one}"} for one in links],
        }  # fmt: skip
        (tmp_path / f"{title}.json").write_text(json.dumps(document), encoding="utf-8")
    assert [one.uid for one in find(tmp_path)] == ["lab-a", "lab-b"]
    assert [one.uid for one in find(tmp_path, ["B", "lab-a", "A.json", "b"])] == [
        *("lab-b", "lab-a", "lab-a", "lab-b")
    ]
    with pytest.raises(UsageError, match="No board is called 'c'"):
        find(tmp_path, ["c"])
    with pytest.raises(UsageError, match="no dashboard in"):
        find(tmp_path / "none")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    for text in ("{", "{}", "[]", '{"uid": "a", "title": "b", "panels": [{}]}'):
        file = tmp_path / "broken.json"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=r"broken\.json is not a Grafana dashboard"):
            read(file)


def test_the_committed_boards_are_all_drawn_in_their_order() -> None:
    boards = find(Path(__file__).parents[4] / "dashboards")
    assert [one.uid for one in boards] == [
        *("lab-endpoints", "lab-coldstart", "lab-container", "lab-model", "lab-compare"),
        "lab-load",
    ]
    answered = draw.draw(boards, Record().server(), draw.DrawOptions(now=NOW))
    failed = [panel.trouble for one in answered for panel in one.of(draw.PanelState.FAILED)]
    assert failed == []
