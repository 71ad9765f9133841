"""What InvokeEndpoint refuses before any container sees it: names, headers, sizes."""

import functools
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from lab.endpoint.protocol.errors import ApiError, validation_error
from lab.endpoint.protocol.shapes import complain, detected, failure, runtime_members
from lab.endpoint.records import EndpointKind
from lab.endpoint.settings import EmulatorSettings

INVOKE: Final = "InvokeEndpoint"
STREAM: Final = "InvokeEndpointWithResponseStream"


@functools.cache
def headers_of(operation: str) -> Mapping[str, tuple[str, Any]]:
    """The member of the service's model, as messages spell it, and its shape, by header in lower
    case; ``endpointname`` is the name in the path.
    """
    return {
        shape.serialization["name"].lower(): (member[0].lower() + member[1:], shape)
        for member, shape in runtime_members(operation).items()
        if shape.serialization.get("location") in {"header", "uri"}
    }


def check_names(operation: str, endpoint: str, headers: Mapping[str, str]) -> None:
    """Refuse what the service's own model does not allow. Raises ``ValidationError``."""
    known = headers_of(operation)
    problems: list[str] = []
    member, shape = known["endpointname"]
    complain(shape, endpoint, member, problems)
    for name in headers.keys() & known.keys():
        member, shape = known[name]
        text = headers[name]
        if shape.type_name != "integer":
            complain(shape, text, member, problems)
        elif text.isascii() and text.removeprefix("-").isdigit():
            # More digits than any limit has change nothing.
            complain(shape, int(text[:20]), member, problems)
        else:
            problems.append(failure(f"'{text}'", member, "Member must be a whole number"))
    if problems:
        raise validation_error(detected(problems))


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
