"""Every permission a push uses, once: ``policy.json`` is the guard of each call, and is printed.

An action that is not in it is not called: ``guard`` refuses it before it leaves the machine.
CloudFormation acts with the caller's permissions, so what its stack makes and removes is in it too,
as are the steps of a push to a registry, which are no calls of boto3's. ``docs/aws.md`` says what
each statement is for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from lab.aws.model import AwsError

POLICY_FILE: Final = "docs/aws-policy.json"
"""The policy for people to read and attach: the same as ``policy.json``."""
POLICY_TEXT: Final = (files("lab.aws.access") / "policy.json").read_text(encoding="utf-8")
"""The least that a person who pushes needs, as an IAM policy document."""

_READS: Final = ("Describe", "Get", "List", "Head", "Simulate", "BatchGet", "Filter", "BatchCheck")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement of the policy: actions, and what they may touch."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[str]
    """ARNs without the part before the service, e.g. ``ecr:*:*:repository/x``; ``*`` is any."""
    condition: Mapping[str, Any]


STATEMENTS: Final[Sequence[Statement]] = [
    Statement(
        sid=row["Sid"],
        actions=row["Action"],
        resources=[one.removeprefix("arn:aws:") for one in row["Resource"]],
        condition=row.get("Condition", {}),
    )
    for row in json.loads(POLICY_TEXT)["Statement"]
]

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
        raise UnlistedCallError(f"{', '.join(missing)} is not in lab/aws/access/policy.json.")
    if read_only and not is_read(operation):
        raise NotAgreedError(
            f"{service} {operation} would write before you have agreed to anything: something has "
            "changed since it was planned.",
            remedy="Run it again.",
        )
