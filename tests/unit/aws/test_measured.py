import json
from pathlib import Path
from typing import Any

from lab.aws.measured import latest_work
from lab.cost.estimate import ASSUMED, Work
from lab.spec import Platform


def row(seconds: float | None, **more: Any) -> dict[str, Any]:
    return {
        "variant": "onnx-slim",
        "model": "eyes",
        "platform": "linux/amd64",
        "tier": "2048",
        "emulated": False,
        "second_prediction_s": {"p50": seconds},
        **more,
    }


def run(runs: Path, name: str, *rows: dict[str, Any]) -> None:
    (runs / name).mkdir()
    (runs / name / "summary.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")


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
        row(3, platform="linux/arm64"),
        row(4, emulated=True),
        row(None),
        {"variant": "onnx-slim"},
    )
    (tmp_path / "20260102T000000Z-b").mkdir()
    (tmp_path / "20260103T000000Z-c").mkdir()
    (tmp_path / "20260103T000000Z-c" / "summary.json").write_text("{", encoding="utf-8")
    assert latest(tmp_path) == ASSUMED


def test_the_payload_that_will_be_sent_gives_the_bytes(tmp_path: Path) -> None:
    assert latest(tmp_path, request_bytes=7).request_bytes == 7
