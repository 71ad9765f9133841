"""What can be done with a deployment, wherever it is: planned, made in two steps, removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lab.aws.model import Artifacts, Deployment, DeploymentNames, Order, PlanItem
from lab.progress import Progress


class Aws(Protocol):
    """What is asked of a ``Session``. Every method raises ``AwsError``."""

    @property
    def region(self) -> str:
        """E.g. ``eu-central-1``."""

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """An operation of a boto3 client, by its Python name."""

    def find(self, service: str, operation: str, **parameters: Any) -> Mapping[str, Any] | None:
        """The same: None for what is not there."""

    def every(self, service: str, operation: str, key: str, **parameters: Any) -> Sequence[Any]:
        """What all pages of an answer hold under ``key``."""


@dataclass(frozen=True, kw_only=True)
class CloudResource:
    """Something that exists."""

    kind: str
    """As in a plan, e.g. ``S3 bucket``."""
    name: str


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Something that a removal left where it is."""

    thing: CloudResource
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
