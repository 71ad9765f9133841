import json
from pathlib import Path
from typing import Any

from lab.aws.measured import latest_work
from lab.coldstart.summary import Headline, Row, RunFacts, Spread, Summary
from lab.cost.estimate import ASSUMED, Work
from lab.spec import Platform, StartKind


def row(seconds: float | None, **more: Any) -> Row:
    fields: dict[str, Any] = {
        "variant": "onnx-slim",
        "model": "eyes",
        "platform": Platform.AMD64,
        "tier": "2048",
        "start_kind": StartKind.FRESH,
        "emulated": False,
        "second_prediction_s": Spread(p50=seconds),
        "total_s": Spread(),
        **dict.fromkeys(("n", "failures", "skipped", "warm_up"), 0),
        "phases_s": {},
        "phases_ci95": {},
        "outliers": (),
        **dict.fromkeys(("peak_memory_bytes", "throttled_s", "cpu_s", "probe_interval_s")),
        **dict.fromkeys(("image_compressed_bytes", "image_unpacked_bytes")),
    }
    return Row.model_validate({**fields, **more})


def run(runs: Path, name: str, *rows: Row) -> None:
    summary = Summary(
        run=RunFacts(
            id=name,
            started_at="2026-01-01T00:00:00Z",
            plan="default",
            seed=7,
            git_commit=None,
            engine="Docker Engine",
            container=True,
            planned=0,
            recorded=0,
        ),
        headline=Headline(text="", detail=""),
        rows=rows,
        comparisons=(),
        targets=(),
        findings=(),
    )
    (runs / name).mkdir()
    (runs / name / "summary.json").write_text(summary.to_json(), encoding="utf-8")


def latest(runs: Path, **more: Any) -> Work:
    given = {"variant": "onnx-slim", "model": "eyes", "platform": Platform.AMD64}
    return latest_work(**{**given, "memory_mb": 2048, "runs": runs, **more})


def test_nothing_measured_is_an_assumption_that_says_so(tmp_path: Path) -> None:
    assert latest(tmp_path) == ASSUMED
    assert "assumed" in latest(tmp_path).source


def test_the_newest_run_with_the_tier_counts_and_is_named(tmp_path: Path) -> None:
    run(tmp_path, "20260101T000000Z-a", row(0.5))
    run(tmp_path, "20260102T000000Z-b", row(0.25))
    run(tmp_path, "20260103T000000Z-c", row(0.01, tier="host"))
    (tmp_path / "latest").symlink_to("20260103T000000Z-c")
    work = latest(tmp_path)
    assert work.seconds == 0.25
    assert "20260102T000000Z-b" in work.source
    assert "2048 MB" in work.source


def test_another_tier_is_better_than_an_assumption_and_is_named(tmp_path: Path) -> None:
    run(tmp_path, "20260101T000000Z-a", row(0.01, tier="host"))
    assert latest(tmp_path).seconds == 0.01
    assert "no limit" in latest(tmp_path).source


def test_an_instance_is_compared_with_a_container_without_limits(tmp_path: Path) -> None:
    run(tmp_path, "20260101T000000Z-a", row(0.5), row(0.01, tier="host"))
    assert latest(tmp_path, memory_mb=None).seconds == 0.01


def test_other_things_emulated_trials_and_broken_runs_do_not_count(tmp_path: Path) -> None:
    run(
        tmp_path,
        "20260101T000000Z-a",
        row(1, variant="baseline"),
        row(2, model="other"),
        row(3, platform=Platform.ARM64),
        row(4, emulated=True),
        row(None),
    )
    (tmp_path / "20260102T000000Z-b").mkdir()
    (tmp_path / "20260102T000000Z-b" / "summary.json").write_text(
        json.dumps({"schema": 1, "rows": [{"variant": "onnx-slim"}]}), encoding="utf-8"
    )
    (tmp_path / "20260103T000000Z-c").mkdir()
    (tmp_path / "20260103T000000Z-c" / "summary.json").write_text("{", encoding="utf-8")
    assert latest(tmp_path) == ASSUMED


def test_the_payload_that_will_be_sent_gives_the_bytes(tmp_path: Path) -> None:
    assert latest(tmp_path, request_bytes=7).request_bytes == 7
