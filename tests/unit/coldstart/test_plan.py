from pathlib import Path

import pytest

from lab.coldstart import planfile, schedule
from lab.coldstart.plan import Plan, variant_name
from lab.errors import PlanError, UsageError
from lab.spec import StartKind

VARIANTS = ("baseline", "twostage", "slim", "onnx", "onnx-slim")
GOOD = "variants: [slim]\nmodels: [mobilenet]\n"


def load(tmp_path: Path, text: str) -> Plan:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return planfile.load(path, variants=VARIANTS, models=("mobilenet",))


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    plan = load(tmp_path, GOOD)
    assert plan.name == "mine"
    assert plan.start_kinds == (StartKind.FRESH,)
    assert plan.repeats == {StartKind.FRESH: 10}
    assert plan.warm_up == (StartKind.FRESH,)
    assert plan.probe_interval == 0.01
    assert plan.bandwidth == 1_000_000_000
    assert [tier.name for tier in plan.tiers] == ["host"]
    assert len(plan.platforms) == 1


def test_people_s_units_are_understood(tmp_path: Path) -> None:
    plan = load(
        tmp_path,
        GOOD
        + "tiers: [1024, host]\nprobe_interval: 5 ms\nready_timeout: 3min\nbandwidth: 200Mbit\n",
    )
    assert [tier.memory_mb for tier in plan.tiers] == [1024, None]
    assert (plan.probe_interval, plan.ready_timeout, plan.bandwidth) == (0.005, 180, 200_000_000)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "models: mobilenet\nvariants:\n  - slim\n  - onxx\n",
            "mine.yaml:4: variants: unknown variant 'onxx'; did you mean onnx?",
        ),
        (
            "variants: slim\nmodels: [mobilnet]\n",
            "mine.yaml:2: models: unknown model 'mobilnet'; did you mean mobilenet?",
        ),
        (
            GOOD + "repeat: 3\n",
            "mine.yaml:3: unknown key 'repeat'; did you mean repeats?",
        ),
        (
            GOOD + "start_kinds: [fresh, pul]\n",
            "mine.yaml:3: start_kinds: unknown value 'pul'; did you mean pull?",
        ),
        (
            GOOD + "\nrepeats:\n  fresh: 0\n",
            "mine.yaml:5: repeats.fresh: input should be greater than or equal to 1 (not 0).",
        ),
        (
            GOOD + "start_kinds: [fresh, pull]\nrepeats:\n  fresh: 3\n",
            "mine.yaml:4: repeats: no number for pull, which is in start_kinds.",
        ),
        (GOOD + "warm_up: pull\n", "mine.yaml:3: warm_up: pull is not in start_kinds."),
        (GOOD + "probe_interval: 50ms\n", "mine.yaml:3: probe_interval: input should be less"),
        (GOOD + "ready_timeout: 9min\n", "mine.yaml:3: ready_timeout: input should be less"),
        (GOOD + "tiers: [big]\n", "mine.yaml:3: tiers: 'big' is not a tier"),
        (GOOD + "bandwidth: fast\n", "mine.yaml:3: bandwidth: 'fast' is not a bandwidth."),
        (GOOD + "seed: yes\n", "mine.yaml:3: seed: input should be a valid integer"),
        (GOOD + "models: b\n", "mine.yaml:3: models is given twice (first on line 2)."),
        (
            "variants: [slim, slim]\nmodels: mobilenet\n",
            "mine.yaml:1: variants: slim is named twice.",
        ),
        ("models: mobilenet\n", "mine.yaml:1: variants is missing"),
        (
            "own:\n  image: x\n  paylod: y\n",
            "mine.yaml:3: unknown key 'paylod'; did you mean payload?",
        ),
        ("own:\n  image: x\n  content_type: y\n", "mine.yaml:1: own.payload: is missing."),
        ("variants: [slim\n", "mine.yaml:2: not YAML"),
        ("- slim\n", "mine.yaml:1: a plan is a mapping"),
        ("", "mine.yaml:1: a plan is a mapping"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/{says}")


def test_a_mistake_in_a_flag_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    with pytest.raises(UsageError, match=r"^tiers: 'big' is not a tier"):
        planfile.load(path, over={"tiers": ["big"]})


def test_a_flag_replaces_the_file_s_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD + "seed: 1\n")
    assert planfile.load(path, over={"seed": 7}).seed == 7


def test_files_of_a_plan_lie_beside_it(tmp_path: Path) -> None:
    plan = load(tmp_path, "own:\n  image: x\n  payload: cat.png\n  content_type: image/png\n")
    assert plan.own is not None
    assert plan.own.payload == tmp_path / "cat.png"


def test_a_plan_survives_the_way_through_run_json() -> None:
    for path in planfile.built_in():
        plan = planfile.load(path)
        assert Plan.model_validate(plan.model_dump(mode="json")) == plan


def test_the_built_in_plans_are_what_the_documentation_promises() -> None:
    plans = {path.stem: planfile.load(path) for path in planfile.built_in()}
    assert plans["smoke"].variants == ("slim", "onnx-slim")
    assert plans["default"].variants == ("baseline", "slim", "onnx", "onnx-slim")
    assert set(plans["default"].start_kinds) == {"restart", "fresh", "ondemand", "pull"}
    assert len(plans["study"].variants) == 5
    assert len(plans["study"].models) == 2
    assert [tier.memory_mb for tier in plans["study"].tiers] == [1024 * n for n in range(1, 7)]
    assert set(plans["study"].start_kinds) == {"fresh", "ondemand"}
    quick = plans["study-quick"]
    assert set(quick.variants) == {"slim", "baseline"}
    assert quick.models == plans["study"].models
    assert [tier.memory_mb for tier in quick.tiers] == [1024, 2048, 3072]
    assert quick.start_kinds == plans["study"].start_kinds
    for plan in plans.values():
        assert "floor" in {cell.variant for cell in schedule.cells(plan)}


def test_an_unknown_plan_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean default"):
        planfile.find("defualt")
    with pytest.raises(UsageError, match="There is no plan file"):
        planfile.find("nowhere/mine.yaml")


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("ghcr.io/me/Server:1.2", "me-server-1.2"),
        ("localhost:5000/x/y", "x-y"),
        ("my-image:latest", "my-image"),
        ("repo/img@sha256:abcdef", "repo-img"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/retina:v2", "retina-v2"),
    ],
)
def test_an_image_s_name_becomes_a_variant_s(image: str, name: str) -> None:
    assert variant_name(image) == name


def test_an_own_image_may_not_pose_as_a_variant(tmp_path: Path) -> None:
    own = "own:\n  image: slim\n  payload: x\n  content_type: y\n"
    with pytest.raises(PlanError, match="has the name of a variant"):
        load(tmp_path, GOOD + own)
