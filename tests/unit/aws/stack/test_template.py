"""The template: what it makes of an order, and that AWS would take it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from cfnlint.api import lint_file

from lab.aws.model import Artifacts, DeploymentNames, Order
from lab.aws.stack import template
from lab.aws.stack.inventory import KINDS
from lab.paths import ROOT
from tests.unit.aws.orders import artifacts, real_time, serverless

NAMES = DeploymentNames.of("eyes", account="123456789012", region="eu-central-1")
AROUND = template.pseudo(account="123456789012", region="eu-central-1")
SERVED = artifacts(NAMES)


def made(order: Order, what: Artifacts | None = SERVED) -> Mapping[str, Any]:
    found = template.render(template.parameters(order, NAMES, what), AROUND)
    return {logical: one.properties for logical, one in found.items()}


def test_cfn_lint_finds_nothing() -> None:
    assert [str(one) for one in lint_file(ROOT / "lab/aws/endpoint.yaml")] == []


def test_it_is_short_enough_to_be_sent_with_the_call() -> None:
    assert len(template.BODY.encode()) <= 51_200
    # CloudFormation gives other characters back as question marks.
    assert template.BODY.isascii()


def test_the_first_step_makes_only_what_image_and_model_are_put_into() -> None:
    assert list(made(serverless(), None)) == [
        "Repository",
        "Bucket",
        "BucketPolicy",
        "LogGroup",
        "Role",
    ]


def test_the_second_step_adds_what_serves_and_takes_nothing_away() -> None:
    first, second = made(serverless(), None), made(serverless())
    assert {name: second[name] for name in first} == first
    assert set(second) - set(first) == {
        "Model",
        "EndpointConfig",
        "Endpoint",
        "ErrorAlarm",
        "LatencyAlarm",
    }


def test_a_serverless_endpoint_has_memory_and_no_instances() -> None:
    (variant,) = made(serverless(memory_mb=3072, max_concurrency=7))["EndpointConfig"][
        "ProductionVariants"
    ]
    assert variant == {
        "VariantName": "AllTraffic",
        "ModelName": made(serverless())["Model"]["ModelName"],
        "InitialVariantWeight": 1,
        "ServerlessConfig": {"MemorySizeInMB": 3072, "MaxConcurrency": 7},
    }


def test_a_real_time_endpoint_has_instances_and_no_memory() -> None:
    (variant,) = made(real_time(instances=2, max_instances=2))["EndpointConfig"][
        "ProductionVariants"
    ]
    assert variant["InstanceType"] == "ml.m5.large"
    assert variant["InitialInstanceCount"] == 2
    assert "ServerlessConfig" not in variant


@pytest.mark.parametrize(
    ("order", "limits"),
    [
        (real_time(instances=2, max_instances=4), (2, 4)),
        (real_time(instances=2, max_instances=2), None),
        (real_time(instances=2, max_instances=1), None),
        (serverless(max_instances=4), None),
    ],
)
def test_only_instances_that_may_become_more_are_scaled(
    order: Order, limits: tuple[int, int] | None
) -> None:
    target = made(order).get("ScalableTarget")
    assert ((target["MinCapacity"], target["MaxCapacity"]) if target else None) == limits
    assert ("ScalingPolicy" in made(order)) is (limits is not None)


@pytest.mark.parametrize(
    ("order", "what", "model", "config"),
    [
        (serverless(), SERVED, "same", "same"),
        (serverless(variant="slim"), SERVED, "same", "same"),
        (serverless(), replace(SERVED, image="r@sha256:b"), "other", "other"),
        (serverless(), replace(SERVED, model_data="s3://b/model.tar.gz"), "other", "other"),
        (serverless(memory_mb=4096), SERVED, "same", "other"),
        (serverless(max_concurrency=9), SERVED, "same", "other"),
        (real_time(), SERVED, "same", "other"),
    ],
)
def test_what_cannot_be_changed_has_another_name_when_it_says_something_else(
    order: Order, what: Artifacts, model: str, config: str
) -> None:
    before, after = made(serverless()), made(order, what)
    for logical, key, expected in (
        ("Model", "ModelName", model),
        ("EndpointConfig", "EndpointConfigName", config),
    ):
        same = before[logical][key] == after[logical][key]
        assert same is (expected == "same")
        assert template.is_release(after[logical][key], NAMES)


def test_scaling_further_is_no_new_configuration() -> None:
    few, many = made(real_time(max_instances=2)), made(real_time(max_instances=9))
    assert few["EndpointConfig"] == many["EndpointConfig"]


def test_scaling_at_all_is_a_new_configuration_because_the_endpoint_changes() -> None:
    """SageMaker: "To update an endpoint, you must create a new EndpointConfig"."""
    fixed, scaled = made(real_time()), made(real_time(max_instances=2))
    assert fixed["Endpoint"]["EndpointConfigName"] != scaled["Endpoint"]["EndpointConfigName"]


def test_a_rebuilt_image_of_the_same_name_is_another_model() -> None:
    models = {
        template.parameters(serverless(), NAMES, SERVED, content=content)["ModelName"]
        for content in ("sha256:1", "sha256:2")
    }
    assert len(models) == 2


@pytest.mark.parametrize(
    "name",
    ["inference-lab-eyes", "inference-lab-eyes-2-0123456789ab", "inference-lab-eyes-0123456789aX"],
)
def test_names_of_others_are_no_releases_of_ours(name: str) -> None:
    assert not template.is_release(name, NAMES)


def test_every_parameter_is_given_so_that_none_keeps_an_earlier_orders_value() -> None:
    known = set(template.load()["Parameters"])
    for order in (serverless(), real_time()):
        assert set(template.parameters(order, NAMES, None)) == known


def test_the_longest_name_fits_all_that_are_made_of_it() -> None:
    longest = 32 * "x"
    names = DeploymentNames.of(longest, account="123456789012", region="ap-southeast-1")
    given = template.parameters(serverless(endpoint=longest), names, artifacts(names))
    assert all(len(given[key]) <= 63 for key in ("ModelName", "EndpointConfigName", "BucketName"))
    assert len(given["RoleName"]) <= 64


def test_the_containers_may_do_little() -> None:
    statements = made(serverless())["Role"]["Policies"][0]["PolicyDocument"]["Statement"]
    anything = [one["Sid"] for one in statements if one["Resource"] == "*"]
    assert anything == ["LogInToTheRegistry", "WriteMetrics"]
    everything = json.dumps(statements)
    assert ':*"' not in everything.replace(
        'log-group:/aws/sagemaker/Endpoints/inference-lab-eyes:*"', ""
    )
    bucket = f"arn:aws:s3:::{NAMES.bucket}"
    allowed = {one["Sid"]: one["Resource"] for one in statements}
    assert allowed["ReadModels"] == f"{bucket}/models/*"
    assert allowed["PullTheImage"].endswith(f":repository/{NAMES.repository}")


def test_the_bucket_is_closed() -> None:
    bucket = made(serverless())["Bucket"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    rule = bucket["LifecycleConfiguration"]["Rules"][0]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    (denied,) = made(serverless())["BucketPolicy"]["PolicyDocument"]["Statement"]
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_everything_that_is_made_has_a_name_for_people() -> None:
    for logical, one in template.render(
        template.parameters(real_time(max_instances=2), NAMES, SERVED), AROUND
    ).items():
        assert one.properties[KINDS[one.type][1]], logical


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_every_partition_has_arns_of_its_own(region: str, partition: str) -> None:
    around = template.pseudo(account="123456789012", region=region)
    found = template.render(template.parameters(serverless(), NAMES, SERVED), around)
    assert found["Model"].properties["ExecutionRoleArn"].startswith(f"arn:{partition}:iam::")
