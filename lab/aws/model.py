"""The words of a push: what is ordered, how it is called, planned, deployed and removed."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, Protocol

from lab.errors import LabError, UsageError
from lab.progress import Progress
from lab.spec import SERVERLESS_TIERS, Platform

PREFIX: Final = "inference-lab"
"""Every name begins with it: the policy in ``docs/aws-policy.json`` allows nothing else."""

TAG_MANAGED: Final = "inference-lab:managed"
TAG_ENDPOINT: Final = "inference-lab:endpoint"
TAG_VARIANT: Final = "inference-lab:variant"
TAG_MODEL: Final = "inference-lab:model"

_LONGEST_BUCKET: Final = 63
_NAME: Final = re.compile(r"(?=.{1,32}$)[a-z0-9]+(-[a-z0-9]+)*")
"""ECR takes no two hyphens in a row."""


class AwsError(LabError):
    """AWS refused, did not answer, or a deployment failed; nothing half-made costs by the hour."""

    exit_code = 11


@unique
class PushTarget(StrEnum):
    """Where a push goes."""

    AWS = "aws"
    LOCAL = "local"
    """The lab's own emulator."""


@unique
class ServingKind(StrEnum):
    """How the endpoint is hosted."""

    SERVERLESS = "serverless"
    REAL_TIME = "real-time"


@unique
class Action(StrEnum):
    """What a plan does with a resource."""

    CREATE = "create"
    CHANGE = "change"
    KEEP = "keep"


@unique
class PreflightState(StrEnum):
    """How a preflight check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the user asks for. Raises ``UsageError`` for what can never be deployed."""

    endpoint: str
    """Lower case letters and digits, single hyphens between, at most 32: part of every name."""
    variant: str
    model: str
    kind: ServingKind
    platform: Platform = Platform.AMD64
    memory_mb: int | None = None
    """Serverless: 1024 to 6144 in steps of 1024."""
    max_concurrency: int = 5
    instance_type: str | None = None
    """Real time, e.g. ``ml.m5.xlarge``."""
    instances: int = 1
    max_instances: int = 1
    """Real time: autoscaling goes up to this; no more than ``instances`` means none."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.endpoint):
            raise UsageError(
                f"{self.endpoint!r} cannot name an endpoint.",
                remedy="Use at most 32 lower case letters and digits, with single hyphens between.",
            )
        if self.kind is ServingKind.SERVERLESS and self.memory_mb is None:
            raise UsageError("A serverless endpoint needs --memory.", remedy="E.g. --memory 2048.")
        tiers = [str(tier.memory_mb) for tier in SERVERLESS_TIERS]
        if self.memory_mb is not None and str(self.memory_mb) not in tiers:
            raise UsageError(
                f"Serverless has no {self.memory_mb} MB.",
                remedy=f"Choose from {', '.join(tiers)}.",
            )
        if self.max_concurrency < 1 or self.instances < 1:
            raise UsageError(
                f"{self.instances} instances with {self.max_concurrency} requests at a time "
                "cannot be had.",
                remedy="Both are at least 1.",
            )
        if self.kind is ServingKind.REAL_TIME and self.instance_type is None:
            raise UsageError(
                "A real-time endpoint needs --instance-type.", remedy="E.g. ml.m5.xlarge."
            )

    @property
    def is_scaled(self) -> bool:
        """Whether autoscaling may add instances."""
        return self.kind is ServingKind.REAL_TIME and self.max_instances > self.instances


@dataclass(frozen=True, kw_only=True)
class DeploymentNames:
    """Every name of a deployment, derived from the endpoint's; the same on every run."""

    stack: str
    repository: str
    bucket: str
    """Names of buckets are the world's: it holds the account's id, and is never written down."""
    role: str
    endpoint: str

    @classmethod
    def of(cls, endpoint: str, *, account: str, region: str) -> "DeploymentNames":
        """The names for an endpoint in an account and region."""
        stem = f"{PREFIX}-{endpoint}"
        return cls(
            stack=stem,
            repository=f"{PREFIX}/{endpoint}",
            bucket=_bucket(endpoint, f"{account}-{region}"),
            role=f"{stem}-{region}"[:64],
            endpoint=stem,
        )


def _bucket(endpoint: str, owner: str) -> str:
    """At most 63 characters; a long endpoint's name gives way to a digest of it, not the owner."""
    name = f"{PREFIX}-{endpoint}-{owner}"
    if len(name) <= _LONGEST_BUCKET:
        return name
    digest = hashlib.sha256(endpoint.encode()).hexdigest()[:12]
    return f"{PREFIX}-{digest}-{owner}"


def tags(order: Order) -> Mapping[str, str]:
    """What everything that is made carries."""
    return {
        TAG_MANAGED: "true",
        TAG_ENDPOINT: order.endpoint,
        TAG_VARIANT: order.variant,
        TAG_MODEL: order.model,
    }


def tag_list(order: Order) -> list[dict[str, str]]:
    """The same as most services list them."""
    return [{"Key": key, "Value": value} for key, value in tags(order).items()]


@dataclass(frozen=True)
class PreflightCheck:
    """A line of the preflight."""

    name: str
    state: PreflightState
    detail: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class PlanItem:
    """A line of the plan: a resource, and what will be done with it."""

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

    names: DeploymentNames
    region: str
    changed: bool
    """False: everything was there already, and nothing was written."""
    artifacts: Artifacts


@dataclass(frozen=True, kw_only=True)
class CloudResource:
    """Something that exists."""

    kind: str
    """As in a plan, e.g. ``S3 bucket``."""
    name: str


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Something that a removal left where it is."""

    resource: CloudResource
    why: str


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What a removal did, as listed before and after."""

    removed: tuple[CloudResource, ...]
    kept: tuple[Kept, ...]

    @property
    def nothing(self) -> bool:
        """There was nothing to remove."""
        return not self.removed and not self.kept


class Deployer(Protocol):
    """A place to which one endpoint is pushed."""

    names: DeploymentNames

    def plan(self, order: Order, artifacts: Artifacts | None = None) -> Sequence[PlanItem]:
        """What ``prepare`` and ``deploy`` would do. Only reads.

        Without ``artifacts`` image and model are taken to be those that are deployed, if any are.
        Raises ``AwsError`` when the names are somebody else's, ``UsageError`` for a change that
        cannot be made.
        """

    def prepare(self, order: Order, progress: Progress) -> None:
        """Step 1: have what image and model are put into. Writes nothing when it is there."""

    def deploy(self, order: Order, artifacts: Artifacts, progress: Progress) -> Deployment:
        """Step 2: have an endpoint that serves them, in service. Writes nothing when it does.

        Raises ``AwsError`` with the cause when it fails; what was served before still is.
        """

    def destroy(self, progress: Progress) -> Removal:
        """Remove all that was made, and list what is left."""
