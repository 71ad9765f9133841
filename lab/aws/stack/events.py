"""What happened to a stack, as it happens; and why it failed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from lab.aws.access.errors import redacted
from lab.aws.access.session import AwsSession
from lab.start.explain import excerpt, explain

LOG_LINES: Final = 2000
MEND: Final = "Mend the cause and push again; `lab push destroy` removes everything."

_CANCELLED: Final = ("cancelled", "rolled back", "rollback requested")
_STACK: Final = "AWS::CloudFormation::Stack"
_SKEW: Final = timedelta(minutes=2)  # between this machine's clock and AWS's


@dataclass(frozen=True, kw_only=True)
class StackEvent:
    """A line of a stack's history; account ids are taken out of ``reason``."""

    id: str
    at: datetime
    resource: str
    type: str
    status: str
    reason: str

    @property
    def failed(self) -> bool:
        """Whether it says why things went wrong, and not only that they did."""
        cancelled = any(word in self.reason.lower() for word in _CANCELLED)
        # The stack's own line repeats the names of what failed.
        told = bool(self.reason) and not cancelled and self.type != _STACK
        return told and self.status.endswith("_FAILED")

    def __str__(self) -> str:
        status = self.status.lower().replace("_", " ")
        return f"{self.resource}: {status}{f': {self.reason}' if self.reason else ''}"


class Follower:
    """Reads what is new in a stack's history. Times are AWS's."""

    def __init__(self, aws: AwsSession, stack: str) -> None:
        """``stack`` is a name, or an ARN to read on after it was deleted."""
        self._aws = aws
        self._stack = stack
        self._seen: set[str] = set()
        self.events: list[StackEvent] = []

    def skip(self) -> None:
        """Forget what was so far."""
        self.read()
        self.events.clear()

    def read(self) -> Sequence[StackEvent]:
        """What is new, oldest first."""
        new = []
        for event in self._newest_first():
            if event.id in self._seen:
                break
            new.append(event)
        new.reverse()
        self._seen.update(event.id for event in new)
        self.events += new
        return new

    @property
    def causes(self) -> Sequence[str]:
        """Why it failed: the first reason of each resource that failed by itself."""
        found: dict[str, str] = {}
        for event in self.events:
            if event.failed:
                found.setdefault(event.resource, event.reason)
        return [f"{resource}: {reason}" for resource, reason in found.items()]

    def _newest_first(self) -> Iterator[StackEvent]:
        asked: dict[str, Any] = {"StackName": self._stack}
        while True:
            page = self._aws.find("cloudformation", "describe_stack_events", **asked)
            if page is None:  # The stack is gone, and was asked for by its name.
                return
            for row in page["StackEvents"]:
                yield _event(row)
            if not page.get("NextToken"):
                return
            asked["NextToken"] = page["NextToken"]


def log_tail(
    aws: AwsSession, endpoint: str, since: datetime, *, lines: int = LOG_LINES
) -> Sequence[str]:
    """The last lines that an endpoint's containers wrote since a time; none without logs.

    So many that an error is among them which SageMaker's own pings have pushed far up.
    """
    asked: dict[str, Any] = {
        "logGroupName": log_group(endpoint),
        "startTime": int((since - _SKEW).timestamp() * 1000),
    }
    found: list[Mapping[str, Any]] = []
    while (page := aws.find("logs", "filter_log_events", **asked)) is not None:
        found = [*found, *page["events"]][-lines:]
        if not page.get("nextToken"):
            break
        asked["nextToken"] = page["nextToken"]
    return [redacted(str(row["message"]).rstrip()) for row in found]


def container_said(lines: Sequence[str]) -> tuple[Sequence[str], str]:
    """What to tell of containers' lines: the error first, its cause by name, then the last lines.

    And the cure that fits, with a space behind it; empty where no cause shows.
    """
    log = "\n".join(lines)
    found = explain(log)
    shown = [f"  {line}" for line in excerpt(log, found).splitlines() if line.strip()]
    cause = [] if found is None else [f"Why, by the container's log: {found.words}."]
    told = [*cause, "The container's own lines:", *shown] if shown else []
    return told, "" if found is None else f"{found.cure} "


def log_group(endpoint: str) -> str:
    """Where SageMaker puts the logs of an endpoint's containers."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def now() -> datetime:
    """With a zone, as AWS's times have."""
    return datetime.now(UTC)


def _event(row: Mapping[str, Any]) -> StackEvent:
    return StackEvent(
        id=str(row["EventId"]),
        at=row["Timestamp"],
        resource=str(row.get("LogicalResourceId", "")),
        type=str(row.get("ResourceType", "")),
        status=str(row.get("ResourceStatus", "")),
        reason=redacted(" ".join(str(row.get("ResourceStatusReason") or "").split())),
    )
