"""A deployment to AWS as one stack: made, kept, changed, and planned."""

from typing import Any

import pytest
from moto.sagemaker.models import sagemaker_backends

from lab.aws.access.session import AwsSession
from lab.aws.model import Action, Artifacts, AwsError, DeploymentNames, Order
from lab.aws.stack import template
from lab.aws.stack.cloudformation import CloudFormationStack
from lab.aws.stack.inventory import described as ours
from lab.aws.stack.inventory import inventory, unmanaged
from lab.errors import UsageError
from lab.progress import Silent
from tests.cloud.world import World
from tests.unit.aws.orders import artifacts, names_in, pushed, real_time, serverless

READS = ("Get", "List", "Describe", "Head", "Filter")


def described(world: World, names: DeploymentNames) -> Any:
    return world.client("sagemaker").describe_endpoint(EndpointName=names.endpoint)


def writes(world: World) -> list[str]:
    found = world.faults.names
    return [name for name in found if not name.partition(":")[2].startswith(READS)]


def actions(
    stack: CloudFormationStack, order: Order, what: Artifacts | None = None
) -> dict[str, Action]:
    return {item.kind: item.action for item in stack.plan(order, what)}


def test_a_push_makes_everything_and_an_endpoint_that_serves(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    order = serverless()
    stack.prepare(order, Silent())
    assert world.endpoints() == {}
    deployment = stack.deploy(order, artifacts(names), Silent())
    assert deployment.changed
    assert world.endpoints() == {names.endpoint: "InService"}
    config = described(world, names)["EndpointConfigName"]
    assert world.left() == sorted(
        [
            f"repository {names.repository}",
            f"bucket {names.bucket}",
            f"role {names.role}",
            f"model {world.client('sagemaker').list_models()['Models'][0]['ModelName']}",
            f"config {config}",
            f"endpoint {names.endpoint}",
            f"alarm {names.endpoint}-5xx",
            f"alarm {names.endpoint}-latency",
            f"log group /aws/sagemaker/Endpoints/{names.endpoint}",
        ]
    )


def test_the_stack_carries_our_tags(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    (row,) = world.direct("cloudformation").describe_stacks(StackName=names.stack)["Stacks"]
    assert {one["Key"]: one["Value"] for one in row["Tags"]} == {
        "inference-lab:managed": "true",
        "inference-lab:endpoint": "eyes",
        "inference-lab:variant": "onnx-slim",
        "inference-lab:model": "retina",
    }


def test_pushing_the_same_again_writes_nothing(world: World, stack: CloudFormationStack) -> None:
    pushed(stack, serverless())
    world.faults.calls.clear()
    assert not pushed(stack, serverless())
    assert writes(world) == []


def test_a_new_image_updates_the_endpoint_in_place_and_leaves_no_old_model(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    before = described(world, names)
    assert pushed(stack, serverless(), artifacts(names, image="sha256:" + 64 * "b"))
    after = described(world, names)
    assert after["CreationTime"] == before["CreationTime"]
    assert after["EndpointConfigName"] != before["EndpointConfigName"]
    assert len([one for one in world.left() if one.startswith(("model", "config"))]) == 2


def test_only_the_tags_are_changed_when_only_they_differ(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    before = described(world, names)["EndpointConfigName"]
    wanted = stack.plan(serverless(variant="slim"), artifacts(names))
    (changed,) = [one for one in wanted if one.action is not Action.KEEP]
    assert (changed.kind, changed.detail) == ("CloudFormation stack", "its tags or parameters")
    assert pushed(stack, serverless(variant="slim"))
    assert described(world, names)["EndpointConfigName"] == before
    (row,) = world.direct("cloudformation").describe_stacks(StackName=names.stack)["Stacks"]
    assert {"Key": "inference-lab:variant", "Value": "slim"} in row["Tags"]


def test_a_template_that_only_says_it_better_is_left_as_it_is(
    world: World,
    stack: CloudFormationStack,
    names: DeploymentNames,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as before:
        before.setattr(template, "BODY", f"# An older word.\n{template.BODY}")
        pushed(stack, serverless())
    world.faults.calls.clear()
    planned = stack.plan(serverless(), artifacts(names))
    assert {one.action for one in planned} == {Action.KEEP}
    assert not pushed(stack, serverless())
    assert writes(world) == []


def test_an_endpoint_that_serves_another_configuration_than_its_stack_says_is_told(
    aws: AwsSession, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    """SageMaker takes an update back by itself; the endpoint is in service, with the old one."""
    pushed(stack, serverless())
    account, region = aws.account, aws.region
    endpoint = sagemaker_backends[account][region].endpoints[names.endpoint]
    endpoint.endpoint_config_name = f"{names.endpoint}-000000000000"
    with pytest.raises(AwsError, match="took the update back"):
        pushed(stack, serverless())


def test_instances_that_may_become_more_are_scaled_until_they_may_not(
    world: World, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, real_time(max_instances=3))
    scaled = f"scaling endpoint/{names.endpoint}/variant/AllTraffic"
    assert scaled in world.left()
    pushed(stack, real_time(max_instances=1))
    assert scaled not in world.left()


def test_instances_do_not_become_serverless(world: World, stack: CloudFormationStack) -> None:
    pushed(stack, real_time())
    world.faults.calls.clear()
    for refused in (lambda: stack.plan(serverless()), lambda: pushed(stack, serverless())):
        with pytest.raises(UsageError, match=r"real-time.*destroy"):
            refused()
    assert writes(world) == []


def test_another_instance_type_waits_until_the_endpoint_is_no_longer_scaled(
    world: World, stack: CloudFormationStack
) -> None:
    """Application Auto Scaling lets no update through that changes what it scales."""
    other = real_time(instance_type="ml.m5.xlarge", max_instances=3)
    pushed(stack, real_time(max_instances=3))
    world.faults.calls.clear()
    for refused in (lambda: stack.plan(other), lambda: pushed(stack, other)):
        with pytest.raises(UsageError, match=r"is scaled.*--instance-type ml\.m5\.large"):
            refused()
    assert writes(world) == []
    pushed(stack, real_time())
    assert pushed(stack, other)


def test_a_stack_that_is_somebody_elses_is_refused(
    world: World, aws: AwsSession, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    body = "Resources: {Group: {Type: AWS::Logs::LogGroup}}"
    world.direct("cloudformation").create_stack(StackName=names.stack, TemplateBody=body)
    world.formation.settle()
    world.faults.calls.clear()
    for refused in (
        lambda: stack.plan(serverless()),
        lambda: stack.prepare(serverless(), Silent()),
        lambda: stack.destroy(Silent()),
        lambda: ours(aws, names),
        lambda: unmanaged(aws, names),
    ):
        with pytest.raises(AwsError, match="belongs to somebody else"):
            refused()
    assert writes(world) == []


@pytest.mark.parametrize("there", ["repository", "bucket", "role", "log group", "model"])
def test_what_has_our_names_and_is_not_our_stacks_is_a_stranger(
    world: World, aws: AwsSession, names: DeploymentNames, there: str
) -> None:
    assert unmanaged(aws, names) == []
    match there:
        case "repository":
            world.client("ecr").create_repository(repositoryName=names.repository)
        case "bucket":
            where = {"LocationConstraint": world.region}
            world.client("s3").create_bucket(Bucket=names.bucket, CreateBucketConfiguration=where)
        case "role":
            world.client("iam").create_role(RoleName=names.role, AssumeRolePolicyDocument="{}")
        case "log group":
            group = f"/aws/sagemaker/Endpoints/{names.endpoint}"
            world.client("logs").create_log_group(logGroupName=group)
        case _:
            world.client("sagemaker").create_model(
                ModelName=f"{names.endpoint}-0123456789ab",
                PrimaryContainer={"Image": "x"},
                ExecutionRoleArn=f"arn:aws:iam::{world.account}:role/x",
            )
    (stranger,) = unmanaged(aws, names)
    assert there in stranger.kind


def test_what_our_stack_made_is_no_stranger(
    aws: AwsSession, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    assert ours(aws, names) is None
    pushed(stack, real_time(max_instances=2))
    assert ours(aws, names)
    assert unmanaged(aws, names) == []
    assert len(inventory(aws, names)) == 11


def test_a_bucket_that_another_account_has_counts_as_there(
    world: World, aws: AwsSession, names: DeploymentNames
) -> None:
    world.faults.deny("s3:HeadBucket")
    assert [one.kind for one in unmanaged(aws, names)] == ["S3 bucket"]


def test_endpoints_whose_names_begin_alike_do_not_see_each_other(
    world: World, aws: AwsSession, stack: CloudFormationStack, names: DeploymentNames
) -> None:
    other = CloudFormationStack(aws, names_in(aws, "eyes-2"), poll_s=0)
    pushed(other, serverless(endpoint="eyes-2"))
    assert inventory(aws, names) == ()
    pushed(stack, serverless())
    before = world.left()
    stack.destroy(Silent())
    assert len(world.left()) == len(before) / 2
    assert world.endpoints() == {other.names.endpoint: "InService"}


def test_a_plan_before_everything_creates_everything_and_only_reads(
    world: World, stack: CloudFormationStack
) -> None:
    assert set(actions(stack, real_time(max_instances=2)).values()) == {Action.CREATE}
    assert len(stack.plan(real_time(max_instances=2))) == 13
    assert writes(world) == []


def test_a_plan_of_the_same_keeps_everything(
    stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    assert set(actions(stack, serverless(), artifacts(names)).values()) == {Action.KEEP}
    assert set(actions(stack, serverless()).values()) == {Action.KEEP}


def test_a_plan_of_another_image_replaces_the_model_and_moves_the_endpoint(
    stack: CloudFormationStack, names: DeploymentNames
) -> None:
    pushed(stack, serverless())
    other = artifacts(names, image="sha256:" + 64 * "b")
    changed = {kind for kind, how in actions(stack, serverless(), other).items() if how != "keep"}
    assert changed == {
        "CloudFormation stack",
        "SageMaker model",
        "SageMaker endpoint configuration",
        "SageMaker endpoint",
    }


def test_a_plan_says_what_is_taken_away(stack: CloudFormationStack) -> None:
    pushed(stack, real_time(max_instances=2))
    rows = {item.kind: item.detail for item in stack.plan(real_time())}
    assert rows["Autoscaling target"] == "removed"


def test_a_plan_after_the_first_step_creates_only_what_serves(stack: CloudFormationStack) -> None:
    stack.prepare(serverless(), Silent())
    found = actions(stack, serverless())
    assert found["ECR repository"] == Action.KEEP
    assert found["SageMaker endpoint"] == Action.CREATE
    assert found["CloudFormation stack"] == Action.CHANGE
