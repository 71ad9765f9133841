from dataclasses import replace
from typing import Any

import pytest

from lab.endpoint.deploy.builder import failure_reason, shortened
from lab.endpoint.deploy.policy import (
    capture_in_service,
    capture_retained,
    in_service,
    policy,
    retained,
    states,
)
from lab.endpoint.live import LaunchFailed
from lab.endpoint.records import EndpointRecord, Status, VariantState
from tests.fidelity import ABSENT, DOCUMENTED, SEEN, fidelity
from tests.unit.endpoint.fleet_scene import plan, serverless


def _blue_green(routing: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **more}}


def _record(**changes: Any) -> EndpointRecord:
    row = EndpointRecord(
        name="shop",
        arn="arn",
        created_at=0.0,
        modified_at=0.0,
        status=Status.UPDATING,
        config_name="one",
        variants={"AllTraffic": VariantState(name="AllTraffic", weight=3.0, count=4)},
    )
    return replace(row, **changes)


@fidelity(
    "Updates",
    "Without a DeploymentConfig an update is blue/green, all traffic at once.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-all-at-once.html",
)
def test_without_a_policy_all_traffic_goes_over_at_once() -> None:
    assert policy({}, instances=2).shares == (1.0,)
    assert policy({}, instances=2).wait_s == 0


@fidelity(
    "Updates",
    "A canary gets its share first, and the rest after WaitIntervalInSeconds.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-canary.html",
)
def test_a_canary_goes_first() -> None:
    canary = policy(
        _blue_green(
            {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 300,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 30},
            },
            TerminationWaitInSeconds=60,
            MaximumExecutionTimeoutInSeconds=1800,
        ),
        instances=2,
    )
    assert canary.shares == (0.3, 1.0)
    assert (canary.wait_s, canary.termination_wait_s, canary.limit_s) == (300, 60, 1800)


def test_a_canary_may_be_counted_in_instances() -> None:
    routing = {"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}}
    assert policy(_blue_green(routing), instances=4).shares == (0.25, 1.0)
    assert policy(_blue_green(routing), instances=1).shares == (1.0,)


@fidelity(
    "Updates",
    "Linear shifting goes in equal steps up to all of the traffic.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-linear.html",
)
@pytest.mark.parametrize(
    ("percent", "steps"), [(10, 10), (20, 5), (25, 4), (30, 4), (33, 3), (50, 2)]
)
def test_linear_steps_end_at_all_of_it(percent: int, steps: int) -> None:
    routing = {"Type": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": percent}}
    shares = policy(_blue_green(routing), instances=1).shares
    assert len(shares) == steps
    assert list(shares) == sorted(set(shares))
    assert shares[0] == pytest.approx(percent / 100)
    assert shares[-1] == 1.0


@fidelity(
    "Updates",
    "A rolling update shifts traffic batch by batch; the new fleet is built whole beside "
    "the old one, where AWS builds it batch by batch.",
    ABSENT,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-rolling.html",
)
def test_a_rolling_update_is_shifted_batch_by_batch() -> None:
    rolling = {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
            "WaitIntervalInSeconds": 30,
        }
    }
    assert policy(rolling, instances=2).shares == (0.5, 1.0)


def test_an_update_takes_weights_and_counts_from_the_new_configuration() -> None:
    [new] = retained([plan(initial_count=1, weight=1.0)], _record())
    assert (new.initial_count, new.weight) == (1, 1.0)


@fidelity(
    "Updates",
    "RetainAllVariantProperties keeps weights, counts and data capture.",
    DOCUMENTED,
    "botocore: UpdateEndpointInput.RetainAllVariantProperties",
)
def test_an_update_may_retain_them() -> None:
    [new] = retained([plan()], _record(retain={"RetainAllVariantProperties": True}))
    assert (new.initial_count, new.weight) == (4, 3.0)


@fidelity(
    "Updates",
    "ExcludeRetainedVariantProperties takes them from the new configuration.",
    DOCUMENTED,
    "botocore: UpdateEndpointInput.ExcludeRetainedVariantProperties",
)
def test_what_is_excluded_is_not_retained() -> None:
    retain = {
        "RetainAllVariantProperties": True,
        "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredInstanceCount"}],
    }
    [new] = retained([plan()], _record(retain=retain))
    assert (new.initial_count, new.weight) == (1, 3.0)


def test_a_variant_that_is_new_has_nothing_to_retain() -> None:
    retain = {"RetainAllVariantProperties": True}
    [new] = retained([plan("Other", initial_count=2)], _record(retain=retain))
    assert new.initial_count == 2


def test_after_a_restart_the_weights_and_counts_are_those_of_before() -> None:
    [resumed] = in_service([plan()], _record())
    assert (resumed.initial_count, resumed.weight) == (4, 3.0)
    [provisioned] = in_service([serverless(provisioned=1)], _record())
    assert provisioned.initial_count == 1


def test_what_is_remembered_of_a_fleet() -> None:
    remembered = states([plan("A", initial_count=2), serverless(name="B", provisioned=1)])
    assert [(one.name, one.count) for one in remembered.values()] == [("A", 2), ("B", 0)]


def test_capture_is_retained_with_the_rest_and_through_a_restart() -> None:
    old = {"EnableCapture": True, "DestinationS3Uri": "s3://old"}
    new = {"DataCaptureConfig": {"EnableCapture": False}}
    assert capture_retained(new, old, _record()) == (None, {})
    record = _record(retain={"RetainAllVariantProperties": True})
    capture, remembered = capture_retained(new, old, record)
    assert capture == old
    assert capture_in_service(new, _record(retain=remembered)) == old


def test_a_reason_says_what_aws_says_and_then_why() -> None:
    reason = failure_reason("Blue", LaunchFailed("exit code 1"))
    assert reason == (
        "The primary container for production variant Blue did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint. exit code 1"
    )


@fidelity(
    "Containers",
    "Of an image whose program the engine cannot start, FailureReason begins with "
    "CannotStartContainerError; it is not tried again.",
    SEEN,
    "https://github.com/aws-samples/comfyui-on-amazon-sagemaker/issues/2",
)
def test_of_a_container_that_cannot_be_started_aws_says_something_else() -> None:
    assert failure_reason("Blue", LaunchFailed("no serve", refused=True)) == (
        "CannotStartContainerError. Please ensure the model container for variant Blue starts "
        "correctly when invoked with 'docker run <image> serve'. no serve"
    )


def test_a_long_reason_keeps_its_beginning_and_the_last_lines_of_the_log() -> None:
    reason = shortened("begin " + "x" * 5000 + " end")
    assert len(reason) == 1024
    assert reason.startswith("begin")
    assert reason.endswith("end")
