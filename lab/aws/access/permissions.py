"""Every permission a push uses, once: the guard of each call and the policy in the docs.

An action that is not here is not called: ``guard`` refuses it before it leaves the machine, and
``docs/aws-policy.json`` is generated from here. CloudFormation acts with the caller's permissions,
so what its stack makes and removes is here too, as are the steps of a push to a registry, which
are no calls of boto3's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lab.aws.model import PREFIX, AwsError

POLICY_FILE: Final = "docs/aws-policy.json"
POLICY_LIMIT: Final = 6144
"""Characters of a managed policy, white space not counted (IAM's quota)."""

_READS: Final = ("Describe", "Get", "List", "Head", "Simulate", "BatchGet", "Filter", "BatchCheck")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement of the policy: actions, what they may touch, and why they are needed."""

    sid: str
    why: str
    actions: Sequence[str]
    resources: Sequence[str]
    """ARNs without the part before the service, e.g. ``ecr:*:*:repository/x``; ``*`` is any."""
    condition: Mapping[str, Any] = field(default_factory=dict)


STATEMENTS: Final[Sequence[Statement]] = (
    Statement(
        sid="Look",
        why="Who asks, what the account may have, prices of nothing: calls that have no resource.",
        actions=(
            "application-autoscaling:DescribeScalableTargets",
            "application-autoscaling:DescribeScalingPolicies",
            "application-autoscaling:DescribeScheduledActions",
            "cloudformation:ListStacks",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:GetMetricData",
            "ecr:GetAuthorizationToken",
            "iam:SimulatePrincipalPolicy",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "sagemaker:ListEndpointConfigs",
            "sagemaker:ListEndpoints",
            "sagemaker:ListModels",
            "servicequotas:GetAWSDefaultServiceQuota",
            "servicequotas:GetServiceQuota",
            "servicequotas:ListAWSDefaultServiceQuotas",
            "servicequotas:ListServiceQuotas",
            "sts:GetCallerIdentity",
        ),
        resources=("*",),
    ),
    Statement(
        sid="Stack",
        why="The one CloudFormation stack per endpoint.",
        actions=(
            "cloudformation:CancelUpdateStack",
            "cloudformation:ContinueUpdateRollback",
            "cloudformation:CreateStack",
            "cloudformation:DeleteStack",
            "cloudformation:DescribeStackEvents",
            "cloudformation:DescribeStackResources",
            "cloudformation:DescribeStacks",
            "cloudformation:GetTemplate",
            "cloudformation:TagResource",
            "cloudformation:UntagResource",
            "cloudformation:UpdateStack",
        ),
        resources=(f"cloudformation:*:*:stack/{PREFIX}-*/*",),
    ),
    Statement(
        sid="Repository",
        why="The image: made by the stack, pushed layer by layer, read back.",
        actions=(
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchDeleteImage",
            "ecr:BatchGetImage",
            "ecr:CompleteLayerUpload",
            "ecr:CreateRepository",
            "ecr:DeleteRepository",
            "ecr:DescribeRepositories",
            "ecr:GetDownloadUrlForLayer",
            "ecr:GetLifecyclePolicy",
            "ecr:GetRepositoryPolicy",
            "ecr:InitiateLayerUpload",
            "ecr:ListImages",
            "ecr:ListTagsForResource",
            "ecr:PutImage",
            "ecr:PutImageScanningConfiguration",
            "ecr:PutImageTagMutability",
            "ecr:TagResource",
            "ecr:UntagResource",
            "ecr:UploadLayerPart",
        ),
        resources=(f"ecr:*:*:repository/{PREFIX}/*",),
    ),
    Statement(
        sid="Bucket",
        why="The bucket of the model's archive: made by the stack, emptied before it goes.",
        actions=(
            "s3:CreateBucket",
            "s3:DeleteBucket",
            "s3:DeleteBucketPolicy",
            "s3:GetBucketAcl",
            "s3:GetBucketLocation",
            "s3:GetBucketOwnershipControls",
            "s3:GetBucketPolicy",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketTagging",
            "s3:GetBucketVersioning",
            "s3:GetEncryptionConfiguration",
            "s3:GetLifecycleConfiguration",
            "s3:ListBucket",
            "s3:ListBucketMultipartUploads",
            "s3:ListBucketVersions",
            "s3:ListTagsForResource",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPolicy",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketTagging",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
            "s3:TagResource",
            "s3:UntagResource",
        ),
        resources=(f"s3:::{PREFIX}-*",),
    ),
    Statement(
        sid="Archive",
        why="The archive: sent in parts, checked, removed with all its versions.",
        actions=(
            "s3:AbortMultipartUpload",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:GetObject",
            "s3:PutObject",
        ),
        resources=(f"s3:::{PREFIX}-*/*",),
    ),
    Statement(
        sid="Role",
        why="The role that the endpoint runs under: made by the stack.",
        actions=(
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:ListRoleTags",
            "iam:PutRolePolicy",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
            "iam:UpdateRoleDescription",
        ),
        resources=(f"iam::*:role/{PREFIX}-*",),
    ),
    Statement(
        sid="PassRole",
        why="SageMaker, and nobody else, is given that role.",
        actions=("iam:PassRole",),
        resources=(f"iam::*:role/{PREFIX}-*",),
        condition={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    ),
    Statement(
        sid="Endpoint",
        why="Model, configuration and endpoint: made, changed and removed by the stack; invoked.",
        actions=(
            "sagemaker:AddTags",
            "sagemaker:CreateEndpoint",
            "sagemaker:CreateEndpointConfig",
            "sagemaker:CreateModel",
            "sagemaker:DeleteEndpoint",
            "sagemaker:DeleteEndpointConfig",
            "sagemaker:DeleteModel",
            "sagemaker:DeleteTags",
            "sagemaker:DescribeEndpoint",
            "sagemaker:DescribeEndpointConfig",
            "sagemaker:DescribeModel",
            "sagemaker:InvokeEndpoint",
            "sagemaker:ListTags",
            "sagemaker:UpdateEndpoint",
            "sagemaker:UpdateEndpointWeightsAndCapacities",
        ),
        resources=(
            f"sagemaker:*:*:model/{PREFIX}-*",
            f"sagemaker:*:*:endpoint-config/{PREFIX}-*",
            f"sagemaker:*:*:endpoint/{PREFIX}-*",
        ),
    ),
    Statement(
        sid="Alarms",
        why="The endpoint's alarms, and those by which it scales.",
        actions=(
            "cloudwatch:DeleteAlarms",
            "cloudwatch:ListTagsForResource",
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:TagResource",
            "cloudwatch:UntagResource",
        ),
        resources=(
            f"cloudwatch:*:*:alarm:{PREFIX}-*",
            f"cloudwatch:*:*:alarm:TargetTracking-endpoint/{PREFIX}-*",
        ),
    ),
    Statement(
        sid="Logs",
        why="The container's own lines: kept a while, shown when it fails, gone with the stack.",
        actions=(
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:DescribeIndexPolicies",
            "logs:FilterLogEvents",
            "logs:GetDataProtectionPolicy",
            "logs:ListTagsForResource",
            "logs:PutRetentionPolicy",
            "logs:TagResource",
            "logs:UntagResource",
        ),
        resources=(f"logs:*:*:log-group:/aws/sagemaker/Endpoints/{PREFIX}-*",),
    ),
    Statement(
        sid="Scaling",
        why="Autoscaling of a real-time endpoint.",
        actions=(
            "application-autoscaling:DeleteScalingPolicy",
            "application-autoscaling:DeregisterScalableTarget",
            "application-autoscaling:ListTagsForResource",
            "application-autoscaling:PutScalingPolicy",
            "application-autoscaling:RegisterScalableTarget",
            "application-autoscaling:TagResource",
            "application-autoscaling:UntagResource",
        ),
        resources=("application-autoscaling:*:*:scalable-target/*",),
        condition={
            "StringEqualsIfExists": {"application-autoscaling:service-namespace": "sagemaker"}
        },
    ),
    Statement(
        sid="ScalingRole",
        why="The first autoscaled endpoint of an account makes AWS's own role for it.",
        actions=("iam:CreateServiceLinkedRole",),
        resources=(
            "iam::*:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/*",
        ),
        condition={
            "StringEquals": {
                "iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"
            }
        },
    ),
)

ACTIONS: Final[frozenset[str]] = frozenset(
    action for statement in STATEMENTS for action in statement.actions
)

_SERVICE: Final[Mapping[str, str]] = {
    # Clients whose actions have another first word.
    "sagemaker-runtime": "sagemaker",
    "service-quotas": "servicequotas",
}

_RENAMED: Final[Mapping[tuple[str, str], Sequence[str]]] = {
    # S3's operations are not called like the actions that allow them.
    ("s3", "AbortMultipartUpload"): ("s3:AbortMultipartUpload",),
    ("s3", "CompleteMultipartUpload"): ("s3:PutObject",),
    ("s3", "CreateMultipartUpload"): ("s3:PutObject",),
    ("s3", "UploadPart"): ("s3:PutObject",),
    ("s3", "DeleteObjects"): ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    ("s3", "GetBucketEncryption"): ("s3:GetEncryptionConfiguration",),
    ("s3", "GetBucketLifecycleConfiguration"): ("s3:GetLifecycleConfiguration",),
    ("s3", "GetPublicAccessBlock"): ("s3:GetBucketPublicAccessBlock",),
    ("s3", "HeadBucket"): ("s3:ListBucket",),
    ("s3", "HeadObject"): ("s3:GetObject",),
    ("s3", "ListMultipartUploads"): ("s3:ListBucketMultipartUploads",),
    ("s3", "ListObjectVersions"): ("s3:ListBucketVersions",),
    ("s3", "ListObjectsV2"): ("s3:ListBucket",),
}


class UnlistedCallError(RuntimeError):
    """A bug: a call that no statement covers."""


class NotAgreedError(AwsError):
    """A call that would write before the user has agreed; it was not sent."""


def actions_of(service: str, operation: str) -> Sequence[str]:
    """The actions that allow an operation, e.g. ``s3``, ``HeadObject``: ``s3:GetObject``."""
    renamed = _RENAMED.get((service, operation))
    return renamed or (f"{_SERVICE.get(service, service)}:{operation}",)


def is_read(operation: str) -> bool:
    """Whether an operation (``DescribeStacks``) changes nothing."""
    return operation.startswith(_READS)


def guard(service: str, operation: str, *, read_only: bool) -> None:
    """Refuse a call before it is sent. Raises ``UnlistedCallError`` or ``NotAgreedError``."""
    missing = [action for action in actions_of(service, operation) if action not in ACTIONS]
    if missing:
        raise UnlistedCallError(f"{', '.join(missing)} is not in lab/aws/access/permissions.py.")
    if read_only and not is_read(operation):
        raise NotAgreedError(
            f"{service} {operation} would write before you have agreed to anything: something has "
            "changed since it was planned.",
            remedy="Run it again.",
        )


def policy(partition: str = "aws") -> Mapping[str, Any]:
    """The least that a person who pushes needs, as an IAM policy document.

    ``partition`` is ``aws``, ``aws-cn`` or ``aws-us-gov``.
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": statement.sid,
                "Effect": "Allow",
                "Action": list(statement.actions),
                "Resource": [
                    one if one == "*" else f"arn:{partition}:{one}" for one in statement.resources
                ],
                **({"Condition": statement.condition} if statement.condition else {}),
            }
            for statement in STATEMENTS
        ],
    }


def policy_text(partition: str = "aws") -> str:
    """The policy as ``docs/aws-policy.json`` holds it."""
    return json.dumps(policy(partition), indent=2) + "\n"
