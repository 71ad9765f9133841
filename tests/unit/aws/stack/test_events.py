"""A stack's history read page by page, and what in it is a cause."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lab.aws.access.session import AwsSession
from lab.aws.stack.events import Follower, container_said, log_tail
from tests.unit.start.death_logs import BEHIND_NGINX

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Pages(AwsSession):
    """A session that answers with pages, the newest event first."""

    def __init__(self, size: int) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.size = size
        self.asked = 0

    def happens(self, resource: str, status: str, reason: str = "", type_: str = "T") -> None:
        self.rows.insert(
            0,
            {
                "EventId": str(len(self.rows)),
                "Timestamp": AT,
                "LogicalResourceId": resource,
                "ResourceType": type_,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            },
        )

    def find(self, service: str, operation: str, **said: Any) -> Mapping[str, Any] | None:
        self.asked += 1
        first = int(said.get("NextToken", said.get("nextToken", 0)))
        rows = self.rows[first : first + self.size]
        more = str(first + self.size) if first + self.size < len(self.rows) else None
        key = "events" if service == "logs" else "StackEvents"
        return {key: rows} | ({"NextToken": more, "nextToken": more} if more else {})


def test_all_pages_are_read_oldest_first_and_only_what_is_new_again() -> None:
    aws = Pages(size=2)
    for number in range(5):
        aws.happens(f"r{number}", "CREATE_COMPLETE")
    follower = Follower(aws, "one")
    assert [event.resource for event in follower.read()] == ["r0", "r1", "r2", "r3", "r4"]
    aws.happens("r5", "CREATE_COMPLETE")
    aws.asked = 0
    assert [event.resource for event in follower.read()] == ["r5"]
    assert aws.asked == 1


def test_what_was_before_is_no_cause_of_what_fails_now() -> None:
    aws = Pages(size=10)
    aws.happens("Role", "CREATE_FAILED", "long ago")
    follower = Follower(aws, "one")
    follower.skip()
    aws.happens("Endpoint", "CREATE_FAILED", "now")
    follower.read()
    assert follower.causes == ["Endpoint: now"]


def test_only_what_failed_by_itself_is_a_cause() -> None:
    aws = Pages(size=10)
    aws.happens("Model", "CREATE_FAILED", "Could not find the image of 123456789012")
    aws.happens("Alarm", "CREATE_FAILED", "Resource creation cancelled")
    aws.happens("Other", "CREATE_FAILED", "Resource creation Cancelled")
    aws.happens("Model", "DELETE_FAILED", "and then this")
    aws.happens("one", "UPDATE_FAILED", "failed to create: [Model]", "AWS::CloudFormation::Stack")
    follower = Follower(aws, "one")
    follower.read()
    assert follower.causes == ["Model: Could not find the image of ************"]


def test_the_last_lines_come_from_the_last_page() -> None:
    aws = Pages(size=10)
    aws.rows = [{"message": f"line {number}\n"} for number in range(25)]
    assert log_tail(aws, "eyes", AT, lines=3) == ["line 22", "line 23", "line 24"]


def test_of_a_container_s_lines_the_error_comes_first_with_its_cure() -> None:
    lines, cure = container_said(BEHIND_NGINX.splitlines())
    assert lines[0].startswith("Why, by the container's log: the Python module packaging")
    assert lines[2].strip() == "Traceback (most recent call last):"
    assert not [line for line in lines if "GET /ping" in line]
    assert "pip install packaging" in cure


def test_without_lines_nothing_is_told() -> None:
    assert container_said([]) == ([], "")
    assert container_said(["loading"]) == (["The container's own lines:", "  loading"], "")
