import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console

from lab.budget.budgetfile import Ceiling
from lab.budget.record import Check, Figure, Trend, Verdict
from lab.budget.said import as_junit, figure_words, limit_words, lines, markdown, table
from tests.unit.budget.makers import check, finding

SLOW = Figure(value=1.82, low=1.74, high=1.91)
MIXED = check(
    [
        finding(Ceiling.COLD_START, Verdict.BROKEN, figure=SLOW),
        finding(Ceiling.WARM_P95, figure=Figure(value=0.09), trend=Trend.WORSE),
        finding(Ceiling.PEAK_MEMORY, Verdict.OVER, figure=SLOW, why="few | small"),
        finding(Ceiling.USD_PER_MILLION, Verdict.UNMEASURED, why="no price of ml.x"),
    ],
    compared_with="20260101T000000Z-check",
)


def test_what_was_broken_is_told_with_its_line() -> None:
    assert lines(MIXED, regressions=False) == [
        "budget.yaml:12: cold_start 1.5 s: 1.82 s (1.74 to 1.91)"
    ]


def test_a_regression_is_a_line_only_where_it_fails() -> None:
    assert lines(MIXED, regressions=True)[1:] == [
        "budget.yaml:12: warm_p95 1.5 s: slower: 1.21x (1.10 to 1.30)"
    ]


def test_the_action_s_matcher_finds_the_line() -> None:
    action = Path(__file__).parents[3] / ".github" / "actions" / "inference-budget"
    (pattern,) = json.loads((action / "matcher.json").read_text())["problemMatcher"][0]["pattern"]
    found = re.search(pattern["regexp"], lines(MIXED, regressions=False)[0])
    assert found is not None
    assert found[pattern["file"]] == "budget.yaml"
    assert found[pattern["line"]] == "12"
    assert found[pattern["message"]].startswith("cold_start")


def test_figures_have_one_unit_where_they_can() -> None:
    assert figure_words(Ceiling.WARM_P95, Figure(value=1.02, low=0.95, high=1.1)) == (
        "1.02 s (950 ms to 1.10)"
    )
    assert figure_words(Ceiling.USD_PER_MILLION, Figure(value=5.1, low=4.9, high=5.3)) == (
        "$5.10 (4.90 to 5.30)"
    )
    assert figure_words(Ceiling.WARM_P95, Figure(value=0.2, low=0.19)) == "200 ms (190 to ?)"
    assert figure_words(Ceiling.IMAGE_UNPACKED, Figure(value=115e6)) == "115 MB"


def test_ceilings_are_told_as_they_are_typed() -> None:
    said = [
        limit_words(finding(ceiling).model_copy(update={"limit": limit}))
        for ceiling, limit in (
            (Ceiling.COLD_START, 2.0),
            (Ceiling.WARM_P95, 0.2),
            (Ceiling.IMAGE_UNPACKED, 200e6),
            (Ceiling.USD_PER_MILLION, 10.0),
        )
    ]
    assert said == ["2 s", "200 ms", "200 MB", "$10"]


def test_markdown_is_a_table_that_github_draws() -> None:
    text = markdown(MIXED)
    assert text.splitlines() == [
        "### `me:1` at 2048 MB: 1 of 4 ceilings broken",
        "",
        "| ceiling | at most | measured | verdict | beside the last check |",
        "| --- | --- | --- | --- | --- |",
        "| cold_start | 1.5 s | 1.82 s (1.74 to 1.91) | broken |  |",
        "| warm_p95 | 1.5 s | 90.0 ms | ok | slower: 1.21x (1.10 to 1.30) |",
        "| peak_memory | 2 B | 2 B (2 to 2) | over, but not shown (few \\| small) |  |",
        "| usd_per_million | $1.5 |  | not measured (no price of ml.x) |  |",
        "",
        "The last check here was 20260101T000000Z-check.",
        "",
    ]


def test_a_doubt_is_told_once_under_the_table() -> None:
    busy = "the machine was busy"
    found = check([finding(verdict=Verdict.OVER, figure=SLOW, why=busy)], doubt=busy)
    assert markdown(found).count(busy) == 1
    assert "beside the last check" not in markdown(found)


def test_the_terminal_keeps_figures_whole() -> None:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(table(MIXED))
    assert "1.82 s (1.74 to 1.91)" in capture.get()


def cases(of: Check, *, regressions: bool) -> dict[str | None, ET.Element]:
    suite = ET.fromstring(as_junit(of, regressions=regressions)).find("testsuite")  # noqa: S314
    assert suite is not None
    return {"suite": suite} | {case.get("name"): case for case in suite}


def test_junit_has_a_case_for_each_ceiling() -> None:
    found = cases(MIXED, regressions=False)
    suite = found["suite"].attrib
    assert (suite["tests"], suite["failures"], suite["skipped"]) == ("4", "1", "1")
    failure = found["cold_start"].find("failure")
    assert failure is not None
    assert failure.get("message") == "budget.yaml:12: cold_start 1.5 s: 1.82 s (1.74 to 1.91)"
    said = found["peak_memory"].findtext("system-out", "")
    assert said.startswith("over, but not shown (few | small)")
    assert found["usd_per_million"].find("skipped") is not None


def test_a_regression_fails_its_case_only_if_asked() -> None:
    assert cases(MIXED, regressions=False)["warm_p95"].find("failure") is None
    failure = cases(MIXED, regressions=True)["warm_p95"].find("failure")
    assert failure is not None
    assert "slower: 1.21x" in str(failure.get("message"))
