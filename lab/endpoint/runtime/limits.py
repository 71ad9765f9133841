"""What InvokeEndpoint refuses before any container sees it: names, headers, sizes."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import botocore.session

from lab.endpoint.protocol.errors import ApiError, validation_error
from lab.endpoint.records import EndpointKind
from lab.endpoint.settings import EmulatorSettings

INVOKE: Final = "InvokeEndpoint"
STREAM: Final = "InvokeEndpointWithResponseStream"

_TOO_LARGE: Final = 413

# The model's patterns are Java's; these are the pieces of it that Python spells differently.
_JAVA: Final = (
    (r"\p{ASCII}", r"[\x00-\x7f]"),
    (r"[\p{Print}]", r"[\x20-\x7e]"),
    (r"\p{Print}", r"[\x20-\x7e]"),
    (r"\z", r"\Z"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Constraint:
    """What the service's model says of one member."""

    member: str
    """As AWS's messages spell it: ``inferenceId``."""
    least: int
    most: int | None
    pattern: str
    """As the model has it."""
    matches: re.Pattern[str]


@functools.cache
def constraints(operation: str) -> Mapping[str, Constraint]:
    """By header name in lower case, and ``endpointname`` for the name in the path."""
    model = botocore.session.get_session().get_service_model("sagemaker-runtime")
    found = {}
    shape = model.operation_model(operation).input_shape
    for member, its in shape.members.items():
        location = its.serialization.get("location")
        if location not in {"header", "uri"} or its.type_name != "string":
            continue
        pattern = its.metadata.get("pattern", ".*")
        found[its.serialization["name"].lower()] = Constraint(
            member=member[0].lower() + member[1:],
            least=its.metadata.get("min", 0),
            most=its.metadata.get("max"),
            pattern=pattern,
            matches=re.compile(_python(pattern), re.DOTALL),
        )
    return found


def check_names(operation: str, endpoint: str, headers: Mapping[str, str]) -> None:
    """Refuse what the service's own model does not allow. Raises ``ValidationError``."""
    allowed = constraints(operation)
    wrong = _wrong(allowed["endpointname"], endpoint)
    for name in headers.keys() & allowed.keys():
        wrong += _wrong(allowed[name], headers[name])
    if wrong:
        errors = "error" if len(wrong) == 1 else "errors"
        raise validation_error(f"{len(wrong)} validation {errors} detected: {'; '.join(wrong)}")


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
    raise ApiError("413", f"HTTP content length exceeded {limit} bytes.", status=_TOO_LARGE)


def _wrong(constraint: Constraint, value: str) -> list[str]:
    begin = f"Value '{value}' at '{constraint.member}' failed to satisfy constraint: Member must "
    wrong = []
    if len(value) < constraint.least:
        wrong.append(f"{begin}have length greater than or equal to {constraint.least}")
    if constraint.most is not None and len(value) > constraint.most:
        wrong.append(f"{begin}have length less than or equal to {constraint.most}")
    if not constraint.matches.fullmatch(value):
        wrong.append(f"{begin}satisfy regular expression pattern: {constraint.pattern}")
    return wrong


def _python(pattern: str) -> str:
    for java, python in _JAVA:
        pattern = pattern.replace(java, python)
    return pattern
