import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import Session as Core
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from lab import paths
from lab.aws.access.errors import CallError
from lab.aws.access.permissions import (
    ACTIONS,
    POLICY_FILE,
    POLICY_TEXT,
    STATEMENTS,
    NotAgreedError,
    UnlistedCallError,
    actions_of,
    guard,
    is_read,
)
from lab.aws.access.session import open_session
from lab.aws.stack import template
from lab.awserrors import ErrorKind
from tests.cloud.world import World
from tests.unit.aws.services import SERVICES

BOTO = {
    # What the first word of an action is called in boto3; S3's actions differ from its operations.
    "servicequotas": "service-quotas",
}
REGISTRY = {
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
}
"""Needed by the steps of a push to, and a look into, the registry."""

NO_OPERATIONS = {"cloudformation:TagResource", "cloudformation:UntagResource", "iam:PassRole"}
"""Allowed or not within another call."""

OTHER_FEATURES = {
    "s3:GetAccelerateConfiguration",
    "s3:GetAnalyticsConfiguration",
    "s3:GetBucketAbac",
    "s3:GetBucketCORS",
    "s3:GetBucketLogging",
    "s3:GetBucketMetadataTableConfiguration",
    "s3:GetBucketNotification",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketWebsite",
    "s3:GetIntelligentTieringConfiguration",
    "s3:GetInventoryConfiguration",
    "s3:GetMetricsConfiguration",
    "s3:GetReplicationConfiguration",
}
"""Of buckets, which the template does not use and CloudFormation then does not ask for."""

NO_ACTIONS = {"s3:DeleteBucketTagging"}
"""Said by a schema, but no action of IAM's: `s3:PutBucketTagging` allows it."""

TRANSFER = {"s3:PutObject"}
"""boto3's transfer chooses the operations that need it."""


POLICY_LIMIT = 6144
"""Characters of a managed policy, white space not counted (IAM's quota)."""


def test_the_policy_in_the_docs_is_the_list_of_what_is_called() -> None:
    assert (paths.ROOT / POLICY_FILE).read_text(encoding="utf-8") == POLICY_TEXT, (
        f"write `lab push policy` to {POLICY_FILE}"
    )


def test_the_docs_say_what_each_statement_is_for() -> None:
    text = (paths.ROOT / "docs/aws.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([A-Z][A-Za-z]+)` \|", text, re.MULTILINE)
    assert told == [statement.sid for statement in STATEMENTS]


def test_every_statement_allows_and_names_its_resources_in_the_common_partition() -> None:
    for row in json.loads(POLICY_TEXT)["Statement"]:
        assert row["Effect"] == "Allow", row["Sid"]
        assert all(one == "*" or one.startswith("arn:aws:") for one in row["Resource"]), row["Sid"]


def test_the_policy_fits_into_one_managed_policy() -> None:
    assert len("".join(POLICY_TEXT.split())) <= POLICY_LIMIT


def test_no_statement_grants_a_wildcard_of_actions_and_none_writes_anywhere() -> None:
    for statement in STATEMENTS:
        assert not any("*" in action for action in statement.actions)
        if "*" in statement.resources:
            assert all(is_read(action.split(":")[1]) for action in statement.actions)


def test_everything_that_writes_is_limited_to_the_labs_names() -> None:
    for statement in STATEMENTS:
        for resource in statement.resources:
            assert (
                resource == "*"
                or "inference-lab" in resource
                or statement.condition  # to SageMaker's scaling
            ), statement.sid


def test_every_action_is_listed_once_and_in_order() -> None:
    for statement in STATEMENTS:
        assert list(statement.actions) == sorted(statement.actions), statement.sid
    assert len(ACTIONS) == sum(len(statement.actions) for statement in STATEMENTS)


def test_every_action_is_one_that_aws_has() -> None:
    core = Core()
    for action in ACTIONS - NO_OPERATIONS:
        service, name = action.split(":")
        if service != "s3":
            model = core.get_service_model(BOTO.get(service, service))
            runtime = core.get_service_model("sagemaker-runtime")
            known = {
                *model.operation_names,
                *(runtime.operation_names if service == "sagemaker" else ()),
            }
            assert name in known, action


def test_every_action_is_needed_by_the_code_the_registry_or_the_stack() -> None:
    said = {node.attr for node in _nodes() if isinstance(node, ast.Attribute)} | {
        node.value
        for node in _nodes()
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    called = {action for service in SERVICES for action in _actions(service, said)}
    # What the stack's own things need, whoever of CloudFormation's handlers asks.
    made = {"Repository", "Bucket", "Role", "Endpoint", "Alarms", "Logs", "Scaling", "ScalingRole"}
    by_stack = {
        action for statement in STATEMENTS if statement.sid in made for action in statement.actions
    }
    by_handlers = {one for type_ in _types() for one in _handled(type_, "read")}
    unused = ACTIONS - called - REGISTRY - TRANSFER - NO_OPERATIONS - by_stack - by_handlers
    assert not unused, sorted(unused)


def test_what_cloudformation_reads_and_tags_the_stacks_things_with_is_allowed() -> None:
    for type_ in _types():
        wanted = {*_handled(type_, "read"), *_tagged(type_)}
        missing = wanted - ACTIONS - OTHER_FEATURES - NO_ACTIONS
        assert not missing, f"{type_}: {sorted(missing)}"


def test_every_call_in_the_code_is_listed() -> None:
    calls = set()
    for node in _nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = [str(one.value) for one in node.args[:2] if isinstance(one, ast.Constant)]
            if node.func.attr in {"call", "find", "every"} and len(given) == 2:
                calls.add((given[0], given[1]))
    assert len(calls) > 15
    core = Core()
    for service, operation in calls:
        if service not in SERVICES:
            continue  # of another thing's `find`
        names = core.get_service_model(service).operation_names
        found = next(name for name in names if xform_name(name) == operation)
        guard(service, found, read_only=False)


def _types() -> set[str]:
    return {str(one["Type"]) for one in template.load()["Resources"].values()}


def _schema(type_: str) -> Mapping[str, Any]:
    """What AWS publishes of a type, as cfn-lint keeps it."""
    found: Mapping[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(
        "us-east-1", type_
    ).schema
    return found


def _handled(type_: str, handler: str) -> Sequence[str]:
    handlers = _schema(type_).get("handlers", {})
    return [str(one) for one in handlers.get(handler, {}).get("permissions", ())]


def _tagged(type_: str) -> Sequence[str]:
    return [str(one) for one in _schema(type_).get("tagging", {}).get("permissions", ())]


def _nodes() -> Iterator[ast.AST]:
    lab = paths.ROOT / "lab"
    for source in (*lab.rglob("aws/**/*.py"), *lab.glob("cli/push*.py")):
        yield from ast.walk(ast.parse(source.read_text(encoding="utf-8")))


def _actions(service: str, said: set[str]) -> set[str]:
    names = Core().get_service_model(service).operation_names
    found = {name for name in names if xform_name(name) in said}
    return {action for name in found for action in actions_of(service, name)}


def test_a_call_that_is_not_listed_never_leaves(world: World) -> None:
    with open_session() as aws, pytest.raises(UnlistedCallError, match="ec2:DescribeInstances"):
        aws.call("ec2", "describe_instances")
    assert world.faults.calls == []


def test_nothing_can_be_written_before_the_user_has_agreed(world: World) -> None:
    with open_session(read_only=True) as aws:
        with pytest.raises(NotAgreedError, match="Run it again"):
            aws.call("s3", "put_object", Bucket="inference-lab-x", Key="k", Body=b"")
        assert world.faults.calls == []
        aws.allow_writing()
        with pytest.raises(CallError) as refused:
            aws.call("s3", "put_object", Bucket="inference-lab-x", Key="k", Body=b"")
    assert refused.value.kind is ErrorKind.ABSENT


def test_operations_of_s3_are_allowed_by_other_names() -> None:
    assert actions_of("s3", "HeadObject") == ("s3:GetObject",)
    assert actions_of("s3", "UploadPart") == ("s3:PutObject",)
    assert actions_of("sagemaker-runtime", "InvokeEndpoint") == ("sagemaker:InvokeEndpoint",)
    assert actions_of("service-quotas", "GetServiceQuota") == ("servicequotas:GetServiceQuota",)
    guard("s3", "CompleteMultipartUpload", read_only=False)
    with pytest.raises(NotAgreedError):
        guard("s3", "CompleteMultipartUpload", read_only=True)
