import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab.aws.model import Action, Order, PlanItem, PushTarget, ServingKind
from lab.aws.push.planning import (
    changes,
    dollars,
    estimate_of,
    latest_work,
    refuse_over_budget,
    show_plan,
)
from lab.coldstart.summary import Headline, Row, RunFacts, Spread, Summary
from lab.cost.estimate import ASSUMED, Estimate, Work
from lab.errors import UsageError
from lab.spec import Platform, StartKind


def estimate(kind: ServingKind, **more: Any) -> Estimate:
    order = Order(endpoint="eyes", variant="v", model="m", kind=kind, **more)
    return estimate_of(
        order, region="us-east-1", work=ASSUMED, image_bytes=70_000_000, archive_bytes=12_000_000
    )


def serverless(**more: Any) -> Estimate:
    return estimate(ServingKind.SERVERLESS, **{"memory_mb": 2048, **more})


def real_time(instance_type: str, **more: Any) -> Estimate:
    return estimate(ServingKind.REAL_TIME, instance_type=instance_type, **more)


def shown(
    found: Estimate, items: Sequence[PlanItem] = (), target: PushTarget = PushTarget.AWS
) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(show_plan(items, found, target=target, undo="make destroy-aws"))
    return console.export_text()


def test_the_default_order_is_within_the_default_budget() -> None:
    refuse_over_budget(serverless(), max_hourly_usd=None)
    refuse_over_budget(real_time("ml.m5.xlarge"), max_hourly_usd=None)


def test_more_than_the_budget_is_refused_with_both_figures() -> None:
    with pytest.raises(UsageError, match=r"\$1\.05.*\$1\.00") as caught:
        refuse_over_budget(real_time("ml.g4dn.2xlarge"), max_hourly_usd=None)
    assert "--max-hourly-usd" in caught.value.remedy
    refuse_over_budget(real_time("ml.g4dn.2xlarge"), max_hourly_usd=1.06)
    with pytest.raises(UsageError):
        refuse_over_budget(real_time("ml.m5.xlarge"), max_hourly_usd=0.1)


def test_what_scaling_may_add_counts_against_the_budget() -> None:
    with pytest.raises(UsageError):
        refuse_over_budget(real_time("ml.m5.xlarge", max_instances=5), max_hourly_usd=None)


def test_serverless_copies_that_may_all_be_busy_count_against_the_budget() -> None:
    with pytest.raises(UsageError, match=r"\$28\.80"):
        refuse_over_budget(serverless(max_concurrency=200), max_hourly_usd=None)


def test_an_unknown_price_needs_a_limit_that_the_user_has_set() -> None:
    unknown = real_time("ml.p5.48xlarge")
    with pytest.raises(UsageError, match="not in the lab's table"):
        refuse_over_budget(unknown, max_hourly_usd=None)
    refuse_over_budget(unknown, max_hourly_usd=100)
    assert "unknown" in shown(unknown)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unknown"),
        (0.0, "$0"),
        (0.0000344, "$0.0000344"),
        (0.00999, "$0.00999"),
        (0.23, "$0.23"),
        (1234.5, "$1,234.50"),
    ],
)
def test_dollars_are_never_written_with_an_exponent(amount: float | None, text: str) -> None:
    assert dollars(amount) == text


def test_the_plan_says_what_is_made_what_it_costs_and_how_it_is_undone() -> None:
    items = [
        PlanItem(kind="ECR repository", name="inference-lab/eyes", action=Action.CREATE),
        PlanItem(kind="S3 bucket", name="b", action=Action.KEEP, detail="[bold]as it is[/bold]"),
    ]
    text = shown(real_time("ml.m5.xlarge"), items)
    assert "ECR repository" in text
    assert "[bold]as it is[/bold]" in text
    assert "an idle hour" in text
    assert "1,000,000 requests" in text
    assert "a month if it is forgotten" in text
    assert "$168.11" in text  # 730 hours, image, archive, two alarms
    assert "assumed" in text
    assert "Prices as of 2026" in text
    assert "ml.m5.xlarge $0.23/hour" in text
    assert "data $0.016/GB" in text
    assert "make destroy-aws" in text


def test_nothing_of_the_emulator_costs_anything() -> None:
    text = shown(serverless(), target=PushTarget.LOCAL)
    assert "Costs nothing" in text
    assert "$" not in text


def test_a_plan_that_keeps_everything_changes_nothing() -> None:
    kept = PlanItem(kind="a", name="b", action=Action.KEEP)
    made = PlanItem(kind="a", name="b", action=Action.CREATE)
    assert not changes([kept, kept])
    assert changes([kept, made])


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


def latest(runs: Path, *, request_bytes: int = 1000, **more: Any) -> Work:
    given = {"variant": "onnx-slim", "model": "eyes", "memory_mb": 2048, **more}
    kind = ServingKind.REAL_TIME if given["memory_mb"] is None else ServingKind.SERVERLESS
    order = Order(endpoint="eyes", kind=kind, instance_type="ml.m5.large", **given)
    return latest_work(order, runs=runs, request_bytes=request_bytes)


def test_nothing_measured_is_an_assumption_that_says_so(tmp_path: Path) -> None:
    assert latest(tmp_path) == replace(ASSUMED, request_bytes=1000)
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
    assert latest(tmp_path) == replace(ASSUMED, request_bytes=1000)


def test_the_payload_that_will_be_sent_gives_the_bytes(tmp_path: Path) -> None:
    assert latest(tmp_path, request_bytes=7).request_bytes == 7
