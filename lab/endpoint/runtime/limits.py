"""What InvokeEndpoint refuses before any container sees it: names, headers, sizes."""

import functools
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from lab.endpoint.protocol.errors import ApiError, validation_error
from lab.endpoint.protocol.shapes import (
    Constraint,
    complain,
    constraints,
    detected,
    failure,
    runtime_members,
)
from lab.endpoint.records import EndpointKind
from lab.endpoint.settings import EmulatorSettings

INVOKE: Final = "InvokeEndpoint"
STREAM: Final = "InvokeEndpointWithResponseStream"


class _Header(NamedTuple):
    """A member of the service's model that is a header, or the name in the path."""

    member: str
    """As messages spell it."""
    shape: Any
    constraints: Sequence[Constraint]
    number: bool


@functools.cache
def headers_of(operation: str) -> Mapping[str, _Header]:
    """By header in lower case; ``endpointname`` is the name in the path."""
    return {
        shape.serialization["name"].lower(): _Header(
            member=member[0].lower() + member[1:],
            shape=shape,
            constraints=constraints(shape),
            number=shape.type_name == "integer",
        )
        for member, shape in runtime_members(operation).items()
        if shape.serialization.get("location") in {"header", "uri"}
    }


def check_names(operation: str, endpoint: str, headers: Mapping[str, str]) -> None:
    """Refuse what the service's own model does not allow. Raises ``ValidationError``."""
    known = headers_of(operation)
    problems: list[str] = []
    _check(known["endpointname"], endpoint, problems)
    for name in headers.keys() & known.keys():
        _check(known[name], headers[name], problems)
    if problems:
        raise validation_error(detected(problems))


def _check(header: _Header, text: str, problems: list[str]) -> None:
    member, shape, constraints, number = header
    value: str | int = text
    if number:
        if not text.isascii() or not text.removeprefix("-").isdigit():
            problems.append(failure(f"'{text}'", member, "Member must be a whole number"))
            return
        value = int(text[:20])  # more digits than any limit has change nothing
    for _, holds in constraints:
        if not holds(value):
            complain(shape, value, member, problems)
            return


def payload_limit(kind: EndpointKind, settings: EmulatorSettings) -> int:
    """Bytes that a request, and an answer, may have."""
    if kind is EndpointKind.SERVERLESS:
        return settings.serverless_payload_bytes
    return settings.realtime_payload_bytes


def check_size(
    size: int, kind: EndpointKind, *, request_id: str, settings: EmulatorSettings
) -> None:
    """Refuse a body that is too large, with the words of the endpoint's kind."""
    limit = payload_limit(kind, settings)
    if size <= limit:
        return
    if kind is EndpointKind.SERVERLESS:
        raise validation_error(f"Request {request_id} has oversize body.")
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    raise ApiError(str(status.value), f"HTTP content length exceeded {limit} bytes.", status=status)
