from pathlib import Path
from typing import Any

import pytest

from lab.cli import coldstart
from lab.cli.coldstart import ColdstartOptions
from lab.errors import PlanError, UsageError
from lab.spec import Platform, StartKind

NOTHING = ColdstartOptions()


def options(**over: Any) -> ColdstartOptions:
    return ColdstartOptions(**{**vars(NOTHING), **over})


def test_no_flags_are_the_default_plan() -> None:
    plan = coldstart.plan_of(NOTHING)
    assert plan.name == "default"
    assert plan.own is None


def test_flags_replace_what_the_plan_says() -> None:
    plan = coldstart.plan_of(
        options(plan="smoke", seed=9, bandwidth="200Mbit", tier=("1024", "host"), repeats=3)
    )
    assert (plan.name, plan.seed, plan.bandwidth) == ("smoke", 9, 200_000_000)
    assert [tier.name for tier in plan.tiers] == ["1024", "host"]
    assert set(plan.repeats.values()) == {3}


def test_the_latency_of_a_chunk_may_be_given() -> None:
    assert coldstart.plan_of(options(plan="smoke", chunk_latency="2ms")).chunk_latency == 0.002
    with pytest.raises(UsageError, match="chunk_latency"):
        coldstart.plan_of(options(plan="smoke", chunk_latency="2s"))


def test_platforms_may_be_given_again_or_with_commas() -> None:
    both = (Platform.AMD64, Platform.ARM64)
    for typed in (("linux/amd64", "linux/arm64"), ("linux/amd64,linux/arm64",), ("amd64, arm64",)):
        assert coldstart.plan_of(options(plan="smoke", platform=typed)).platforms == both


def test_a_platform_named_in_two_ways_is_one() -> None:
    plan = coldstart.plan_of(options(plan="smoke", platform=("arm64,linux/arm64",)))
    assert plan.platforms == (Platform.ARM64,)


def test_one_start_kind_may_be_picked_from_a_plan() -> None:
    plan = coldstart.plan_of(options(plan="default", start=(StartKind.PULL,), repeats=2))
    assert plan.start_kinds == (StartKind.PULL,)
    assert plan.repeats == {StartKind.PULL: 2}


def test_variants_and_a_model_may_be_picked_from_a_plan() -> None:
    plan = coldstart.plan_of(options(variant=("onnx-slim",), model="retinopathy-vgg19"))
    assert plan.variants == ("onnx-slim",)
    assert plan.models == ("retinopathy-vgg19",)


def test_an_own_image_needs_no_plan(tmp_path: Path) -> None:
    plan = coldstart.plan_of(options(image="me/x:1", payload=tmp_path / "cat.JPG"))
    assert plan.name == "me-x-1"
    assert plan.variants == ()
    assert plan.own is not None
    assert plan.own.content_type == "image/jpeg"
    assert plan.start_kinds == (StartKind.RESTART, StartKind.FRESH)
    assert plan.ready_timeout == 480


def test_an_own_image_can_be_measured_against_ours(tmp_path: Path) -> None:
    plan = coldstart.plan_of(
        options(image="me/x", payload=tmp_path / "q.json", against=("onnx-slim",))
    )
    assert plan.variants == ("onnx-slim",)
    assert plan.models == ("retinopathy-mobilenet",)


def test_an_own_image_can_join_a_plan(tmp_path: Path) -> None:
    plan = coldstart.plan_of(options(plan="smoke", image="me/x", payload=tmp_path / "q.json"))
    assert plan.name == "smoke"
    assert plan.variants == ("slim", "onnx-slim")
    assert plan.own is not None


@pytest.mark.parametrize(
    ("over", "error", "says"),
    [
        ({"plan": "defualt"}, UsageError, "did you mean default"),
        ({"image": "x"}, UsageError, "needs a question"),
        ({"image": "x", "payload": Path("q.tea")}, UsageError, "type of q.tea cannot be told"),
        ({"payload": Path("q.json")}, UsageError, "--payload needs --image"),
        ({"against": ("onnx",), "model": "m"}, UsageError, "--against needs --image"),
        (
            {"image": "x", "payload": Path("q.json"), "variant": ("onnx",)},
            UsageError,
            "--variant chooses among a plan's variants",
        ),
        ({"variant": ("onxx",)}, UsageError, "unknown variant 'onxx'; did you mean onnx"),
        (
            {"image": "x", "payload": Path("q.json"), "against": ("onxx",)},
            UsageError,
            "unknown variant 'onxx'; did you mean onnx",
        ),
        ({"plan": "smoke", "tier": ("big",)}, UsageError, "tiers: 'big' is not a tier"),
        ({"plan": "smoke", "platform": ("linux/arm",)}, UsageError, "did you mean linux/arm64"),
        ({"plan": "smoke", "repeats": 0}, UsageError, "greater than or equal to 1"),
        ({"plan": "smoke", "bandwidth": "fast"}, UsageError, "is not a bandwidth"),
        ({"plan": "smoke", "ready_timeout": "1h"}, UsageError, "is not a duration"),
    ],
)
def test_a_flag_that_makes_no_sense_is_named(
    over: dict[str, Any], error: type[UsageError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        coldstart.plan_of(options(**over))
    assert not isinstance(caught.value, PlanError)
