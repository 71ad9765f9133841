"""What is ordered, what it is called, and what a plan says: the words of a push."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from lab.errors import LabError, UsageError
from lab.spec import Platform

PREFIX: Final = "inference-lab"
"""Every name begins with it: the policy in ``docs/aws-policy.json`` allows nothing else."""

TAG_MANAGED: Final = "inference-lab:managed"
TAG_ENDPOINT: Final = "inference-lab:endpoint"
TAG_VARIANT: Final = "inference-lab:variant"
TAG_MODEL: Final = "inference-lab:model"

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


class AwsError(LabError):
    """AWS refused, did not answer, or a deployment failed; nothing half-made costs by the hour."""

    exit_code = 11


@unique
class Target(StrEnum):
    """Where a push goes."""

    AWS = "aws"
    LOCAL = "local"
    """The lab's own emulator."""


@unique
class Kind(StrEnum):
    """How the endpoint is hosted."""

    SERVERLESS = "serverless"
    REAL_TIME = "real-time"


@unique
class Action(StrEnum):
    """What a plan does with a thing."""

    CREATE = "create"
    CHANGE = "change"
    KEEP = "keep"


@unique
class State(StrEnum):
    """How a preflight check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the user asks for. Raises ``UsageError`` for what can never be deployed."""

    endpoint: str
    """Lower case letters, digits and hyphens, at most 32: part of every name."""
    variant: str
    model: str
    kind: Kind
    platform: Platform = Platform.AMD64
    memory_mb: int | None = None
    """Serverless: 1024 to 6144 in steps of 1024."""
    max_concurrency: int = 5
    instance_type: str | None = None
    """Real time, e.g. ``ml.m5.xlarge``."""
    instances: int = 1
    max_instances: int = 1
    """Real time: autoscaling goes up to this; equal to ``instances`` means none."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.endpoint):
            raise UsageError(
                f"{self.endpoint!r} cannot name an endpoint.",
                remedy="Use at most 32 lower case letters, digits and hyphens.",
            )
        if self.kind is Kind.SERVERLESS and self.memory_mb is None:
            raise UsageError("A serverless endpoint needs --memory.", remedy="E.g. --memory 2048.")
        if self.kind is Kind.REAL_TIME and self.instance_type is None:
            raise UsageError(
                "A real-time endpoint needs --instance-type.", remedy="E.g. ml.m5.xlarge."
            )


@dataclass(frozen=True, kw_only=True)
class Names:
    """Every name of a deployment, derived from the endpoint's; the same on every run."""

    stack: str
    repository: str
    bucket: str
    """Names of buckets are the world's: it holds the account's id, and is never written down."""
    role: str
    endpoint: str

    @classmethod
    def of(cls, endpoint: str, *, account: str, region: str) -> "Names":
        """The names for an endpoint in an account and region."""
        stem = f"{PREFIX}-{endpoint}"
        return cls(
            stack=stem,
            repository=f"{PREFIX}/{endpoint}",
            bucket=f"{stem}-{account}-{region}"[:63].rstrip("-"),
            role=f"{stem}-{region}"[:64],
            endpoint=stem,
        )


def tags(order: Order) -> Mapping[str, str]:
    """What everything that is made carries."""
    return {
        TAG_MANAGED: "true",
        TAG_ENDPOINT: order.endpoint,
        TAG_VARIANT: order.variant,
        TAG_MODEL: order.model,
    }


@dataclass(frozen=True, kw_only=True)
class Check:
    """A line of the preflight."""

    name: str
    state: State
    detail: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class PlanItem:
    """A line of the plan: a thing, and what will be done with it."""

    kind: str
    """E.g. ``ECR repository``."""
    name: str
    action: Action
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Artifacts:
    """What step 2 of the stack is given; both known by content, so the same input gives the same.

    ``image`` is ``REPOSITORY@sha256:...`` (or the local engine's name for the local target);
    ``model_data`` an ``s3://`` address that ends in ``model.tar.gz``.
    """

    image: str
    model_data: str


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What a push leaves behind."""

    names: Names
    region: str
    changed: bool
    """False: everything was there already, and nothing was written."""
    artifacts: Artifacts
