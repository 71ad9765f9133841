"""A stack as CloudFormation describes it, and what its status allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.aws.model import PREFIX, TAG_ENDPOINT, TAG_MANAGED, Order
from lab.errors import UsageError

_WRECKS: Final = frozenset(
    {"CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}
)
_PREFIX: Final = f"{PREFIX}-"


@dataclass(frozen=True, kw_only=True)
class StackState:
    """A stack that exists."""

    name: str
    id: str
    """Its ARN: it can be asked for by it after it was deleted."""
    status: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "StackState":
        return cls(
            name=str(row["StackName"]),
            id=str(row["StackId"]),
            status=str(row["StackStatus"]),
            parameters={
                one["ParameterKey"]: str(one["ParameterValue"]) for one in row.get("Parameters", ())
            },
            tags={one["Key"]: one["Value"] for one in row.get("Tags", ())},
        )

    def is_of(self, endpoint: str) -> bool:
        """Whether the lab made it, for the endpoint of this name in full."""
        return is_tagged([{"Key": key, "Value": self.tags[key]} for key in self.tags], endpoint)

    @property
    def under_way(self) -> bool:
        """Whether it changes by itself."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def is_wreck(self) -> bool:
        """Whether it can only be deleted."""
        return self.status in _WRECKS

    @property
    def is_broken(self) -> bool:
        """Whether it is not what its parameters say."""
        return self.is_wreck or self.status.endswith("_FAILED")

    @property
    def serves(self) -> bool:
        """Whether it has been through its second step."""
        return bool(self.parameters.get("ImageUri"))

    @property
    def says(self) -> str:
        return f"The stack {self.name} is {self.status}."

    def refuse_other_hosting(self, order: Order) -> None:
        """See the function of this name; and no other instances under autoscaling.

        https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
        """
        if not self.serves:
            return
        said = self.parameters
        refuse_other_hosting(order, is_now=said.get("Hosting", ""))
        scaled = said.get("MaxInstanceCount") != said.get("InstanceCount")
        type_ = said.get("InstanceType")
        if scaled and order.instance_type not in {None, type_}:
            raise UsageError(
                f"The endpoint {self.name} is scaled: as long as it is, AWS does not change its "
                f"{type_} to {order.instance_type}.",
                remedy=f"First push it with --instance-type {type_} and without --max-instances, "
                "then as you wanted.",
            )


def is_tagged(tags: Sequence[Mapping[str, str]], endpoint: str) -> bool:
    """Whether tags as AWS lists them say that the lab made it, for this endpoint's name in full."""
    said = {one["Key"]: one["Value"] for one in tags}
    return said.get(TAG_MANAGED) == "true" and f"{_PREFIX}{said.get(TAG_ENDPOINT)}" == endpoint


def refuse_other_hosting(order: Order, *, is_now: str) -> None:
    """Raise ``UsageError`` if an endpoint would have to change between serverless and instances.

    AWS refuses the one direction, and after the other there is no roll-back.
    """
    if is_now != order.kind.value:
        raise UsageError(
            f"The endpoint {_PREFIX}{order.endpoint} is {is_now}: it cannot become "
            f"{order.kind.value}, for AWS could not roll that back.",
            remedy="Remove it first with `lab push destroy`, or choose another --endpoint.",
        )
