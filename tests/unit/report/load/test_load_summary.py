"""What a load amounts to, and what is said against it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.errors import UsageError
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import Objective
from lab.loadtest.summary import LoadSummary, read_load_summary
from lab.report.load.summary import results
from lab.report.load.write import write_report
from tests.unit.report.load.loads import TARGET, latencies, with_cold, write


def summary(folder: LoadFolder) -> LoadSummary:
    return results(folder).summary


def kinds(folder: LoadFolder) -> Sequence[str]:
    return [one.kind for one in summary(folder).findings]


def test_a_quiet_load_has_its_p95_and_rate_as_its_headline_and_nothing_against_it(
    tmp_path: Path,
) -> None:
    found = summary(write(tmp_path, latencies()))
    assert found.headline.startswith("p95 7")
    assert found.headline.endswith("at 20 requests/s")
    assert found.valid
    assert found.findings == ()


def test_cold_starts_are_told_apart_and_none_is_left_out(tmp_path: Path) -> None:
    found = summary(with_cold(tmp_path))
    assert "1 % cold" in found.headline
    assert sum(one.cold for one in found.bins) == found.figures.cold == 12
    assert max(one.max_s or 0.0 for one in found.bins) == pytest.approx(3.0)
    assert found.pool is not None
    assert (found.pool.containers, found.pool.starting, found.pool.memory_bytes) == (2, 1, 300)
    assert [one.kind for one in found.findings] == ["cold"]


def test_every_request_is_in_one_bin(tmp_path: Path) -> None:
    status = np.full(1200, 200)
    status[::10], status[1::100] = 429, 0
    found = summary(write(tmp_path, latencies(), status=status))
    assert sum(one.sent for one in found.bins) == 1200
    assert sum(one.throttled for one in found.bins) == 120
    assert sum(one.failed for one in found.bins) == 12
    assert sum(one.answered for one in found.bins) == found.figures.answered


def test_a_late_generator_makes_the_load_invalid_in_its_headline(tmp_path: Path) -> None:
    found = summary(write(tmp_path, latencies(), late_s=0.004))
    assert not found.valid
    assert found.headline.startswith("Invalid: ")
    assert found.findings[0].kind == "invalid"


def test_a_closed_loop_has_no_generator_to_judge_and_says_what_it_hides(tmp_path: Path) -> None:
    folder = write(tmp_path, latencies(40), clients=1, uncounted=1)
    found = summary(folder)
    assert found.generator is None
    assert found.figures.n == 39
    assert "in a closed loop of 1 client" in found.headline
    assert "closed" in kinds(folder)


@pytest.mark.parametrize(
    ("seconds", "errors", "met"),
    [(0.2, None, True), (0.06, None, False), (0.2, 0.05, False), (None, 0.2, True)],
)
def test_an_objective_is_kept_only_below_the_upper_bound(
    tmp_path: Path, *, seconds: float | None, errors: float | None, met: bool
) -> None:
    status = np.full(1200, 200)
    status[::10] = 429
    objective = Objective(q=0.95, seconds=seconds, errors=errors)
    folder = write(tmp_path, latencies(), status=status, objective=objective)
    assert summary(folder).objective_met is met


def test_an_objective_that_few_requests_cannot_decide_is_left_open(tmp_path: Path) -> None:
    folder = write(tmp_path, latencies(30), objective=Objective(q=0.99, seconds=0.2))
    assert summary(folder).objective_met is None


def test_what_went_wrong_is_counted_by_its_words(tmp_path: Path) -> None:
    status = np.full(1200, 200)
    status[5:9], status[20] = 0, 500
    folder = write(tmp_path, latencies(), status=status, cause="It ran out of memory.")
    found = summary(folder)
    assert found.errors == {"connection refused": 4, "status 500": 1}
    failed = next(one for one in found.findings if one.kind == "failed")
    assert "4 times connection refused" in failed.seen
    assert "It ran out of memory." in failed.seen


USE = {"wall_s": 60, "cpus": 2, "busy_s": 80, "others_s": 60, "steal_s": 0, "load": 2}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("stopped", {"ended": "stopped"}),
        ("disturbed", {"machine": {**USE, "who": ["cc1"]}}),
        ("emulated", {"target": TARGET.model_copy(update={"emulated": True})}),
        ("size", {"target": TARGET.model_copy(update={"notes": ("It has 2 of 4 vCPUs.",)})}),
    ],
)
def test_what_speaks_against_a_load_is_a_finding(
    tmp_path: Path, kind: str, more: dict[str, Any]
) -> None:
    assert kinds(write(tmp_path, latencies(), **more)) == [kind]


def test_a_queue_that_grows_is_a_finding(tmp_path: Path) -> None:
    folder = write(tmp_path, latencies() + np.linspace(0, 5, 1200))
    assert "rising" in kinds(folder)


def test_one_stall_leaves_the_p99_without_an_upper_bound_and_says_so(tmp_path: Path) -> None:
    values = latencies()
    values[600:640] += np.linspace(2, 0.1, 40)
    assert "unbounded" in kinds(write(tmp_path, values))


def test_a_load_that_nothing_answered_is_a_summary_too(tmp_path: Path) -> None:
    folder = write(tmp_path, latencies(50), status=np.zeros(50))
    found = summary(folder)
    assert "answered none of 50 requests" in found.headline
    assert found.figures.latency is None
    assert write_report(folder).is_file()


def test_the_file_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    folder = with_cold(tmp_path)
    write_report(folder)
    assert read_load_summary(folder.path) == summary(folder)
    path = folder.path / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    with pytest.raises(UsageError, match="schema 2"):
        read_load_summary(folder.path)


def test_a_load_without_a_report_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_load_summary(write(tmp_path, latencies(20)).path)
    assert "lab load report" in str(refused.value)
