"""Errors and successes as ASGI sends them: in the two protocols that SageMaker speaks, and in those
of its neighbours.

The one place where an ``ApiError`` becomes bytes.
"""

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from enum import Enum
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from lab.endpoint.protocol.errors import ApiError

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_JSON: Final = b"application/json"
_JSON_1_1: Final = b"application/x-amz-json-1.1"
_NO_HEADER: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_INTERNAL: Final = "An internal error of the emulator; its own log says more."


def request_id() -> str:
    """``x-amzn-RequestId``, new for every request."""
    return str(uuid.uuid4())


def internal_error() -> ApiError:
    """What a bug looks like from outside."""
    return ApiError("InternalFailure", _INTERNAL, status=500)


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """A complete response."""
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_rest_error(send: Send, error: ApiError, request: str) -> None:
    """REST-JSON, the runtime's: the code in a header, ``Message`` in the body."""
    name = "message" if error.message is None or error.code.isdigit() else "Message"
    body = {name: error.message, **error.fields}
    headers = [(b"content-type", _JSON), (b"x-amzn-requestid", request.encode())]
    # A bare status is what the load balancer in front of AWS's service answers, without a name.
    if not error.code.isdigit():
        headers.append((b"x-amzn-errortype", error.code.encode()))
    await send_whole(send, error.status, headers, json.dumps(body).encode())


def control_error(error: ApiError) -> bytes:
    """JSON 1.1, the control plane's: everything in the body."""
    return json.dumps({"__type": error.code, "message": error.message, **error.fields}).encode()


class Speech(Enum):
    """The protocols of AWS's services; the value is the content type of an error."""

    JSON_1_0 = "application/x-amz-json-1.0"
    JSON_1_1 = "application/x-amz-json-1.1"
    REST_JSON = "application/json"
    CBOR = "application/cbor"
    QUERY = "text/xml"
    EC2 = "text/xml;charset=UTF-8"
    REST_XML = "application/xml"


def spoken_error(error: ApiError, speech: Speech, request: str) -> tuple[Headers, bytes]:
    """An error in a caller's own protocol, with its headers."""
    headers = [
        (b"content-type", speech.value.encode()),
        (b"x-amzn-requestid", request.encode()),
    ]
    if speech is Speech.CBOR:
        headers.append((b"smithy-protocol", b"rpc-v2-cbor"))
        return headers, _cbor({"__type": error.code, "message": error.message or ""})
    if speech in {Speech.JSON_1_0, Speech.JSON_1_1}:
        return headers, control_error(error)
    if speech is Speech.REST_JSON:
        headers.append((b"x-amzn-errortype", error.code.encode()))
        return headers, json.dumps({"message": error.message}).encode()
    said = f"<Code>{error.code}</Code><Message>{escape(error.message or '')}</Message>"
    text = {
        Speech.QUERY: f"<ErrorResponse><Error><Type>Sender</Type>{said}</Error>"
        f"<RequestId>{request}</RequestId></ErrorResponse>",
        Speech.EC2: f"<Response><Errors><Error>{said}</Error></Errors>"
        f"<RequestID>{request}</RequestID></Response>",
        Speech.REST_XML: f"<Error>{said}<RequestId>{request}</RequestId></Error>",
    }[speech]
    return headers, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def _cbor(members: Mapping[str, str]) -> bytes:
    """A map of fewer than 24 texts (RFC 8949): more is not said in it here."""

    def text(value: str) -> bytes:
        said = value.encode()
        return b"\x79" + len(said).to_bytes(2, "big") + said

    parts = [text(part) for pair in members.items() for part in pair]
    return bytes([0xA0 + len(members)]) + b"".join(parts)


def control_headers(request: str) -> dict[str, str]:
    """Of every answer of the control plane."""
    return {"x-amzn-RequestId": request, "content-type": _JSON_1_1.decode()}


def encoded(headers: Mapping[str, str], request: str) -> Headers:
    """Our answer's headers as ASGI wants them."""
    found = [
        (name.lower().encode(), _header(value).encode("latin-1")) for name, value in headers.items()
    ]
    found.append((b"x-amzn-requestid", request.encode()))
    return found


def _header(value: str) -> str:
    """The value itself; percent-encoded where no header can carry it.

    A place in S3 may have any character, a line's end among them.
    """
    return _NO_HEADER.sub(lambda found: quote(found[0], errors="replace"), value)
