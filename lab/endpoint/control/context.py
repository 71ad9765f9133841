"""What every operation of the control plane works with, and the names of what it makes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from lab.endpoint.clock import Clock
from lab.endpoint.instances import Machine
from lab.endpoint.live import Fleet
from lab.endpoint.plans import notes, origin
from lab.endpoint.protocol.errors import ApiError, validation_exception
from lab.endpoint.records import Body, EndpointRecord, Resource, ResourceKind
from lab.endpoint.store import SqliteStore

Kind = ResourceKind | Literal["endpoint"]

_NOUNS: Final[Mapping[Kind, tuple[str, str]]] = {
    # In ARNs, and in error messages.
    "model": ("model", "model"),
    "config": ("endpoint-config", "endpoint configuration"),
    "endpoint": ("endpoint", "endpoint"),
}
_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:sagemaker:([a-z0-9-]*):([0-9]{12}):(?:(model|endpoint-config|endpoint)"
    r"/([a-zA-Z0-9-]+)|.+)",
    re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Arns:
    """ARNs of one account in one region; the case of names is kept."""

    region: str
    account: str

    def arn(self, kind: Kind, name: str) -> str:
        noun, _ = _NOUNS[kind]
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account}:{noun}/{name}"

    @property
    def partition(self) -> str:
        """``aws``, but for China's regions and the US government's."""
        for start, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
            if self.region.startswith(start):
                return partition
        return "aws"

    def parse(self, arn: str) -> tuple[Kind, str] | None:
        """What an ARN names; None for what the lab does not have.

        Raises ``ApiError`` for another region and for another account.
        """
        found = _ARN.fullmatch(arn)
        if found is None:
            return None
        if found[1] != self.region:
            raise validation_exception(f"ARN should be scoped to correct region: {self.region}")
        if found[2] != self.account:
            raise ApiError(
                "AccessDeniedException",
                f"The lab has the account {self.account} only, and {arn} is of another.",
            )
        if found[3] is None:
            return None
        return next(kind for kind, (noun, _) in _NOUNS.items() if noun == found[3]), found[4]


@dataclass(frozen=True, kw_only=True)
class ControlContext:
    """The store, the fleet and the clock, and errors that name a resource."""

    store: SqliteStore
    fleet: Fleet
    clock: Clock
    names: Arns
    machine: Machine
    most_instances: int

    def missing(self, kind: Kind, name: str) -> ApiError:
        """There is none of that name."""
        return validation_exception(
            f'Could not find {_NOUNS[kind][1]} "{self.names.arn(kind, name)}".'
        )

    def taken(self, kind: Kind, name: str) -> ApiError:
        """There is one of that name already."""
        return validation_exception(
            f'Cannot create already existing {_NOUNS[kind][1]} "{self.names.arn(kind, name)}".'
        )

    def resource(self, kind: ResourceKind, name: str) -> Resource:
        """That model or endpoint configuration. Raises ``ApiError``."""
        found = self.store.resource(kind, name)
        if found is None:
            raise self.missing(kind, name)
        return found

    def endpoint(self, name: str) -> EndpointRecord:
        """That endpoint. Raises ``ApiError``."""
        found = self.store.endpoint(name)
        if found is None:
            raise self.missing("endpoint", name)
        return found

    def notes(self, row: EndpointRecord, config_name: str) -> Mapping[str, str]:
        """By variant, the limits SageMaker enforces and this machine does not."""
        config = self.config_of(row, config_name)
        return {} if config is None else notes(config, self.machine)

    def config_of(self, row: EndpointRecord, config_name: str) -> Body | None:
        """One of an endpoint's configurations; None if it is not known any more."""
        found = origin(row, config_name, self.store)
        return None if found is None else found.config.body
