"""Two loads side by side: ratios with intervals, refusals, and what makes a ratio doubtful."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from lab.cli import load_report
from lab.errors import UsageError
from lab.loadtest.record import PayloadRecord
from lab.report.load.compare import LoadComparison, compare_loads, document
from lab.report.load.summary import results
from lab.report.load.write import write_steps
from lab.stats.ratios import RatioVerdict
from tests.unit.report.load.loads import HOST, TARGET, latencies, with_cold, write
from tests.unit.report.load.test_load_page import search

OTHER = PayloadRecord(name="b", content_type="image/png", bytes=1, sha256="cd")


def compared(
    root: Path, *, anyway: bool = False, scale: float = 1.0, **more: Any
) -> LoadComparison:
    first = results(write(root, latencies(seed=1), name="first"))
    second = results(write(root, latencies(seed=2, scale=scale), name="second", **more))
    return compare_loads(first, second, anyway=anyway)


def test_a_slower_target_is_shown_to_be_slower_with_an_interval(tmp_path: Path) -> None:
    found = compared(tmp_path, scale=1.5)
    p95 = next(one for one in found.changes if one.q == 0.95)
    assert p95.interval is not None
    assert p95.interval[0] < 1.5 < p95.interval[1]
    assert p95.shown
    assert found.text.startswith("p95: the second is slower")


def test_of_alike_loads_no_difference_is_shown(tmp_path: Path) -> None:
    found = compared(tmp_path)
    assert "no difference shown" in found.text
    assert next(one for one in found.changes if one.q == 0.95).verdict is RatioVerdict.SAME
    assert found.doubts == ()
    assert "Nothing that was recorded." in document(found).to_markdown()


def test_a_quantile_that_nothing_bounds_has_no_interval(tmp_path: Path) -> None:
    values = latencies()
    values[600:640] += 2.0
    first = results(write(tmp_path, latencies(seed=2), name="first"))
    found = compare_loads(first, results(write(tmp_path, values, name="second")))
    p99 = next(one for one in found.changes if one.q == 0.99)
    assert p99.interval is None
    assert p99.verdict == "too few samples to tell"


@pytest.mark.parametrize(
    ("what", "more"),
    [
        ("the schedule", {"per_s": 10.0}),
        ("their payloads", {"payloads": (OTHER,)}),
        ("the kind of loop", {"clients": 1}),
    ],
)
def test_loads_that_were_not_asked_the_same_are_refused_unless_told(
    tmp_path: Path, what: str, more: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=what) as refused:
        compared(tmp_path / "refused", **more)
    assert "--anyway" in str(refused.value)
    found = compared(tmp_path / "anyway", anyway=True, **more)
    assert what in found.doubts[0]
    assert found.changes


def test_a_load_is_not_compared_with_itself(tmp_path: Path) -> None:
    one = results(write(tmp_path, latencies()))
    with pytest.raises(UsageError, match="itself"):
        compare_loads(one, one)


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ("different machines", {"host": {**HOST, "cpu_model": "another"}}),
        ("The second is invalid", {"late_s": 0.004}),
        ("The second ran emulated", {"target": TARGET.model_copy(update={"emulated": True})}),
        ("The second was not completed", {"ended": "stopped"}),
        (
            "While the second ran, others took",
            {
                "machine": {
                    "wall_s": 60,
                    "cpus": 2,
                    "busy_s": 80,
                    "others_s": 60,
                    "steal_s": 0,
                    "load": 2,
                }
            },
        ),
    ],
)
def test_what_makes_a_ratio_doubtful_is_said(
    tmp_path: Path, said: str, more: dict[str, Any]
) -> None:
    assert any(said in one for one in compared(tmp_path, **more).doubts)


def test_cold_and_warm_are_compared_apart(tmp_path: Path) -> None:
    first, second = with_cold(tmp_path, name="first"), with_cold(tmp_path, name="second")
    found = compare_loads(results(first), results(second))
    assert {one.of for one in found.changes} == {"all", "warm", "cold"}
    assert next(one for one in found.answers if one.what == "cold").second == "1 %"


def test_the_commands_write_and_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.command()(load_report.report)
    app.command()(load_report.compare)
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    for seed, name in enumerate(("20261120T120000Z-load", "20261120T130000Z-load")):
        write(tmp_path / "runs", latencies(seed=seed), name=name)
    done = CliRunner().invoke(app, ["report", "latest"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "runs" / "20261120T130000Z-load" / "report.html").is_file()
    done = CliRunner().invoke(
        app, ["compare", "20261120T120000Z-load", "20261120T130000Z-load", "--json"]
    )
    assert done.exit_code == 0, done.output
    assert LoadComparison.model_validate_json(done.output).second == "20261120T130000Z-load"
    assert (tmp_path / "runs" / "20261120T130000Z-load" / "compare.md").is_file()


def test_the_report_of_a_search_is_found_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer()
    app.command()(load_report.report)
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    write_steps(search(), tmp_path / "runs" / search().id)
    done = CliRunner().invoke(app, [search().id])
    assert done.exit_code == 0, done.output
    assert "20/s asked (knee)" in done.output


def test_latencies_alone_make_no_comparison_of_nothing(tmp_path: Path) -> None:
    first = results(write(tmp_path, latencies(40), name="first"))
    second = results(write(tmp_path, latencies(40), name="second", status=np.zeros(40)))
    found = compare_loads(first, second)
    assert found.changes == ()
    assert found.text == "Neither load has answers to compare."
