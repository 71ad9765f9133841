"""What exists under a deployment's names, and whose it is: only read.

Each service is asked itself: a stack only knows what it made.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from lab.aws.access.errors import CallError
from lab.aws.access.session import AwsSession
from lab.aws.model import TAG_ENDPOINT, TAG_MANAGED, AwsError, CloudResource, DeploymentNames
from lab.aws.stack.events import log_group
from lab.aws.stack.state import StackState
from lab.aws.stack.template import VARIANT, is_release
from lab.awserrors import ErrorKind

STACK: Final = "CloudFormation stack"
SCALED: Final = "Autoscaling target"

KINDS: Final = {
    "AWS::ECR::Repository": ("ECR repository", "RepositoryName"),
    "AWS::S3::Bucket": ("S3 bucket", "BucketName"),
    "AWS::S3::BucketPolicy": ("S3 bucket policy", "Bucket"),
    "AWS::Logs::LogGroup": ("CloudWatch log group", "LogGroupName"),
    "AWS::IAM::Role": ("IAM role", "RoleName"),
    "AWS::SageMaker::Model": ("SageMaker model", "ModelName"),
    "AWS::SageMaker::EndpointConfig": ("SageMaker endpoint configuration", "EndpointConfigName"),
    "AWS::SageMaker::Endpoint": ("SageMaker endpoint", "EndpointName"),
    "AWS::CloudWatch::Alarm": ("CloudWatch alarm", "AlarmName"),
    "AWS::ApplicationAutoScaling::ScalableTarget": (SCALED, "ResourceId"),
    "AWS::ApplicationAutoScaling::ScalingPolicy": ("Autoscaling policy", "PolicyName"),
}
"""What a type of the template is called, and the property that names one."""

_TARGET: Final = "endpoint/"
"""Begins what autoscaling calls an endpoint's variant."""

LISTED: Final = {
    "AWS::SageMaker::Model": ("list_models", "Models"),
    "AWS::SageMaker::EndpointConfig": ("list_endpoint_configs", "EndpointConfigs"),
}
"""How SageMaker is asked for those of a type, and where its answer has them."""

_NOT_MADE: Final = ("CREATE_FAILED", "DELETE_COMPLETE")


def inventory(aws: AwsSession, names: DeploymentNames) -> tuple[CloudResource, ...]:
    """All that is there now, whosever it is, in the order in which a push makes it."""
    return tuple(_found(aws, names))


def described(
    aws: AwsSession, names: DeploymentNames, stack: str | None = None
) -> StackState | None:
    """The stack as it is; ``stack`` is its ARN when it may have been deleted. None if it is gone.

    Raises ``AwsError`` if it is not ours.
    """
    found = aws.find("cloudformation", "describe_stacks", StackName=stack or names.stack)
    state = StackState.of(found["Stacks"][0]) if found and found["Stacks"] else None
    if state is None or state.status == "DELETE_COMPLETE":
        return None
    if not state.is_of(names.endpoint):
        raise AwsError(
            f"The stack {names.stack} belongs to somebody else: it lacks the tags "
            f"{TAG_MANAGED}=true and {TAG_ENDPOINT}.",
            remedy="Choose another --endpoint.",
        )
    return state


def unmanaged(aws: AwsSession, names: DeploymentNames) -> Sequence[CloudResource]:
    """What has our names and is not our stack's: if there is any, nothing may be made.

    Raises ``AwsError`` if the stack itself is somebody else's.
    """
    state = described(aws, names)
    if state and state.under_way:
        # What it makes this moment is there before the stack tells of it.
        return ()
    there = inventory(aws, names)
    own = resources(aws, state) if state else frozenset[str]()
    return [one for one in there if one.kind != STACK and one.name not in own]


def resources(aws: AwsSession, state: StackState) -> frozenset[str]:
    """The names of what a stack made and has not removed."""
    found = aws.find("cloudformation", "describe_stack_resources", StackName=state.id) or {}
    ids = {
        str(row["PhysicalResourceId"])
        for row in found.get("StackResources", ())
        # What could not be made may be there, and somebody else's.
        if row.get("PhysicalResourceId") and row["ResourceStatus"] not in _NOT_MADE
    }
    names = {_name(id_) for id_ in ids}
    # Target tracking makes alarms of its own, which go with the stack's policy and cost till then.
    return frozenset(
        names.union(*(_tracking(aws, name) for name in names if name.startswith(_TARGET)))
    )


def _tracking(aws: AwsSession, target: str) -> Sequence[str]:
    """The alarms by which Application Auto Scaling watches a target."""
    asked = {"AlarmNamePrefix": f"TargetTracking-{target}-"}
    rows = aws.every("cloudwatch", "describe_alarms", "MetricAlarms", **asked)
    return [str(row["AlarmName"]) for row in rows]


def _name(id_: str) -> str:
    """Of a physical id: some are ARNs that end in the name, one is a name and more."""
    return id_.rpartition("/")[2] if id_.startswith("arn:") else id_.partition("|")[0]


def _found(aws: AwsSession, names: DeploymentNames) -> Iterator[CloudResource]:
    stack = aws.find("cloudformation", "describe_stacks", StackName=names.stack)
    if stack and stack["Stacks"][0]["StackStatus"] != "DELETE_COMPLETE":
        yield CloudResource(kind=STACK, name=names.stack)
    if aws.find("ecr", "describe_repositories", repositoryNames=[names.repository]):
        yield _resource("AWS::ECR::Repository", names.repository)
    if _bucket_exists(aws, names.bucket):
        yield _resource("AWS::S3::Bucket", names.bucket)
    wanted = log_group(names.endpoint)
    groups = aws.every("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=wanted)
    yield from (
        _resource("AWS::Logs::LogGroup", wanted) for row in groups if row["logGroupName"] == wanted
    )
    if aws.find("iam", "get_role", RoleName=names.role):
        yield _resource("AWS::IAM::Role", names.role)
    yield from _served(aws, names)
    alarms = [f"{names.endpoint}-5xx", f"{names.endpoint}-latency"]
    for row in aws.every("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNames=alarms):
        yield _resource("AWS::CloudWatch::Alarm", row["AlarmName"])
    target = f"{_TARGET}{names.endpoint}/variant/{VARIANT}"
    for name in _tracking(aws, target):
        yield _resource("AWS::CloudWatch::Alarm", name)
    for row in aws.every(
        "application-autoscaling",
        "describe_scalable_targets",
        "ScalableTargets",
        ServiceNamespace="sagemaker",
        ResourceIds=[target],
    ):
        yield _resource("AWS::ApplicationAutoScaling::ScalableTarget", row["ResourceId"])


def _served(aws: AwsSession, names: DeploymentNames) -> Iterator[CloudResource]:
    for type_, (operation, key) in LISTED.items():
        named_by = KINDS[type_][1]
        for row in aws.every("sagemaker", operation, key, NameContains=names.endpoint):
            if is_release(row[named_by], names):
                yield _resource(type_, row[named_by])
    if aws.find("sagemaker", "describe_endpoint", EndpointName=names.endpoint):
        yield _resource("AWS::SageMaker::Endpoint", names.endpoint)


def _bucket_exists(aws: AwsSession, name: str) -> bool:
    try:
        return aws.find("s3", "head_bucket", Bucket=name) is not None
    except CallError as error:
        # S3 tells everyone that a name is taken, and only its owner more.
        if error.kind is ErrorKind.DENIED:
            return True
        raise


def _resource(type_: str, name: str) -> CloudResource:
    return CloudResource(kind=KINDS[type_][0], name=name)
