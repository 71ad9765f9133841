"""What of the contract check keeps an image from an endpoint."""

from dataclasses import replace
from typing import Any

import pytest

from lab.aws.model import Order, PreflightState, ServingKind
from lab.cli.push_contract import check_request, judged
from lab.contract.fitness import REAL_TIME, SERVERLESS, decisive
from lab.contract.model import Rule, RuleFinding, Verdict

ORDER = Order(
    endpoint="one", variant="onnx-slim", model="any", kind=ServingKind.SERVERLESS, memory_mb=2048
)


def found(rule: str, verdict: Verdict, data: Any = None) -> RuleFinding:
    said = Rule(id=rule, title="A rule", why="why", change="Change it.", source="here")
    return RuleFinding(rule=said, verdict=verdict, seen=f"{rule} was seen", data=data)


def test_an_image_that_keeps_all_rules_is_one_good_line() -> None:
    (check,) = judged(ORDER, [found("ping", Verdict.PASS), found("invocation", Verdict.PASS)])

    assert check.state is PreflightState.OK
    assert "2 rules" in check.detail


def test_a_broken_rule_fails_and_says_what_to_change() -> None:
    (check,) = judged(ORDER, [found("ping", Verdict.PASS), found("non-root", Verdict.FAIL)])

    assert check.state is PreflightState.FAIL
    assert check.remedy == "Change it."


def test_a_doubtful_rule_is_shown_beside_the_verdict() -> None:
    checks = judged(ORDER, [found("ping", Verdict.PASS), found("manifest", Verdict.WARN)])

    assert [check.state for check in checks] == [PreflightState.OK, PreflightState.WARN]


def test_what_could_not_be_tried_is_not_called_good() -> None:
    (check,) = judged(ORDER, [found("ping", Verdict.PASS), found("manifest", Verdict.SKIP)])

    assert check.state is PreflightState.UNKNOWN
    assert "manifest" in check.detail


@pytest.mark.parametrize(
    ("least", "state"),
    [
        (1024, PreflightState.OK),
        (2048, PreflightState.OK),
        (3072, PreflightState.FAIL),
        (None, PreflightState.FAIL),
    ],
)
def test_the_ordered_memory_must_be_enough(least: int | None, state: PreflightState) -> None:
    verdict = Verdict.FAIL if least is None else Verdict.WARN
    (check,) = judged(ORDER, [found("memory-tiers", verdict, {"runs_from_mb": least})])

    assert check.state is state
    if least == 3072:
        assert "--memory 3072" in check.remedy


def test_more_memory_may_be_ordered_than_is_needed() -> None:
    data = {"runs_from_mb": 3072}
    (check,) = judged(replace(ORDER, memory_mb=4096), [found("memory-tiers", Verdict.WARN, data)])

    assert check.state is PreflightState.OK


def test_size_and_other_users_matter_to_serverless_only() -> None:
    assert {"image-size", "non-root"} <= set(decisive(SERVERLESS))
    assert not {"image-size", "non-root"} & set(decisive(REAL_TIME))
    assert {"ping", "manifest", "platform"} <= set(decisive(REAL_TIME))


@pytest.mark.parametrize(
    ("instance_type", "held_against"),
    [("ml.m6g.xlarge", "ml.m6g.xlarge"), ("ml.m99.huge", None)],
)
def test_the_image_is_held_against_the_instance_type_that_is_ordered(
    instance_type: str, held_against: str | None
) -> None:
    order = replace(ORDER, kind=ServingKind.REAL_TIME, memory_mb=None, instance_type=instance_type)

    assert check_request(order, "onnx:slim").instance_type == held_against
    assert check_request(ORDER, "onnx:slim").instance_type is None
